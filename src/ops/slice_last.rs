//! Takes a range of the channels.

use super::elementwise;
use crate::tensor::{Array, Caps, Checked, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// `[.., C]` → `[.., length]`: channels `start..start + length`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SliceLast {
    /// The first channel taken.
    pub(crate) start: usize,
    /// How many are taken.
    pub(crate) length: usize,
}

impl Op for SliceLast {
    fn name(&self) -> &'static str {
        "slice_last"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let end = self.start + self.length;
        if end <= inputs[0].last() {
            Ok(inputs[0].with_last(self.length))
        } else {
            Err(format!("{} has no channels up to {end}", inputs[0]))
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let lanes = Lanes::dividing(&[self.start, self.length, x.shape.last()]);
        let dispatch = elementwise("slice_last", lanes, io.output.shape.len())
            .read("x", Operand::Input(0), x.dtype, lanes)
            .write("y", io.output, lanes)
            .param("channels", x.shape.last() / lanes.count())
            .param("start", self.start / lanes.count())
            .param("length", self.length / lanes.count());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let x = inputs[0];
        let rows = x.data().chunks_exact(x.shape().last());
        let data = rows
            .flat_map(|row| &row[self.start..self.start + self.length])
            .copied();
        Array::new(x.shape().with_last(self.length), data.collect())
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

impl<'g> Tensor<'g> {
    /// `[.., C]` → `[.., length]`: channels `start..start + length`.
    pub(crate) fn slice_last(self, start: usize, length: usize) -> Tensor<'g> {
        self.apply(SliceLast { start, length }, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const ODD: SliceLast = SliceLast {
        start: 1,
        length: 2,
    };
    const EVEN: SliceLast = SliceLast {
        start: 4,
        length: 4,
    };

    op_test!(slice: [ODD], [[1, 3], [2, 5, 7], [2097187, 3]], f32 = 0.0, f16 = 0.0);
    op_test!(slice_in_lanes: [EVEN], [[1, 8], [2, 9, 13, 8]], f32 = 0.0, f16 = 0.0);
}
