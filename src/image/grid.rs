//! One picture of many, in columns and rows with labels.

mod text;

use super::read::MAX_PIXELS;
use super::{Image, ResizeMode};
use crate::error::{Error, Result};
use text::Lettering;

/// Pixels between pictures, and around them.
const GAP: usize = 4;
/// The most rows of letters of one label.
const LABEL_LINES: usize = 3;
/// The most letters on a line of a row's label.
const ROW_LETTERS: usize = 20;
/// The width of a picture in pixels for which letters have their own size; they grow with it.
const LETTER_WIDTH_OF: usize = 160;
/// The most pixels that a grid has: as many as a picture that is read may have.
const MOST_PIXELS: usize = MAX_PIXELS;
const WHITE: [u8; 4] = [255, 255, 255, 255];
/// Where a picture is missing.
const GREY: [u8; 4] = [204, 204, 204, 255];

/// The labels of a grid. Where there are none, there is one column, row or block without a label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GridLabels {
    /// Above each column.
    pub columns: Vec<String>,
    /// Left of each row.
    pub rows: Vec<String>,
    /// Above each block of rows.
    pub blocks: Vec<String>,
}

/// A picture of many, drawn one after the other; grey where one is missing.
#[derive(Clone, Debug)]
pub struct Grid {
    canvas: Canvas,
    /// Columns, rows and blocks.
    shape: [usize; 3],
    /// Width and height of a place in pixels.
    cell: [usize; 2],
    /// Where the first picture of the first block begins, and how far it is from block to block.
    left: usize,
    top: usize,
    block_height: usize,
}

impl Grid {
    /// A grid of so many columns, rows and blocks for pictures of `width` × `height` pixels. Labels that
    /// are too long end in dots. Pictures are shrunk where the grid would have more pixels than a
    /// picture that is read here may have.
    ///
    /// # Errors
    /// [`Error::Request`] if there are no places, or more than such a picture has pixels for.
    pub fn new(
        shape: [usize; 3],
        labels: &GridLabels,
        [width, height]: [usize; 2],
    ) -> Result<Self> {
        let refused = |reason: String| Err(Error::request("grid", reason));
        if shape.contains(&0) {
            return refused(format!("has no places: {shape:?}"));
        }
        let mut cell = [width.max(1), height.max(1)];
        loop {
            let layout = Layout::of(shape, labels, cell);
            let [wide, high] = layout.size;
            if wide.saturating_mul(high) <= MOST_PIXELS {
                return layout.drawn(labels);
            }
            if cell == [1, 1] {
                return refused(format!("has too many places for one picture: {shape:?}"));
            }
            // A little less each time, since labels shrink with the pictures.
            cell = cell.map(|side| (side - side.div_ceil(16)).max(1));
        }
    }

    /// Draws a picture at its column, row and block, shrunk or enlarged to fit.
    ///
    /// # Errors
    /// [`Error::Request`] if the grid has no such place.
    pub fn put(&mut self, image: &Image, place: [usize; 3]) -> Result<()> {
        if place.iter().zip(self.shape).any(|(at, count)| *at >= count) {
            let reason = format!("has {:?} places, and none at {place:?}", self.shape);
            return Err(Error::request("grid", reason));
        }
        let [width, height] = self.cell;
        let (own_width, own_height) = (image.width(), image.height());
        let size = if own_width * height <= own_height * width {
            [(own_width * height / own_height).max(1), height]
        } else {
            [width, (own_height * width / own_width).max(1)]
        };
        let image = image.resized(size[0], size[1], ResizeMode::Stretch)?;
        let [left, top] = self.corner(place);
        self.canvas.fill([left, top], self.cell, WHITE);
        let corner = [left + (width - size[0]) / 2, top + (height - size[1]) / 2];
        self.canvas.put(&image, corner);
        Ok(())
    }

    /// The picture.
    ///
    /// # Errors
    /// As [`Image::from_rgba`].
    pub fn into_image(self) -> Result<Image> {
        let [width, height] = self.canvas.size;
        Image::from_rgba(width, height, self.canvas.pixels)
    }

    /// Column and row of a place's first pixel.
    fn corner(&self, [column, row, block]: [usize; 3]) -> [usize; 2] {
        [
            self.left + column * (self.cell[0] + GAP),
            self.top + block * self.block_height + row * (self.cell[1] + GAP),
        ]
    }
}

/// Where everything is.
struct Layout {
    shape: [usize; 3],
    cell: [usize; 2],
    lettering: Lettering,
    left: usize,
    /// Heights of a block's label and of its columns' labels.
    heads: [usize; 2],
    block_height: usize,
    size: [usize; 2],
}

