//! Pictures in another size.

use ::image::RgbaImage;
use ::image::imageops::{FilterType, crop_imm, resize};
use serde::{Deserialize, Serialize};

use super::Image;
use super::read::MAX_PIXELS;
use crate::error::{Error, Result};

/// How a picture comes to a size of another shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResizeMode {
    /// Each side on its own: what is round may become long.
    #[default]
    Stretch,
    /// The picture fills the size, and what goes beyond is cut off on both sides.
    Crop,
    /// The picture fits into the size, and its border is drawn on into what is left.
    Pad,
}

impl Image {
    /// The picture in another size, by a Lanczos filter of three lobes, as PIL and so diffusers'
    /// `VaeImageProcessor` have it. Colours are weighed by their alpha, so that what is transparent
    /// does not shine through.
    ///
    /// # Errors
    /// [`Error::Request`] if a side is 0 or longer than 2³² − 1.
    pub fn resized(&self, width: usize, height: usize, mode: ResizeMode) -> Result<Self> {
        if (width, height) == (self.width, self.height) {
            return Ok(self.clone());
        }
        let size = [side(width)?, side(height)?];
        let own = [side(self.width)?, side(self.height)?];
        let buffer = self.premultiplied()?;
        let resized = match mode {
            ResizeMode::Stretch => stretched(&buffer, size),
            ResizeMode::Crop => {
                let scale = scales(own, size).fold(0.0, f64::max);
                let [columns, rows] = [0, 1].map(|axis| Seen::along(own[axis], size[axis], scale));
                let seen = crop_imm(
                    &buffer,
                    columns.start,
                    rows.start,
                    columns.count,
                    rows.count,
                );
                let scaled = stretched(&seen.to_image(), [columns.length, rows.length]);
                crop_imm(&scaled, columns.cut, rows.cut, size[0], size[1]).to_image()
            }
            ResizeMode::Pad => {
                let scale = scales(own, size).fold(f64::INFINITY, f64::min);
                let [wide, high] =
                    [0, 1].map(|i| whole(f64::from(own[i]) * scale).clamp(1, size[i]));
                let inner = stretched(&buffer, [wide, high]);
                padded(&inner, size, [(size[0] - wide) / 2, (size[1] - high) / 2])
            }
        };
        Ok(self.with_pixels(width, height, straight(resized)))
    }

    /// The same picture with other pixels; what its file said goes with it.
    fn with_pixels(&self, width: usize, height: usize, pixels: Vec<u8>) -> Self {
        Self {
            width,
            height,
            pixels,
            seed: self.seed,
            texts: self.texts.clone(),
            warnings: self.warnings.clone(),
        }
    }

    fn premultiplied(&self) -> Result<RgbaImage> {
        let (pixels, _) = self.pixels.as_chunks::<4>();
        let weighed = pixels.iter().flat_map(|&[red, green, blue, alpha]| {
            let weigh = |value: u8| divided_by_255(u32::from(value) * u32::from(alpha));
            [weigh(red), weigh(green), weigh(blue), alpha]
        });
        let buffer = RgbaImage::from_raw(side(self.width)?, side(self.height)?, weighed.collect());
        Ok(buffer.expect("a picture has as many pixels as its sides say"))
    }
}

/// How many times as long each side becomes.
fn scales(own: [u32; 2], size: [u32; 2]) -> impl Iterator<Item = f64> {
    let sides = size.into_iter().zip(own);
    sides.map(|(new, own)| f64::from(new) / f64::from(own))
}

/// A length to a whole pixel.
fn whole(length: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "lengths are not negative, and what is too long becomes the longest"
    )]
    let pixels = length.round() as u32;
    pixels
}

/// What is seen of an axis whose ends are cut off. The rest is cut off before the picture is resized:
/// a line of pixels would become as many squares of the whole size.
struct Seen {
    /// The pixels that are seen in whole or in part: the first, and how many.
    start: u32,
    count: u32,
    /// How long those become, and how much of that is cut off in front.
    length: u32,
    cut: u32,
}

impl Seen {
    /// The middle of `own` pixels that gives `new` at a scale.
    fn along(own: u32, new: u32, scale: f64) -> Self {
        let seen = (f64::from(new) / scale).min(f64::from(own));
        let first = (f64::from(own) - seen) / 2.0;
        let start = whole(first.floor());
        let count = whole((first + seen).ceil()).clamp(start + 1, own) - start;
        let length = whole(f64::from(count) * scale).max(new);
        let cut = whole(first.fract() * scale).min(length - new);
        Self {
            start,
            count,
            length,
            cut,
        }
    }
}

/// A picture with each side in a length of its own.
fn stretched(picture: &RgbaImage, [width, height]: [u32; 2]) -> RgbaImage {
    let filter = FilterType::Lanczos3;
    // The filter makes columns as high as they become first, which of a line of pixels is a lot.
    let high = u64::from(picture.width()) * u64::from(height);
    if high > MAX_PIXELS as u64 && picture.width() > width {
        let narrow = resize(picture, width, picture.height(), filter);
        return resize(&narrow, width, height, filter);
    }
    resize(picture, width, height, filter)
}

/// Colours as they are, of such as were weighed by their alpha.
fn straight(image: RgbaImage) -> Vec<u8> {
    let (pixels, _) = image.as_raw().as_chunks::<4>();
    let straight = pixels.iter().flat_map(|&[red, green, blue, alpha]| {
        let divide = |value: u8| match alpha {
            0 => 0,
            alpha => {
                let (value, alpha) = (u32::from(value), u32::from(alpha));
                u8::try_from((255 * value + alpha / 2) / alpha).unwrap_or(u8::MAX)
            }
        };
        [divide(red), divide(green), divide(blue), alpha]
    });
    straight.collect()
}

/// A product of two bytes as a share of 255, rounded.
fn divided_by_255(product: u32) -> u8 {
    u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
}

/// A picture within a larger one, whose other pixels are the nearest of its border.
fn padded(inner: &RgbaImage, size: [u32; 2], corner: [u32; 2]) -> RgbaImage {
    let [left, top] = corner;
    let last = [inner.width() - 1, inner.height() - 1];
    RgbaImage::from_fn(size[0], size[1], |x, y| {
        let (x, y) = (x.saturating_sub(left), y.saturating_sub(top));
        *inner.get_pixel(x.min(last[0]), y.min(last[1]))
    })
}

fn side(length: usize) -> Result<u32> {
    u32::try_from(length)
        .ok()
        .filter(|length| *length > 0)
        .ok_or_else(|| {
            let reason = format!("a side of {length} pixels cannot be made");
            Error::request("image", reason)
        })
}
