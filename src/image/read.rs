//! Pictures from files of any program: PNG, JPEG and WebP, told apart by what is in them, whatever
//! their names end in.
//!
//! Nothing in a file is trusted: its size is checked before memory is taken, and a file that is cut
//! is an error, never a picture with a grey end.

use std::io::{Cursor, Read};
use std::path::Path;

use ::image::codecs::{jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageResult, guess_format};

use super::info::PngInfo;
use super::{Image, file, profile};
use crate::error::{Error, Result};

/// The most pixels that are read: 8192 × 8192, 256 MiB as RGBA8.
pub(super) const MAX_PIXELS: usize = 1 << 26;
/// The longest file that is read: as many pixels of 16 bits each colour and alpha, not compressed.
const MAX_FILE_BYTES: u64 = (MAX_PIXELS as u64) << 3;

/// Reads a picture's file.
pub(super) fn open(path: &Path) -> Result<Image> {
    let mut bytes = Vec::new();
    let mut source = file::open(path, "picture")?.take(MAX_FILE_BYTES + 1);
    source
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io(path, error))?;
    decode(&bytes, path)
}

/// Reads a picture from the bytes of its file; `path` is for messages.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<Image> {
    let refused = |reason: String| Err(Error::bad_file(path, reason));
    if bytes.is_empty() {
        return refused("is empty, expected a picture; get it again".into());
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let most = MAX_FILE_BYTES >> 20;
        return refused(format!("is longer than the {most} MiB that are read"));
    }
    let reader = Cursor::new(bytes);
    match guess_format(bytes) {
        Ok(ImageFormat::Png) => {
            let info = PngInfo::read(reader.clone(), path)?;
            check_size(info.width(), info.height(), path)?;
            let decoder = opened("PNG", PngDecoder::new(reader), path)?;
            let animated = opened("PNG", decoder.is_apng(), path)?;
            let mut image = finish("PNG", decoder, animated, path)?;
            image.texts = info.texts().to_vec();
            Ok(image)
        }
        Ok(ImageFormat::Jpeg) if !jpeg_has_end(bytes) => refused(cut("JPEG")),
        Ok(ImageFormat::Jpeg) => {
            let decoder = opened("JPEG", JpegDecoder::new(reader), path)?;
            finish("JPEG", decoder, false, path)
        }
        Ok(ImageFormat::WebP) if !webp_has_end(bytes) => refused(cut("WebP")),
        Ok(ImageFormat::WebP) => {
            let decoder = opened("WebP", WebPDecoder::new(reader), path)?;
            let animated = decoder.has_animation();
            finish("WebP", decoder, animated, path)
        }
        known => refused(format!(
            "is {}; PNG, JPEG and WebP pictures are read: convert it to one of them",
            description(known.ok(), bytes)
        )),
    }
}

fn cut(kind: &str) -> String {
    format!("expected a whole {kind} picture: its end is missing; get it again")
}

/// What a file is, which is none of what is read.
fn description(format: Option<ImageFormat>, bytes: &[u8]) -> String {
    let start = bytes.trim_ascii_start();
    match format {
        Some(format) => {
            let name = format.extensions_str()[0].to_uppercase();
            format!("a picture of another kind ({name})")
        }
        None if start.starts_with(b"<") => {
            "a text in angle brackets, such as SVG or a web page".into()
        }
        None if bytes.get(4..8) == Some(b"ftyp") => {
            "a picture or film of another kind (HEIC?)".into()
        }
        None => "no picture that is known here".into(),
    }
}

fn check_size(width: usize, height: usize, path: &Path) -> Result<()> {
    if width.saturating_mul(height) <= MAX_PIXELS {
        return Ok(());
    }
    let reason = format!(
        "{width}×{height} is more than the {MAX_PIXELS} pixels that are read; make it smaller"
    );
    Err(Error::bad_file(path, reason))
}

fn opened<T>(kind: &str, answer: ImageResult<T>, path: &Path) -> Result<T> {
    answer.map_err(|failure| {
        let reason = format!("expected a whole {kind} picture: {failure}; get it again");
        Error::bad_file(path, reason)
    })
}

/// Decodes what is there, the right way up, in 8 bits.
fn finish(
    kind: &'static str,
    mut decoder: impl ImageDecoder,
    animated: bool,
    path: &Path,
) -> Result<Image> {
    let (width, height) = decoder.dimensions();
    check_size(width as usize, height as usize, path)?;
    // What is said beside the pixels is no reason to refuse them.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().unwrap_or_default();
    let mut picture = opened(kind, DynamicImage::from_decoder(decoder), path)?;
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut image = Image::from_rgba(width, height, picture.into_rgba8().into_raw())?;
    if animated {
        let warning = format!("{} is animated; its first picture is taken", path.display());
        image.warnings.push(warning);
    }
    if let Some(profile) = profile.as_deref().and_then(profile::other_than_srgb) {
        image.warnings.push(format!(
            "{} has the colour profile {profile:?}; its numbers are taken for sRGB's, so that \
             colours may differ",
            path.display()
        ));
    }
    Ok(image)
}

/// Whether a JPEG file goes on to an end of image after its first scan. Decoders fill what is missing
/// with grey. Within a scan an 0xFF is followed by 0 or a restart marker (ITU-T T.81, B.1.1.5).
fn jpeg_has_end(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    let mut rest = &bytes[2..];
    while let [0xFF, marker, length @ ..] = rest {
        if *marker == 0xFF {
            rest = &rest[1..]; // padding
            continue;
        }
        let Some(length) = length.first_chunk::<2>() else {
            return false;
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(next) = rest.get(2 + length..) else {
            return false;
        };
        rest = next;
        if *marker == START_OF_SCAN {
            break;
        }
    }
    rest.windows(2).any(|pair| pair == [0xFF, 0xD9])
}

/// Whether a WebP file is as long as its RIFF header says, but for the byte that makes it even.
fn webp_has_end(bytes: &[u8]) -> bool {
    let said = bytes.get(4..).and_then(|rest| rest.first_chunk::<4>());
    said.is_some_and(|said| u64::from(u32::from_le_bytes(*said)) + 8 <= bytes.len() as u64 + 1)
}

#[cfg(test)]
mod tests;
