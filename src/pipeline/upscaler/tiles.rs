//! A picture in overlapping tiles of one size, and what they become put together again.

use crate::image::Image;
use crate::networks::InputScaling;
use crate::pipeline::tiling::{corners, starts};

/// Pixels that neighbours share at least.
const OVERLAP_PX: usize = 16;
/// Pixels along a tile's inner edges that do not count: what a network makes of the zeros beyond them
/// is no picture.
const MARGIN_PX: usize = 4;
/// Pixels over which one of two neighbours gives way to the other.
const RAMP_PX: usize = OVERLAP_PX - 2 * MARGIN_PX;

/// How a picture is cut: tiles of one size that cover it, the last ones moved inwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Height and width of the picture.
    picture: [usize; 2],
    /// Height and width of a tile, which may be larger than the picture by what makes it a multiple.
    pub(super) size: [usize; 2],
}

impl Cut {
    /// Tiles of at most `tile_px`, whose sides are multiples of `multiple`.
    pub(super) fn of(picture: [usize; 2], tile_px: usize, multiple: usize) -> Self {
        let largest = tile_px / multiple * multiple;
        Self {
            picture,
            size: picture.map(|side| side.next_multiple_of(multiple).min(largest)),
        }
    }

    /// The tiles' corners: rows and columns.
    pub(super) fn tiles(&self) -> Vec<[usize; 2]> {
        corners([0, 1].map(|axis| starts(self.picture[axis], self.size[axis], OVERLAP_PX)))
    }

    /// The tile at a corner as the network takes it, `[H, W, 3]`. What lies past the picture's edge is
    /// mirrored in it.
    pub(super) fn pixels(
        &self,
        image: &Image,
        corner: [usize; 2],
        input: InputScaling,
    ) -> Vec<f32> {
        let [height, width] = self.size;
        let mut pixels = Vec::with_capacity(height * width * 3);
        for row in corner[0]..corner[0] + height {
            let row = mirrored(row, self.picture[0]);
            for column in corner[1]..corner[1] + width {
                let at = (row * self.picture[1] + mirrored(column, self.picture[1])) * 4;
                let colours = image.pixels()[at..at + 3].iter().zip(input.mean);
                pixels.extend(
                    colours.map(|(&byte, mean)| (f32::from(byte) / 255.0 - mean) * input.factor),
                );
            }
        }
        pixels
    }
}

/// The pixel that one past the edge is the mirror image of, the edge itself not repeated (torch's
/// `reflect`); the last one of a picture of one pixel.
fn mirrored(at: usize, length: usize) -> usize {
    let last = length - 1;
    if at <= last {
        at
    } else {
        (2 * last).saturating_sub(at)
    }
}

/// The enlarged picture, to which tiles are added with weights that fall towards their edges.
#[derive(Debug)]
pub(super) struct Canvas {
    scale: usize,
    /// Height and width.
    size: [usize; 2],
    colours: Vec<f32>,
    weights: Vec<f32>,
}

impl Canvas {
    /// Nothing yet of a picture of that height and width, enlarged.
    pub(super) fn new(picture: [usize; 2], scale: usize) -> Self {
        let size = picture.map(|side| side * scale);
        let count = size[0] * size[1];
        Self {
            scale,
            size,
            colours: vec![0.0; count * 3],
            weights: vec![0.0; count],
        }
    }

    /// Adds an enlarged tile, `[scale·H, scale·W, 3]`.
    pub(super) fn add(&mut self, cut: &Cut, corner: [usize; 2], colours: &[f32]) {
        let scale = self.scale;
        let [height, width] = cut.size.map(|side| side * scale);
        let [top, left] = corner.map(|start| start * scale);
        let weights = |start, length, whole| {
            (0..length).map(move |at| weight(start, at, length, whole, scale))
        };
        let rows = weights(top, height, self.size[0]).enumerate();
        for (row, row_weight) in rows.take(self.size[0] - top) {
            let columns = weights(left, width, self.size[1]).enumerate();
            for (column, column_weight) in columns.take(self.size[1] - left) {
                let to = (top + row) * self.size[1] + left + column;
                let from = (row * width + column) * 3;
                let weight = row_weight * column_weight;
                self.weights[to] += weight;
                let sums = self.colours[3 * to..][..3].iter_mut();
                for (sum, colour) in sums.zip(&colours[from..from + 3]) {
                    *sum += weight * colour;
                }
            }
        }
    }

    /// The picture as bytes `[H, W, 4]`, with the alpha of the nearest pixels of `image`.
    pub(super) fn rgba(&self, image: &Image) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.weights.len() * 4);
        for (at, weight) in self.weights.iter().enumerate() {
            let sums = &self.colours[3 * at..][..3];
            bytes.extend(sums.iter().map(|sum| byte(sum / weight)));
            let (row, column) = (
                at / self.size[1] / self.scale,
                at % self.size[1] / self.scale,
            );
            bytes.push(image.pixels()[(row * image.width() + column) * 4 + 3]);
        }
        bytes
    }
}

/// The weight of a place along an enlarged tile that begins at `start` of `whole`: 1 inside and at the
/// picture's own edges, falling to 0 towards edges inside the picture.
fn weight(start: usize, at: usize, length: usize, whole: usize, scale: usize) -> f32 {
    let margin = MARGIN_PX * scale;
    let ramp = RAMP_PX * scale;
    let towards = |is_inside: bool, distance: usize| match is_inside {
        true => ((distance + 1).saturating_sub(margin) as f32 / ramp as f32).min(1.0),
        false => 1.0,
    };
    towards(start > 0, at) * towards(start + length < whole, length - 1 - at)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of a byte"
)]
fn byte(colour: f32) -> u8 {
    (colour * 255.0).round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(height: usize, width: usize) -> Image {
        let bytes = (0..251).cycle().take(height * width * 4);
        Image::from_rgba(width, height, bytes.collect()).expect("the sizes fit")
    }

    /// A network that does nothing gives the picture back, whatever the tiles.
    #[test]
    fn tiles_of_the_picture_itself_make_the_picture() {
        for (height, width, tile, multiple) in [
            (1, 1, 32, 1),
            (45, 70, 32, 1),
            (45, 71, 32, 4),
            (5, 97, 64, 2),
        ] {
            let image = picture(height, width);
            let cut = Cut::of([height, width], tile, multiple);
            assert!(cut.size.iter().all(|side| side.is_multiple_of(multiple)));
            let mut canvas = Canvas::new([height, width], 1);
            for corner in cut.tiles() {
                let pixels = cut.pixels(&image, corner, InputScaling::default());
                canvas.add(&cut, corner, &pixels);
            }
            assert_eq!(canvas.rgba(&image), image.pixels());
        }
    }

    #[test]
    fn the_edge_is_mirrored_without_repeating_it() {
        assert_eq!([3, 4, 5, 6].map(|at| mirrored(at, 5)), [3, 4, 3, 2]);
        assert_eq!(mirrored(1, 1), 0);
    }
}
