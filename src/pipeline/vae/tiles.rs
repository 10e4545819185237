//! Pictures in overlapping tiles: where they lie, how they blend, and a small picture of the whole.

use crate::pipeline::tiling::{self, corners, weights};

/// The least side of a tile in latents that is chosen here: smaller ones are mostly overlap.
const LEAST_TILE: usize = 16;
/// The overlap of neighbours in latents: a quarter of a tile, within these. A decoder of four levels
/// looks some 11 latents far, the outermost of which hardly count.
const OVERLAPS: [usize; 2] = [4, 12];

/// The tiles of a picture, in latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiles {
    /// Height and width of the picture.
    whole: [usize; 2],
    /// Height and width of a tile: the whole's where that is smaller.
    pub(super) tile: [usize; 2],
}

impl Tiles {
    /// Tiles of at most that side; `None` where the whole is no larger, or no side is given.
    pub(super) fn of(whole: [usize; 2], side: Option<usize>) -> Option<Self> {
        let side = side.filter(|side| whole.iter().any(|whole| whole > side))?;
        Some(Self::new(whole, side))
    }

    /// Tiles of at most that side.
    pub(super) fn new(whole: [usize; 2], side: usize) -> Self {
        let tile = whole.map(|whole| whole.min(side));
        Self { whole, tile }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        let counts = [0, 1].map(|axis| starts(self.whole[axis], self.tile[axis]).len());
        counts.iter().product()
    }

    /// The tops and lefts of the tiles, row by row.
    pub(super) fn corners(&self) -> Vec<[usize; 2]> {
        corners([0, 1].map(|axis| starts(self.whole[axis], self.tile[axis])))
    }

    /// values `[H, W, C]` of the whole, each latent `factor` high and wide → those of a tile
    pub(super) fn cut(&self, values: &[f32], factor: usize, corner: [usize; 2]) -> Vec<f32> {
        let [rows, columns] = [0, 1].map(|axis| {
            let start = factor * corner[axis];
            start..start + factor * self.tile[axis]
        });
        self.gathered(values, factor, rows, &columns.collect::<Vec<_>>())
    }

    /// values `[H, W, C]` of the whole, likewise → a mosaic of the size of a tile: latents from
    /// all over the picture.
    pub(super) fn mosaic(&self, values: &[f32], factor: usize) -> Vec<f32> {
        let [rows, columns] = [0, 1].map(|axis| {
            let latents = picked(self.whole[axis], self.tile[axis]).into_iter();
            let places = latents.flat_map(|latent| factor * latent..factor * (latent + 1));
            places.collect::<Vec<_>>()
        });
        self.gathered(values, factor, rows, &columns)
    }

    fn gathered(
        &self,
        values: &[f32],
        factor: usize,
        rows: impl IntoIterator<Item = usize>,
        columns: &[usize],
    ) -> Vec<f32> {
        let width = factor * self.whole[1];
        let channels = values.len() / (factor * self.whole[0] * width);
        let pixel = |row, column| {
            let start = (row * width + column) * channels;
            &values[start..start + channels]
        };
        let rows = rows.into_iter();
        let pixels = rows.flat_map(|row| columns.iter().map(move |&column| (row, column)));
        pixels
            .flat_map(|(row, column)| pixel(row, column).iter().copied())
            .collect()
    }
}

/// A picture that grows from its tiles, `[H, W, C]`.
#[derive(Debug)]
pub(super) struct Canvas {
    tiles: Tiles,
    factor: usize,
    channels: usize,
    pub(super) values: Vec<f32>,
}

impl Canvas {
    /// An empty one, each latent `factor` high and wide.
    pub(super) fn new(tiles: Tiles, factor: usize, channels: usize) -> Self {
        let [height, width] = tiles.whole;
        Self {
            tiles,
            factor,
            channels,
            values: vec![0.0; factor * height * factor * width * channels],
        }
    }