impl Layout {
    fn of(shape: [usize; 3], labels: &GridLabels, cell: [usize; 2]) -> Self {
        let [columns, rows, blocks] = shape;
        let lettering = Lettering::scaled(cell[0] / LETTER_WIDTH_OF);
        let longest = labels.rows.iter().map(|label| label.chars().count()).max();
        let row_letters = longest.map_or(0, |letters| letters.min(ROW_LETTERS));
        let left = match row_letters {
            0 => GAP,
            letters => lettering.width(letters) + 2 * GAP,
        };
        let wide = columns.saturating_mul(cell[0] + GAP);
        let lines = |labels: &[String], width: usize| {
            let lines = labels
                .iter()
                .map(|label| lettering.lines(label, width, LABEL_LINES).len());
            match lines.max() {
                None => 0,
                Some(count) => lettering.height(count) + GAP,
            }
        };
        let heads = [lines(&labels.blocks, wide), lines(&labels.columns, cell[0])];
        let block_height = rows.saturating_mul(cell[1] + GAP);
        let block_height = block_height.saturating_add(heads[0] + heads[1]);
        Self {
            shape: [columns, rows, blocks],
            cell,
            lettering,
            left,
            heads,
            block_height,
            size: [
                wide.saturating_add(left),
                blocks.saturating_mul(block_height).saturating_add(GAP),
            ],
        }
    }

    /// The grid with its labels and no picture yet.
    fn drawn(self, labels: &GridLabels) -> Result<Grid> {
        let [wide, high] = self.size;
        let canvas = Canvas {
            size: self.size,
            pixels: WHITE.repeat(wide * high),
        };
        let mut grid = Grid {
            canvas,
            shape: self.shape,
            cell: self.cell,
            left: self.left,
            top: GAP + self.heads[0] + self.heads[1],
            block_height: self.block_height,
        };
        let [columns, rows, blocks] = self.shape;
        for block in 0..blocks {
            let [left, top] = grid.corner([0, 0, block]);
            let [block_head, column_head] = self.heads;
            if let Some(label) = labels.blocks.get(block) {
                let corner = [left, top - column_head - block_head];
                let width = columns * (self.cell[0] + GAP);
                self.write(&mut grid.canvas, label, corner, width);
            }
            for (column, label) in labels.columns.iter().enumerate().take(columns) {
                let [left, top] = grid.corner([column, 0, block]);
                self.write(
                    &mut grid.canvas,
                    label,
                    [left, top - column_head],
                    self.cell[0],
                );
            }
            for row in 0..rows {
                let [_, top] = grid.corner([0, row, block]);
                if let Some(label) = labels.rows.get(row) {
                    self.write(&mut grid.canvas, label, [GAP, top], self.left - GAP);
                }
                for column in 0..columns {
                    let corner = grid.corner([column, row, block]);
                    grid.canvas.fill(corner, self.cell, GREY);
                }
            }
        }
        Ok(grid)
    }

    fn write(&self, canvas: &mut Canvas, label: &str, corner: [usize; 2], width: usize) {
        let lines = self.lettering.lines(label, width, LABEL_LINES);
        for [column, row] in self.lettering.dots(&lines) {
            canvas.set([corner[0] + column, corner[1] + row], [0, 0, 0, 255]);
        }
    }
}

/// Pixels `[height, width, 4]`; what lies beyond them is not drawn.
#[derive(Clone, Debug)]
struct Canvas {
    size: [usize; 2],
    pixels: Vec<u8>,
}

impl Canvas {
    fn set(&mut self, [column, row]: [usize; 2], colour: [u8; 4]) {
        let [width, height] = self.size;
        if column < width && row < height {
            let at = 4 * (row * width + column);
            self.pixels[at..at + 4].copy_from_slice(&colour);
        }
    }

    fn fill(&mut self, [left, top]: [usize; 2], [width, height]: [usize; 2], colour: [u8; 4]) {
        for row in top..top + height {
            for column in left..left + width {
                self.set([column, row], colour);
            }
        }
    }

    fn put(&mut self, image: &Image, [left, top]: [usize; 2]) {
        let (pixels, _) = image.pixels().as_chunks::<4>();
        for (at, &pixel) in pixels.iter().enumerate() {
            let (column, row) = (at % image.width(), at / image.width());
            self.set([left + column, top + row], pixel);
        }
    }
}

#[cfg(test)]
mod tests;
