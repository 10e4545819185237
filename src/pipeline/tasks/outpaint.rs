//! Drawing on beyond the edges of a picture: what is asked for, and in which order it is drawn.

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
    /// What stands there before the first step.
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
        check_strength(self.strength)
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

/// The windows of a size in which what a mask frees is drawn, one after the other: each next one has
/// about as much known as free in it, so that what is drawn goes on from what is there. They lie half a
/// window apart at most, and each draws all that is free in it.
pub(super) fn windows(free: &Mask, [width, height]: [usize; 2]) -> Vec<Rect> {
    let along = |length: usize, window: usize| -> Vec<usize> {
        let rest = length.saturating_sub(window);
        let count = (2 * rest).div_ceil(window);
        (0..=count).map(|i| rest * i / count.max(1)).collect()
    };
    let columns = along(free.width(), width);
    let rows = along(free.height(), height);
    let mut places: Vec<Rect> = rows
        .iter()
        .flat_map(|top| {
            columns
                .iter()
                .map(|left| Rect::new(*left, *top, width, height))
        })
        .collect();
    let mut free = free.clone();
    let mut order = Vec::new();
    loop {
        let counted = places.iter().map(|place| (place, free.count_free(*place)));
        let counted: Vec<(Rect, [usize; 2])> = counted
            .filter(|(_, [count, _])| *count > 0)
            .map(|(place, counts)| (*place, counts))
            .collect();
        // The window with the nearest to half of it known; one with nothing known only at last.
        let away = |[free, all]: [usize; 2]| match free == all {
            true => usize::MAX,
            false => (2 * free).abs_diff(all),
        };
        let Some((next, _)) = counted.iter().min_by_key(|(_, counts)| away(*counts)) else {
            return order;
        };
        free.keep(*next);
        order.push(*next);
        places = counted
            .iter()
            .map(|(place, _)| *place)
            .filter(|place| place != next)
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_what_is_free_and_go_on_from_what_is_known() {
        for (known, [width, height]) in [
            (Rect::new(30, 20, 40, 30), [100, 80]),
            (Rect::new(0, 0, 64, 64), [200, 64]),
            (Rect::new(150, 10, 10, 10), [170, 40]),
            (Rect::new(0, 0, 5, 64), [9, 64]),
        ] {
            let mut free = Mask::of_rect(width, height, known).inverted();
            for window in windows(&free, [32, 32]) {
                let [count, all] = free.count_free(window);
                assert!(count > 0 && count < all, "{window:?} of {known:?}");
                free.keep(window);
            }
            assert_eq!(free.bounds(), None);
        }
    }
}
