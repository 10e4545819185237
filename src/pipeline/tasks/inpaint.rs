//! Filling in a part of a picture: what is asked for, and which pixels that frees.

use super::check_strength;
use crate::error::{Error, Result};
use crate::image::{InputImage, Mask, Rect};
use crate::pipeline::request::MAX_SIDE_PX;
use serde::{Deserialize, Serialize};

/// Over how many pixels the new part comes in, unless said otherwise: A1111's mask blur.
const DEFAULT_BLUR_PX: usize = 4;

/// The most: a wider one is better drawn into the mask.
const MAX_BLUR_PX: usize = 128;

/// What stands in the place of what is repainted before the first step. At full strength nothing is
/// seen of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fill {
    /// What the picture has there.
    #[default]
    Original,
    /// The colours around it, drawn in smoothly.
    Blur,
    /// Noise in the place of its latent.
    Noise,
    /// One colour: red, green and blue.
    Colour([u8; 3]),
}

/// A picture of which a part is repainted. Everything outside of the mask stays as it is to the last
/// bit, and the picture keeps its size; the request's width and height are those at which the network
/// works.
///
/// ```no_run
/// use aquatint::{Image, Inpaint, Request, Task};
///
/// # fn main() -> aquatint::Result<()> {
/// let hat = Inpaint::new(Image::open("photo.png")?).mask(Image::open("mask.png")?).strength(0.9);
/// let request = Request::new("a straw hat").task(Task::Inpaint(hat)); // white is repainted
/// # drop(request);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Inpaint {
    /// The picture.
    pub image: InputImage,
    /// White is repainted, black kept, and what is between may change the less the darker it is: it is
    /// left alone until that share of the steps is done (Levin & Fried 2023, arXiv 2306.00950). The
    /// picture's transparency where there is neither this nor `mask_rect`.
    pub mask: Option<InputImage>,
    /// A rectangle that is repainted, besides what the mask says.
    pub mask_rect: Option<Rect>,
    /// Whether black is repainted and white kept.
    pub invert_mask: bool,
    /// How many pixels the mask is grown by on every side.
    pub mask_grow_px: usize,
    /// Over how many pixels inside of the mask the new part comes in from its edge.
    pub mask_blur_px: usize,
    /// What stands there before.
    pub fill: Fill,
    /// How much of it may change, over 0 and up to 1, as for [`super::Task::ImageToImage`].
    pub strength: f64,
    /// If there is a number, only the mask's surroundings are worked on, so many pixels around it, at the
    /// request's size; otherwise the whole picture.
    pub only_masked_padding_px: Option<usize>,
}

impl Inpaint {
    /// All of a picture's transparency repainted from noise.
    pub fn new(image: impl Into<InputImage>) -> Self {
        Self {
            image: image.into(),
            mask: None,
            mask_rect: None,
            invert_mask: false,
            mask_grow_px: 0,
            mask_blur_px: DEFAULT_BLUR_PX,
            fill: Fill::default(),
            strength: 1.0,
            only_masked_padding_px: None,
        }
    }

    /// Sets what is repainted.
    pub fn mask(mut self, mask: impl Into<InputImage>) -> Self {
        self.mask = Some(mask.into());
        self
    }

    /// Sets how much of it may change.
    pub fn strength(mut self, strength: f64) -> Self {
        self.strength = strength;
        self
    }

    /// As [`super::Task::check`].
    pub(super) fn check(&self) -> Result<()> {
        let lengths = [
            ("mask_grow_px", self.mask_grow_px, MAX_SIDE_PX),
            ("mask_blur_px", self.mask_blur_px, MAX_BLUR_PX),
        ];
        for (field, length, most) in lengths {
            if length > most {
                let reason = format!("must be at most {most} pixels, not {length}");
                return Err(Error::request(field, reason));
            }
        }
        check_strength("strength", self.strength)
    }

    /// Which pixels may change, and how much.
    ///
    /// # Errors
    /// [`Error::Request`] if a picture is not at hand, the mask is of another size or none, or nothing is
    /// left to repaint.
    pub(super) fn free(&self) -> Result<Mask> {
        let image = self.image.image()?;
        let (width, height) = (image.width(), image.height());
        let given = self.mask.as_ref().map(|mask| self.brightness(mask));
        let rect = self
            .mask_rect
            .map(|rect| Mask::of_rect(width, height, rect));
        let mask = match (given.transpose()?, rect) {
            (Some(given), Some(rect)) => given.united(&rect),
            (Some(mask), None) | (None, Some(mask)) => mask,
            (None, None) => Mask::of_transparency(image),
        };
        let mask = if self.invert_mask {
            mask.inverted()
        } else {
            mask
        };
        let mask = mask.grown(self.mask_grow_px);
        if mask.bounds().is_some() {
            return Ok(mask);
        }
        let reason = match (&self.mask, self.mask_rect) {
            (None, None) => {
                "there is none, and no pixel of the image is transparent; give a mask or a rectangle"
            }
            (None, Some(_)) => "the rectangle lies outside of the image; mend it",
            (Some(_), _) => {
                "nothing in it is white, so nothing is repainted; invert it if black is meant"
            }
        };
        Err(Error::request("mask", reason))
    }

    fn brightness(&self, mask: &InputImage) -> Result<Mask> {
        let (image, mask) = (&self.image, mask.image()?);
        if (image.width(), image.height()) == (mask.width(), mask.height()) {
            return Ok(Mask::of_brightness(mask));
        }
        let reason = format!(
            "is {}×{} pixels, and the image {}×{}; make them of one size",
            mask.width(),
            mask.height(),
            image.width(),
            image.height()
        );
        Err(Error::request("mask", reason))
    }
}
