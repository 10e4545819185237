//! Joins two values along the channels.

use super::elementwise;
use crate::tensor::{Array, Caps, Checked, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// `[.., A]`, `[.., B]` → `[.., A + B]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Concat;

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (a, b) = (inputs[0], inputs[1]);
        if a.with_last(1) == b.with_last(1) {
            Ok(a.with_last(a.last() + b.last()))
        } else {
            Err(format!("{a} and {b} differ in more than their channels"))
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let (a, b) = (io.inputs[0], io.inputs[1]);
        let lanes = Lanes::dividing(&[a.shape.last(), b.shape.last()]);
        let dispatch = elementwise("concat", lanes, io.output.shape.len())
            .read("a", Operand::Input(0), a.dtype, lanes)
            .read("b", Operand::Input(1), b.dtype, lanes)
            .write("y", io.output, lanes)
            .param("a_channels", a.shape.last() / lanes.count())
            .param("b_channels", b.shape.last() / lanes.count());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (a, b) = (inputs[0], inputs[1]);
        let (a_last, b_last) = (a.shape().last(), b.shape().last());
        let rows = a
            .data()
            .chunks_exact(a_last)
            .zip(b.data().chunks_exact(b_last));
        let data = rows.flat_map(|(a, b)| a.iter().chain(b)).copied();
        Array::new(a.shape().with_last(a_last + b_last), data.collect())
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

impl<'g> Tensor<'g> {
    /// `[.., A]`, `[.., B]` → `[.., A + B]`.
    pub(crate) fn concat(self, other: Tensor<'g>) -> Tensor<'g> {
        self.apply(Concat, &[other])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    op_test!(concat: [Concat], [
        [[1, 1], [1, 1]],
        [[3, 5, 7], [3, 5, 2]],
        [[2097187, 1], [2097187, 1]],
        [[2, 5, 7, 8], [2, 5, 7, 12]]
    ], f32 = 0.0, f16 = 0.0);
}
