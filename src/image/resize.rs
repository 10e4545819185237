//! Pictures in another size.

use ::image::RgbaImage;
use ::image::imageops::{FilterType, crop_imm, resize};
use serde::{Deserialize, Serialize};

use super::Image;
use crate::error::{Error, Result};

/// How a picture comes to a size of another shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
        let [width_px, height_px] = [side(width)?, side(height)?];
        let filter = FilterType::Lanczos3;
        let buffer = self.premultiplied()?;
        let scaled = |fit: fn(f64, f64) -> f64| {
            let scale = fit(
                width as f64 / self.width as f64,
                height as f64 / self.height as f64,
            );
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "sides are positive and were checked"
            )]
            [self.width, self.height].map(|length| (length as f64 * scale).round() as u32)
        };
        let resized = match mode {
            ResizeMode::Stretch => resize(&buffer, width_px, height_px, filter),
            ResizeMode::Crop => {
                let [wide, high] = scaled(f64::max);
                let [wide, high] = [wide.max(width_px), high.max(height_px)];
                let whole = resize(&buffer, wide, high, filter);
                let (left, top) = ((wide - width_px) / 2, (high - height_px) / 2);
                crop_imm(&whole, left, top, width_px, height_px).to_image()
            }
            ResizeMode::Pad => {
                let [wide, high] = scaled(f64::min);
                let [wide, high] = [wide.clamp(1, width_px), high.clamp(1, height_px)];
                let inner = resize(&buffer, wide, high, filter);
                let (left, top) = ((width_px - wide) / 2, (height_px - high) / 2);
                padded(&inner, [width_px, height_px], [left, top])
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
