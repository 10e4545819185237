//! Sum and product of two values, the second broadcast along its axes of length 1.

use super::elementwise;
use crate::tensor::{
    Array, Caps, Checked, Const, Dispatch, Io, Lanes, Op, Operand, Rows, Shape, Tensor,
};

/// An element-wise function of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    /// a + b.
    Add,
    /// a · b.
    Mul,
}

/// The strides of `b` seen with the axes of `a`: 0 where it is broadcast.
fn broadcast_strides(a: Shape, b: Shape) -> [usize; 5] {
    let mut strides = [0; 5];
    let mut stride = 1;
    let skipped = 5 - a.rank();
    for axis in (0..a.rank()).rev() {
        if b.dim(axis) != 1 {
            strides[skipped + axis] = stride;
        }
        stride *= b.dim(axis);
    }
    strides
}

/// The axes padded on the left with ones to five.
fn five_axes(shape: Shape) -> [usize; 5] {
    let mut axes = [1; 5];
    axes[5 - shape.rank()..].copy_from_slice(shape.dims());
    axes
}

impl Op for Binary {
    fn name(&self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Mul => "mul",
        }
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (a, b) = (inputs[0], inputs[1]);
        let fits = a.rank() == b.rank()
            && a.dims()
                .iter()
                .zip(b.dims())
                .all(|(a, b)| a == b || *b == 1);
        if fits {
            Ok(a)
        } else {
            Err(format!("{b} does not broadcast to {a}"))
        }
    }

    fn rows(&self) -> Rows {
        Rows::Broadcast
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let (a, b) = (io.inputs[0], io.inputs[1]);
        let lanes = Lanes::dividing(&[a.shape.last(), b.shape.last()]);
        let broadcast = a.shape != b.shape;
        let mut dispatch = elementwise("binary", lanes, a.shape.len())
            .read("a", Operand::Input(0), a.dtype, lanes)
            .read("b", Operand::Input(1), b.dtype, lanes)
            .write("y", io.output, lanes)
            .constant("PRODUCT", Const::Bool(*self == Self::Mul))
            .constant("BROADCAST", Const::Bool(broadcast));
        // In lanes: the last axis counts lanes, and so do the strides of the others.
        let lane = lanes.count();
        let mut axes = five_axes(a.shape);
        axes[4] /= lane;
        let mut strides = broadcast_strides(a.shape, b.shape);
        for stride in &mut strides[..4] {
            *stride /= lane;
        }
        for (name, axis) in ["axis_1", "axis_2", "axis_3", "axis_4"]
            .into_iter()
            .zip(&axes[1..])
        {
            dispatch = dispatch.param(name, *axis);
        }
        let names = ["stride_0", "stride_1", "stride_2", "stride_3", "stride_4"];
        for (name, stride) in names.into_iter().zip(strides) {
            dispatch = dispatch.param(name, stride);
        }
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (a, b) = (inputs[0], inputs[1]);
        let axes = five_axes(a.shape());
        let strides = broadcast_strides(a.shape(), b.shape());
        let mut y = a.clone();
        for (index, value) in y.data_mut().iter_mut().enumerate() {
            let mut rest = index;
            let mut at = 0;
            for axis in (0..5).rev() {
                at += rest % axes[axis] * strides[axis];
                rest /= axes[axis];
            }
            match self {
                Self::Add => *value += b.data()[at],
                Self::Mul => *value *= b.data()[at],
            }
        }
        y
    }
}

impl<'g> std::ops::Add for Tensor<'g> {
    type Output = Tensor<'g>;

    /// a + b, with b broadcast along its axes of length 1.
    fn add(self, other: Tensor<'g>) -> Tensor<'g> {
        self.apply(Binary::Add, &[other])
    }
}

impl<'g> std::ops::Mul for Tensor<'g> {
    type Output = Tensor<'g>;

    /// a · b, with b broadcast along its axes of length 1.
    fn mul(self, other: Tensor<'g>) -> Tensor<'g> {
        self.apply(Binary::Mul, &[other])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    op_test!(add: [Binary::Add], [
        [[1], [1]],
        [[3, 77], [3, 77]],
        [[2, 5, 7, 8], [2, 1, 1, 8]],
        [[2, 5, 7, 3], [1, 5, 1, 3]],
        [[2, 3, 4], [2, 3, 1]],
        [[2, 77, 48], [1, 77, 48]],
        [[4_194_371], [4_194_371]]
    ], f32 = 1e-6, f16 = 1e-3);
    op_test!(mul: [Binary::Mul], [[[3, 77], [3, 77]], [[2, 5, 7, 8], [2, 1, 1, 8]]], f32 = 1e-6, f16 = 1e-3);
}
