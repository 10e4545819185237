//! Pictures: RGBA8 in memory, files of PNG, JPEG and WebP read, PNG written, and the text that
//! travels inside them.

mod blend;
mod compare;
mod file;
mod grid;
mod info;
mod infotext;
mod input;
mod mask;
mod metadata;
mod png;
mod profile;
mod read;
mod rect;
mod resize;
#[cfg(test)]
mod testing;

pub use compare::Difference;
pub use grid::{Grid, GridLabels};
pub use info::PngInfo;
pub(crate) use infotext::Infotext;
pub use input::InputImage;
pub(crate) use mask::Mask;
pub use metadata::{HiresParameters, Parameters};
pub use rect::Rect;
pub use resize::ResizeMode;

use std::path::Path;

use crate::error::{Error, Result};

/// The keyword of the PNG text chunk that other programs read: see [`Parameters`].
pub const PARAMETERS_KEYWORD: &str = "parameters";

/// The keyword of the PNG text chunk that holds the whole request as JSON.
pub const REQUEST_KEYWORD: &str = "aquatint";

/// A picture: 8-bit RGBA in sRGB, rows from the top, with the texts that its file carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    seed: Option<u64>,
    texts: Vec<(String, String)>,
    warnings: Vec<String>,
}

impl Image {
    /// A picture of the given pixels `[height, width, 4]`.
    ///
    /// Fails when a side is 0 or the number of bytes is not `4 · width · height`.
    pub fn from_rgba(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        let expected_bytes = width
            .checked_mul(height)
            .and_then(|count| count.checked_mul(4));
        if width == 0 || height == 0 || expected_bytes != Some(pixels.len()) {
            return Err(Error::request(
                "image",
                format!(
                    "{width}×{height} pixels of RGBA were announced, but {} bytes given",
                    pixels.len()
                ),
            ));
        }
        Ok(Self {
            width,
            height,
            pixels,
            seed: None,
            texts: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// The same picture, with the seed that makes it again.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The same picture, with a text to write into its file; replaces one of the same keyword.
    ///
    /// A keyword is 1 to 79 characters of Latin-1. NUL characters in the text are left out, since
    /// PNG has no room for them.
    pub fn with_text(mut self, keyword: &str, text: &str) -> Self {
        self.texts.retain(|(existing, _)| existing != keyword);
        self.texts
            .push((keyword.to_owned(), text.replace('\0', "")));
        self
    }

    /// The width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels `[height, width, 4]`: red, green, blue, alpha, rows from the top.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels, without a copy.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// The picture over white, as A1111 has it, in the networks' range: `[height, width, 3]`, −1 to 1.
    pub(crate) fn to_unit_range(&self) -> Vec<f32> {
        let (pixels, _) = self.pixels.as_chunks::<4>();
        let values = pixels.iter().flat_map(|&[red, green, blue, alpha]| {
            let white = u32::from(u8::MAX - alpha);
            [red, green, blue].map(|value| {
                let over = (u32::from(value) * u32::from(alpha) + 255 * white + 127) / 255;
                over as f32 / 127.5 - 1.0
            })
        });
        values.collect()
    }

    /// The picture with its colours as they are under any transparency.
    pub(crate) fn without_alpha(mut self) -> Self {
        let (pixels, _) = self.pixels.as_chunks_mut::<4>();
        pixels.iter_mut().for_each(|pixel| pixel[3] = u8::MAX);
        self
    }

    /// The seed that makes this picture again, where it was made here.
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// The text that is stored under a keyword, such as [`PARAMETERS_KEYWORD`].
    pub fn text(&self, keyword: &str) -> Option<&str> {
        self.texts
            .iter()
            .find(|(existing, _)| existing == keyword)
            .map(|(_, text)| text.as_str())
    }

    /// Reads a PNG, JPEG or WebP file of any colour type and depth, turned upright as its EXIF says;
    /// the first picture of an animated one.
    ///
    /// Fails when the file cannot be read, is none of these, is damaged or cut, or holds more than
    /// 2²⁶ pixels.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        read::open(path.as_ref())
    }

    /// As [`Image::open`], of a file's bytes; `name` is what messages call it.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        read::decode(bytes, Path::new(name))
    }

    /// What the user should know of how the picture was read: that its file is animated, or has a
    /// colour profile other than sRGB.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Writes a new PNG file; one that exists already is left alone, and the call fails.
    ///
    /// The file appears whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::write_new(path.as_ref(), &self.to_png()?)
    }

    /// Writes a PNG file as [`Image::save`] does, in the place of one that exists already.
    pub fn save_over(&self, path: impl AsRef<Path>) -> Result<()> {
        file::write_over(path.as_ref(), &self.to_png()?)
    }

    /// The picture as the bytes of a PNG file, texts included.
    ///
    /// Fails when a side is longer than 2³² − 1 or a text's keyword breaks PNG's rules.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        png::encode(self)
    }
}