    /// Adds a tile `[h, w, C]`, weighed so that all tiles over a pixel make up 1.
    pub(super) fn add(&mut self, tile: &[f32], corner: [usize; 2]) {
        let Tiles { whole, tile: size } = self.tiles;
        let weights = [0, 1].map(|axis| {
            let starts = starts(whole[axis], size[axis]);
            weights(&starts, size[axis], corner[axis], self.factor)
        });
        let [top, left] = corner.map(|start| start * self.factor);
        let rows = tile.chunks_exact(self.factor * size[1] * self.channels);
        for (y, (row, weight_y)) in rows.zip(&weights[0]).enumerate() {
            let start = ((top + y) * self.factor * whole[1] + left) * self.channels;
            let target = self.values[start..][..row.len()].chunks_exact_mut(self.channels);
            let pixels = target.zip(row.chunks_exact(self.channels));
            for ((target, pixel), weight_x) in pixels.zip(&weights[1]) {
                for (target, value) in target.iter_mut().zip(pixel) {
                    *target += weight_y * weight_x * value;
                }
            }
        }
    }
}

/// The sides of tiles that could be chosen for a picture, the largest first.
pub(in crate::pipeline) fn sides(whole: [usize; 2]) -> Vec<usize> {
    let longest = whole[0].max(whole[1]);
    // n tiles with overlaps of a quarter span (3·n + 1) / 4 of their sides.
    let sides = (2..=longest).map(|count| (4 * longest).div_ceil(3 * count + 1));
    let mut sides: Vec<usize> = sides.take_while(|side| *side > LEAST_TILE).collect();
    if longest > LEAST_TILE {
        sides.push(LEAST_TILE);
    }
    sides.dedup();
    sides
}

/// Where the tiles of an axis begin.
fn starts(whole: usize, tile: usize) -> Vec<usize> {
    let [least, most] = OVERLAPS;
    // A tile of one latent still has a neighbour.
    let overlap = (tile / 4).clamp(least, most).min(tile / 2);
    tiling::starts(whole, tile, overlap)
}

/// The latents of an axis that go into a mosaic of `tile`: evenly spread, from edge to edge. Measured on
/// photographs with the demo model, single latents stand for the whole more evenly than pieces of two
/// to sixteen do, at 40 to 52 dB of what is decoded whole.
fn picked(whole: usize, tile: usize) -> Vec<usize> {
    let gaps = tile.max(2) - 1;
    (0..tile).map(|i| i * (whole - 1) / gaps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [([usize; 2], usize); 8] = [
        ([37, 56], 16),
        ([16, 16], 16),
        ([17, 5], 16),
        ([1, 300], 64),
        ([128, 128], 80),
        ([9, 13], 8),
        ([50, 3], 1),
        ([33, 65], 32),
    ];

    #[test]
    fn tiles_put_together_are_the_whole() {
        for (whole, side) in SIZES {
            for factor in [1, 4] {
                let tiles = Tiles::new(whole, side);
                let length = whole[0] * whole[1] * factor * factor * 3;
                let values: Vec<f32> = (0..length).map(|i| (i as f32).sin()).collect();
                let mut canvas = Canvas::new(tiles, factor, 3);
                for corner in tiles.corners() {
                    canvas.add(&tiles.cut(&values, factor, corner), corner);
                }
                assert_eq!(tiles.corners().len(), tiles.count());
                for (found, expected) in canvas.values.iter().zip(&values) {
                    assert!((found - expected).abs() < 1e-5, "{whole:?} in {side}");
                }
            }
        }
    }

    #[test]
    fn a_border_inside_the_picture_hardly_counts() {
        let starts = starts(40, 16);
        assert_eq!(starts, [0, 12, 24]);
        let middle = weights(&starts, 16, 12, 8);
        assert!(middle[0] < 0.02 && middle[127] < 0.02);
        assert!((middle[64] - 1.0).abs() < 1e-6);
        let first = weights(&starts, 16, 0, 8);
        assert!((first[0] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_mosaic_reaches_from_edge_to_edge() {
        for (whole, tile) in [(40, 16), (17, 16), (300, 18), (5, 2), (9, 1)] {
            let picked = picked(whole, tile);
            assert_eq!(picked.len(), tile);
            assert!(
                picked.iter().all(|latent| *latent < whole),
                "{whole} {tile}"
            );
        }
        assert_eq!(picked(16, 6), [0, 3, 6, 9, 12, 15]);
        assert_eq!(picked(6, 6), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn sides_shrink_to_the_least() {
        assert_eq!(sides([128, 96]), [74, 52, 40, 32, 27, 24, 21, 19, 17, 16]);
        assert_eq!(sides([16, 16]), [0_usize; 0]);
        assert_eq!(sides([17, 17]), [16]);
    }
}
