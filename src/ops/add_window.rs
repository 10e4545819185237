//! A window added to a picture that grows from windows.

use super::cut_window::{WindowField, corner};
use super::elementwise;
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor,
};

/// sum `[N, H, W, C]`, part `[N, h, w, C]`, window `[3 + h + w]` → `[N, H, W, C]`, f32: the sum, or
/// nothing where this is the first window, and over the window, which goes on at the opposite edge where it
/// reaches beyond one, the part, each value times the weights
/// of its row and column. With the average of all windows over a place, by weights, it is what
/// MultiDiffusion denoises by (Bar-Tal et al. 2023, arXiv 2302.08113, eq. 5).
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddWindow;

impl Op for AddWindow {
    fn name(&self) -> &'static str {
        "add_window"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let [sum, part, window] = [inputs[0], inputs[1], inputs[2]];
        let size = [part.dim(1), part.dim(2)];
        let fits = [sum.rank(), part.rank()] == [4, 4]
            && [sum.dim(0), sum.dim(3)] == [part.dim(0), part.dim(3)]
            && window.dims() == [WindowField::count(size)]
            && size[0] <= sum.dim(1)
            && size[1] <= sum.dim(2);
        if fits {
            Ok(sum)
        } else {
            Err(format!(
                "{part} is no window of {sum} as {window} describes it"
            ))
        }
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        DType::F32
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let [sum, part] = [io.inputs[0], io.inputs[1]];
        let channels = sum.shape.last();
        let lanes = Lanes::dividing(&[channels]);
        let dispatch = elementwise("add_window", lanes, sum.shape.len())
            .read("sum", Operand::Input(0), DType::F32, lanes)
            .read("part", Operand::Input(1), part.dtype, lanes)
            .read("window", Operand::Input(2), DType::F32, Lanes::One)
            .write("y", io.output, lanes)
            .constant("IS_FIRST", Const::U32(WindowField::IsFirst as u32))
            .constant("WEIGHTS", Const::U32(WindowField::Weights as u32))
            .param("channels", channels / lanes.count())
            .param("height", sum.shape.dim(1))
            .param("width", sum.shape.dim(2))
            .param("window_height", part.shape.dim(1))
            .param("window_width", part.shape.dim(2));
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let [sum, part, window] = [inputs[0], inputs[1], inputs[2]];
        let [pictures, rows, columns, channels] = [0, 1, 2, 3].map(|axis| part.shape().dim(axis));
        let [height, width] = [1, 2].map(|axis| sum.shape().dim(axis));
        let [top, left] = corner(window);
        let (by_row, by_column) = window.data()[WindowField::Weights as usize..].split_at(rows);
        let mut y = sum.clone();
        if window.data()[WindowField::IsFirst as usize] != 0.0 {
            y.data_mut().fill(0.0);
        }
        let pixels = part.data().chunks_exact(channels).enumerate();
        for (i, pixel) in pixels.take(pictures * rows * columns) {
            let (picture, row, column) = (i / (rows * columns), i / columns % rows, i % columns);
            let (y_row, y_column) = ((top + row) % height, (left + column) % width);
            let at = ((picture * height + y_row) * width + y_column) * channels;
            let weight = by_row[row] * by_column[column];
            for (y, value) in y.data_mut()[at..at + channels].iter_mut().zip(pixel) {
                *y += weight * value;
            }
        }
        y
    }

    fn flops(&self, io: &Io) -> u64 {
        3 * io.inputs[1].shape.len() as u64
    }
}

impl<'g> Tensor<'g> {
    /// sum `[N, H, W, C]` → the sum with a window's part: see [`AddWindow`].
    pub(crate) fn add_window(self, part: Tensor<'g>, window: Tensor<'g>) -> Tensor<'g> {
        self.apply(AddWindow, &[part, window])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, seeded};

    /// A product and a sum, rounded otherwise where they are fused.
    const TOLERANCE: f32 = 1e-6;

    #[test]
    fn a_part_is_added_by_its_weights_where_it_lies() {
        for (whole, size, corner) in [
            ([1, 1, 1, 1], [1, 1], [0.0, 0.0]),
            ([2, 9, 13, 4], [5, 6], [4.0, 7.0]),
            ([2, 9, 13, 4], [9, 13], [0.0, 0.0]),
            ([1, 7, 300, 3], [7, 9], [0.0, 291.0]),
            ([2, 9, 13, 4], [5, 6], [7.0, 12.0]),
            ([1, 7, 300, 3], [7, 9], [6.0, 296.0]),
        ] {
            let part = [whole[0], size[0], size[1], whole[3]];
            for (is_first, dtype) in [(0.0, DType::F32), (1.0, DType::F32), (0.0, DType::F16)] {
                let mut window = seeded([WindowField::count(size)].into(), 3);
                window.data_mut()[..2].copy_from_slice(&corner);
                window.data_mut()[WindowField::IsFirst as usize] = is_first;
                let inputs = [
                    (seeded(whole.into(), 1), DType::F32),
                    (seeded(part.into(), 2), dtype),
                    (window, DType::F32),
                ];
                check_arrays(&AddWindow, &inputs, TOLERANCE);
            }
        }
    }

    #[test]
    fn a_sum_that_begins_anew_forgets_what_was_not_finite() {
        let size = [2, 2];
        let sum = Array::new([1, 3, 3, 4], vec![f32::NAN; 36]);
        let mut window = seeded([WindowField::count(size)].into(), 3);
        window.data_mut()[..3].copy_from_slice(&[1.0, 0.0, 1.0]);
        let inputs = [sum, seeded([1, 2, 2, 4].into(), 2), window];
        check_arrays(
            &AddWindow,
            &inputs.map(|array| (array, DType::F32)),
            TOLERANCE,
        );
    }
}
