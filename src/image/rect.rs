//! Rectangles of pixels.

use serde::{Deserialize, Serialize};

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rect {
    /// Columns left of it.
    pub left: usize,
    /// Rows above it.
    pub top: usize,
    /// Columns of it.
    pub width: usize,
    /// Rows of it.
    pub height: usize,
}

impl Rect {
    /// A rectangle at a corner, of a size.
    pub fn new(left: usize, top: usize, width: usize, height: usize) -> Self {
        Self {
            left,
            top,
            width,
            height,
        }
    }

    /// The first column right of it.
    pub(crate) fn right(&self) -> usize {
        self.left.saturating_add(self.width)
    }

    /// The first row below it.
    pub(crate) fn bottom(&self) -> usize {
        self.top.saturating_add(self.height)
    }

    pub(crate) fn contains(&self, x: usize, y: usize) -> bool {
        (self.left..self.right()).contains(&x) && (self.top..self.bottom()).contains(&y)
    }

    /// Its pixels, row by row.
    pub(crate) fn pixels(self) -> impl Iterator<Item = [usize; 2]> {
        let rows = self.top..self.bottom();
        rows.flat_map(move |y| (self.left..self.right()).map(move |x| [x, y]))
    }

    /// The smallest rectangle around both.
    pub(crate) fn around(&self, other: Self) -> Self {
        let (left, top) = (self.left.min(other.left), self.top.min(other.top));
        Self {
            left,
            top,
            width: self.right().max(other.right()) - left,
            height: self.bottom().max(other.bottom()) - top,
        }
    }

    /// So much more on every side, within a picture of that size.
    pub(crate) fn padded(&self, padding: usize, [width, height]: [usize; 2]) -> Self {
        let (left, top) = (
            self.left.saturating_sub(padding),
            self.top.saturating_sub(padding),
        );
        Self {
            left,
            top,
            width: self.right().saturating_add(padding).min(width) - left,
            height: self.bottom().saturating_add(padding).min(height) - top,
        }
    }

    /// As much larger as gives it the shape of a size, about its middle, as far as a picture goes.
    pub(crate) fn shaped(&self, shape: [usize; 2], [width, height]: [usize; 2]) -> Self {
        let wide = (self.height * shape[0])
            .div_ceil(shape[1])
            .clamp(self.width, width);
        let high = (self.width * shape[1])
            .div_ceil(shape[0])
            .clamp(self.height, height);
        let corner = |start: usize, length: usize, new: usize, most: usize| {
            start.saturating_sub((new - length) / 2).min(most - new)
        };
        Self {
            left: corner(self.left, self.width, wide, width),
            top: corner(self.top, self.height, high, height),
            width: wide,
            height: high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_takes_a_shape_within_its_picture() {
        let rect = Rect::new(90, 10, 10, 40);
        assert_eq!(rect.shaped([1, 1], [100, 80]), Rect::new(60, 10, 40, 40));
        assert_eq!(rect.shaped([4, 1], [100, 80]), Rect::new(0, 10, 100, 40));
        assert_eq!(rect.padded(20, [100, 80]), Rect::new(70, 0, 30, 70));
    }

    #[test]
    fn a_rectangle_may_go_beyond_all_numbers() {
        let rect = Rect::new(3, 2, usize::MAX, usize::MAX);
        assert!(rect.contains(3, 2) && !rect.contains(2, 2));
        assert_eq!([rect.right(), rect.bottom()], [usize::MAX; 2]);
    }
}
