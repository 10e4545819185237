//! Pictures that requests start from.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Image;
use crate::error::{Error, Result};

/// A picture that a request starts from. Its pixels are in memory, shared by clones; what is written of
/// it is its file's name, its size and a hash of its pixels, by which it is known again.
///
/// Two are equal if those are, whether or not the pixels are at hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputImage {
    /// The file's name, without its folder.
    name: Option<String>,
    width: usize,
    height: usize,
    sha256: String,
    /// Absent after reading a request from text.
    #[serde(skip)]
    image: Option<Arc<Image>>,
}

impl InputImage {
    /// Reads a picture's file, as [`Image::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            name: Some(name.to_string_lossy().into_owned()),
            ..Image::open(path)?.into()
        })
    }

    /// The same under the name of a file, for a picture that was made of one: who asks for it is told so.
    pub fn named(self, name: impl Into<String>) -> Self {
        let name = Some(name.into());
        Self { name, ..self }
    }

    /// The file's name, where there was a file.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// SHA-256 over the width and height as 64-bit numbers, low bytes first, and the RGBA pixels; in
    /// hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The picture.
    ///
    /// # Errors
    /// [`Error::Request`] if a request was read that names the picture and does not carry it.
    pub fn image(&self) -> Result<&Image> {
        self.image.as_deref().ok_or_else(|| {
            let reason = format!("{self} is named, not carried; give the picture itself");
            Error::request("image", reason)
        })
    }

    /// The picture that was given for it, under its name.
    ///
    /// # Errors
    /// [`Error::Request`] if it is another picture, or of another size than is said here: what was read
    /// may come from anybody.
    pub fn with(&self, given: &Self) -> Result<Self> {
        if (&given.sha256, given.width, given.height) == (&self.sha256, self.width, self.height) {
            return Ok(Self {
                name: self.name.clone(),
                ..given.clone()
            });
        }
        let reason = format!("{given} is not {self}, which was asked for; give that one");
        Err(Error::request("image", reason))
    }
}

impl From<Image> for InputImage {
    fn from(image: Image) -> Self {
        let mut hash = Sha256::new();
        for side in [image.width, image.height] {
            hash.update((side as u64).to_le_bytes());
        }
        hash.update(&image.pixels);
        let digits = hash.finalize();
        Self {
            name: None,
            width: image.width,
            height: image.height,
            sha256: digits.iter().map(|byte| format!("{byte:02x}")).collect(),
            image: Some(Arc::new(image)),
        }
    }
}

impl PartialEq for InputImage {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.sha256) == (&other.name, &other.sha256)
    }
}

impl Eq for InputImage {}

impl std::fmt::Display for InputImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// As many digits as tell pictures apart for people.
        const SHOWN_DIGITS: usize = 10;
        let name = self.name.as_deref().unwrap_or("a picture without a file");
        let digits: String = self.sha256.chars().take(SHOWN_DIGITS).collect();
        let name = name.escape_debug();
        write!(
            f,
            "{name} ({}×{}, SHA-256 {digits}…)",
            self.width, self.height
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(value: u8) -> InputImage {
        Image::from_rgba(2, 1, vec![value; 8]).unwrap().into()
    }

    #[test]
    fn a_picture_is_known_again_by_its_pixels() {
        let json = serde_json::to_string(&picture(7)).unwrap();
        let named: InputImage = serde_json::from_str(&json).unwrap();
        assert_eq!(named, picture(7));
        assert!(named.image().unwrap_err().to_string().contains("2×1"));
        assert!(named.with(&picture(7)).unwrap().image().is_ok());
        let message = named.with(&picture(8)).unwrap_err().to_string();
        assert!(message.contains("is not"), "{message}");
    }

    #[test]
    fn a_size_that_is_not_the_pictures_is_refused_beside_its_hash() {
        let json = serde_json::to_string(&picture(7)).unwrap();
        let lie = json.replace("\"width\":2", "\"width\":18446744073709551615");
        let named: InputImage = serde_json::from_str(&lie).unwrap();
        let message = named.with(&picture(7)).unwrap_err().to_string();
        assert!(message.contains("2×1") && message.contains("18446744073709551615×1"));
    }

    #[test]
    fn the_hash_is_sha_256_of_size_and_pixels() {
        // sha256sum of 02 00…(8) 01 00…(8) 07 × 8, by coreutils.
        assert_eq!(&picture(7).sha256()[..16], "7c4c045503cc96ea");
    }
}
