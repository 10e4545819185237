//! A window of a picture, wherever it lies at the time.

use super::elementwise;
use crate::tensor::{Array, Caps, Checked, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// Where a window lies and how much it counts, as the device gets it: these numbers, and behind them
/// the weights of its rows, then those of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowField {
    /// Rows above it.
    Top,
    /// Columns left of it.
    Left,
    /// 1 for the first window of a sum, which begins it anew, else 0.
    IsFirst,
    /// The first of the weights.
    Weights,
}

impl WindowField {
    /// How many values describe a window of that height and width.
    pub(crate) fn count(window: [usize; 2]) -> usize {
        Self::Weights as usize + window[0] + window[1]
    }
}

/// x `[N, H, W, C]`, window `[3 + h + w]` → `[N, h, w, C]`: what of x lies in the window, which goes on at
/// the opposite edge where it reaches beyond one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutWindow {
    /// h and w.
    pub(crate) size: [usize; 2],
}

impl Op for CutWindow {
    fn name(&self) -> &'static str {
        "cut_window"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let [x, window] = [inputs[0], inputs[1]];
        let [height, width] = self.size;
        let fits = x.rank() == 4
            && window.dims() == [WindowField::count(self.size)]
            && height <= x.dim(1)
            && width <= x.dim(2);
        if fits {
            Ok(Shape::from([x.dim(0), height, width, x.dim(3)]))
        } else {
            Err(format!(
                "{x} has no window of {height}×{width} as {window} describes it"
            ))
        }
    }

    fn dtype(&self, inputs: &[DType]) -> DType {
        inputs[0]
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let channels = x.shape.last();
        let lanes = Lanes::dividing(&[channels]);
        let row = |columns: usize| columns * channels / lanes.count();
        let dispatch = elementwise("cut_window", lanes, io.output.shape.len())
            .read("x", Operand::Input(0), x.dtype, lanes)
            .read("window", Operand::Input(1), DType::F32, Lanes::One)
            .write("y", io.output, lanes)
            .param("channels", channels / lanes.count())
            .param("row", row(x.shape.dim(2)))
            .param("picture", x.shape.dim(1) * row(x.shape.dim(2)))
            .param("window_row", row(self.size[1]))
            .param("window_picture", self.size[0] * row(self.size[1]));
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (x, window) = (inputs[0], inputs[1]);
        let [pictures, height, width, channels] = [0, 1, 2, 3].map(|axis| x.shape().dim(axis));
        let [rows, columns] = self.size;
        let [top, left] = corner(window);
        let mut data = Vec::with_capacity(pictures * rows * columns * channels);
        for picture in 0..pictures {
            for row in (top..top + rows).map(|row| row % height) {
                for column in (left..left + columns).map(|column| column % width) {
                    let start = ((picture * height + row) * width + column) * channels;
                    data.extend_from_slice(&x.data()[start..start + channels]);
                }
            }
        }
        Array::new(Shape::from([pictures, rows, columns, channels]), data)
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

/// Top and left of a described window.
pub(super) fn corner(window: &Array) -> [usize; 2] {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place is a small whole number"
    )]
    [WindowField::Top, WindowField::Left].map(|field| window.data()[field as usize] as usize)
}

impl<'g> Tensor<'g> {
    /// x `[N, H, W, C]`, window → `[N, h, w, C]`: what of x lies in the window.
    pub(crate) fn cut_window(self, window: Tensor<'g>, size: [usize; 2]) -> Tensor<'g> {
        self.apply(CutWindow { size }, &[window])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, seeded};

    #[test]
    fn what_lies_in_the_window_is_cut_out() {
        for (whole, size, corner) in [
            ([1, 1, 1, 1], [1, 1], [0.0, 0.0]),
            ([2, 9, 13, 4], [5, 6], [4.0, 7.0]),
            ([2, 9, 13, 4], [9, 13], [0.0, 0.0]),
            ([1, 7, 300, 3], [7, 9], [0.0, 291.0]),
            ([2, 9, 13, 4], [5, 6], [7.0, 12.0]),
            ([1, 7, 300, 3], [7, 9], [6.0, 296.0]),
        ] {
            let mut window = seeded([WindowField::count(size)].into(), 2);
            window.data_mut()[..2].copy_from_slice(&corner);
            for dtype in [DType::F32, DType::F16] {
                let inputs = [
                    (seeded(whole.into(), 1), dtype),
                    (window.clone(), DType::F32),
                ];
                check_arrays(&CutWindow { size }, &inputs, 0.0);
            }
        }
    }
}
