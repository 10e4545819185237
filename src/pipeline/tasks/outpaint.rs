//! Drawing on beyond the edges of a picture: what is asked for.

use super::check_strength;
use super::inpaint::Fill;
use crate::error::{Error, Result};
use crate::image::{InputImage, Mask, Rect};
use crate::pipeline::request::MAX_SIDE_PX;
use serde::{Deserialize, Serialize};

/// A picture that is drawn on beyond its edges. What is there stays as it is to the last bit. The
/// request's width and height are those of the windows in which the rest is drawn, one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Outpaint {
    /// The picture.
    pub image: InputImage,
    /// Columns to draw left of it.
    pub left: usize,
    /// Columns to draw right of it.
    pub right: usize,
    /// Rows to draw above it.
    pub top: usize,
    /// Rows to draw below it.
    pub bottom: usize,
    /// What stands there before the first step: all but [`Fill::Original`].
    pub fill: Fill,
    /// How much of that may change, over 0 and up to 1, as for [`super::Task::ImageToImage`].
    pub strength: f64,
}

impl Outpaint {
    /// So many columns and rows more at the left, right, top and bottom, from noise.
    pub fn new(image: impl Into<InputImage>, [left, right, top, bottom]: [usize; 4]) -> Self {
        Self {
            image: image.into(),
            left,
            right,
            top,
            bottom,
            fill: Fill::Blur,
            strength: 1.0,
        }
    }

    /// As [`super::Task::check`].
    pub(super) fn check(&self) -> Result<()> {
        let more = [
            ("left", self.left),
            ("right", self.right),
            ("top", self.top),
            ("bottom", self.bottom),
        ];
        if let Some((field, length)) = more.iter().find(|(_, length)| *length > MAX_SIDE_PX) {
            let reason = format!("must be at most {MAX_SIDE_PX} pixels, not {length}");
            return Err(Error::request(field, reason));
        }
        if more.iter().all(|(_, length)| *length == 0) {
            let reason = "there is nothing to draw on any side; say how many pixels on one";
            return Err(Error::request("left", reason));
        }
        let [width, height] = self.canvas();
        if width > MAX_SIDE_PX || height > MAX_SIDE_PX {
            let reason = format!(
                "makes the picture {width}×{height}, and a side has at most {MAX_SIDE_PX} pixels; \
                 draw less on it"
            );
            return Err(Error::request(
                if width > MAX_SIDE_PX { "left" } else { "top" },
                reason,
            ));
        }
        if self.fill == Fill::Original {
            let reason = "must be blur, noise or a colour: beyond the edges there is no original";
            return Err(Error::request("fill", reason));
        }
        check_strength("strength", self.strength)
    }

    /// The new picture's width and height.
    pub(super) fn canvas(&self) -> [usize; 2] {
        [
            [self.image.width(), self.left, self.right],
            [self.image.height(), self.top, self.bottom],
        ]
        .map(|lengths| lengths.into_iter().fold(0, usize::saturating_add))
    }

    /// Which pixels are to be drawn.
    pub(super) fn free(&self) -> Mask {
        let [width, height] = self.canvas();
        let known = Rect::new(self.left, self.top, self.image.width(), self.image.height());
        Mask::of_rect(width, height, known).inverted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;

    #[test]
    fn there_is_no_original_beyond_the_edges() {
        let image = Image::from_rgba(1, 1, vec![9; 4]).unwrap();
        let mut outpaint = Outpaint::new(image, [8, 0, 0, 0]);
        assert!(outpaint.check().is_ok());
        outpaint.fill = Fill::Original;
        let message = outpaint.check().unwrap_err().to_string();
        assert!(message.starts_with("fill: "), "{message}");
    }
}
