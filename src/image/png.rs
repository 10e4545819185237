//! PNG: writing 8-bit RGB or RGBA with texts.

use ::png::{BitDepth, ColorType, Encoder, EncodingError};

use super::Image;
use crate::error::{Error, Result};

/// A picture as the bytes of a PNG file; RGB where every pixel is opaque.
pub(super) fn encode(image: &Image) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(image, &mut bytes).map_err(|failure| Error::request("image", failure.to_string()))?;
    Ok(bytes)
}

fn write(image: &Image, bytes: &mut Vec<u8>) -> std::result::Result<(), EncodingError> {
    let side = |length: usize| u32::try_from(length).map_err(|_| EncodingError::LimitsExceeded);
    let mut encoder = Encoder::new(bytes, side(image.width)?, side(image.height)?);
    encoder.set_depth(BitDepth::Eight);
    for (keyword, text) in &image.texts {
        // Latin-1 goes as tEXt, the rest as iTXt: what PIL does, so what other programs read.
        if text.chars().all(|character| u32::from(character) < 256) {
            encoder.add_text_chunk(keyword.clone(), text.clone())?;
        } else {
            encoder.add_itxt_chunk(keyword.clone(), text.clone())?;
        }
    }
    let (pixels, _) = image.pixels.as_chunks::<4>();
    if pixels.iter().all(|&[.., alpha]| alpha == u8::MAX) {
        encoder.set_color(ColorType::Rgb);
        let opaque: Vec<u8> = pixels
            .iter()
            .flat_map(|&[red, green, blue, _]| [red, green, blue])
            .collect();
        encoder.write_header()?.write_image_data(&opaque)
    } else {
        encoder.set_color(ColorType::Rgba);
        encoder.write_header()?.write_image_data(&image.pixels)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::super::{read, testing::crc32};
    use super::*;

    fn decode_bytes(bytes: &[u8]) -> Result<Image> {
        read::decode(bytes, Path::new("test.png"))
    }

    /// A PNG of one pixel `[1, 2, 3]` in the given form, written by the `png` crate.
    fn one_pixel(color: ColorType, depth: BitDepth, data: &[u8], palette: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 1, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if !palette.is_empty() {
            encoder.set_palette(palette.to_vec());
        }
        encoder
            .write_header()
            .unwrap()
            .write_image_data(data)
            .unwrap();
        bytes
    }

    #[test]
    fn a_picture_comes_back_as_it_was_written() {
        for alpha in [255, 128] {
            let pixels: Vec<u8> = (0..3 * 5).flat_map(|i| [i, 100 + i, 200, alpha]).collect();
            let image = Image::from_rgba(3, 5, pixels)
                .unwrap()
                .with_text("parameters", "a cat\nSteps: 20")
                .with_text("aquatint", "{\"prompt\":\"猫 🐈\"}");
            assert_eq!(decode_bytes(&encode(&image).unwrap()).unwrap(), image);
        }
    }

    /// Colour type, depth, data, palette, and the RGBA that it means.
    type Case<'a> = (ColorType, BitDepth, &'a [u8], &'a [u8], [u8; 4]);

    #[test]
    fn every_colour_type_is_read() {
        use BitDepth::{Eight, One, Sixteen};
        let cases: [Case<'_>; 6] = [
            (ColorType::Rgb, Eight, &[1, 2, 3], &[], [1, 2, 3, 255]),
            (
                ColorType::Rgba,
                Sixteen,
                &[1, 9, 2, 9, 3, 9, 4, 9],
                &[],
                [1, 2, 3, 4],
            ),
            (ColorType::Grayscale, Eight, &[7], &[], [7, 7, 7, 255]),
            (
                ColorType::Grayscale,
                One,
                &[0x80],
                &[],
                [255, 255, 255, 255],
            ),
            (ColorType::GrayscaleAlpha, Eight, &[7, 8], &[], [7, 7, 7, 8]),
            (
                ColorType::Indexed,
                Eight,
                &[1],
                &[0, 0, 0, 1, 2, 3],
                [1, 2, 3, 255],
            ),
        ];
        for (color, depth, data, palette, expected) in cases {
            let image = decode_bytes(&one_pixel(color, depth, data, palette)).unwrap();
            assert_eq!(image.pixels(), expected, "{color:?} at {depth:?}");
        }
    }

    #[test]
    fn a_huge_header_is_refused_before_memory_is_taken() {
        let mut bytes = one_pixel(ColorType::Rgb, BitDepth::Eight, &[1, 2, 3], &[]);
        bytes[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&100_000_u32.to_be_bytes());
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        let start = Instant::now();
        let message = decode_bytes(&bytes).unwrap_err().to_string();
        assert!(message.contains("100000×100000"), "{message}");
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn damaged_files_are_errors() {
        let whole = one_pixel(ColorType::Rgb, BitDepth::Eight, &[1, 2, 3], &[]);
        for length in 0..whole.len() - 12 {
            assert!(
                decode_bytes(&whole[..length]).is_err(),
                "cut to {length} bytes"
            );
        }
        assert!(decode_bytes(b"<!DOCTYPE html>").is_err());
    }
}
