//! The contract of an operation.

use super::{Array, Caps, DType, Dispatch, Shape};
use std::any::Any;
use std::fmt;

/// The result of a shape rule: the output's shape, or what does not fit.
pub(crate) type Checked<T> = std::result::Result<T, String>;

/// A value's shape and the type it has in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The axes, slowest first.
    pub(crate) shape: Shape,
    /// The element type in memory.
    pub(crate) dtype: DType,
}

impl View {
    /// Bytes in memory, before any padding.
    pub(crate) fn size_bytes(&self) -> u64 {
        (self.shape.len() * self.dtype.size_bytes()) as u64
    }
}

/// The inputs and the output of one node.
#[derive(Clone, Debug)]
pub(crate) struct Io {
    /// The inputs, in the operation's order.
    pub(crate) inputs: Vec<View>,
    /// The output.
    pub(crate) output: View,
}

/// What an operation does with the rows of its first input: the parts along the slowest axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Nothing that is said here.
    Mixed,
    /// One axis more in front of the first input is one more in front of the result, in which each
    /// row comes of one row.
    Leading,
    /// The same, where the other inputs get an axis of length 1.
    Broadcast,
    /// The result is one of them: its place stands in that element of the second input.
    Selected(usize),
}

/// What a node costs, by counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Floating-point operations, a multiply-add being two.
    pub(crate) flops: u64,
    /// Bytes read and written when each operand is moved once.
    pub(crate) bytes: u64,
}

/// One operation: its shape rule, its shader, its cost and its definition in plain f32.
pub(crate) trait Op: Any + fmt::Debug + Send + Sync {
    /// The name, in `describe` and in messages.
    fn name(&self) -> &'static str;

    /// The output's shape, or what does not fit.
    fn shape(&self, inputs: &[Shape]) -> Checked<Shape>;

    /// The output's type in memory: the first input's, unless the operation says otherwise.
    fn dtype(&self, inputs: &[DType]) -> DType {
        inputs[0]
    }

    /// What it does with the rows of its first input.
    fn rows(&self) -> Rows {
        Rows::Mixed
    }

    /// The dispatches that compute it. More than one only where a binding would be too large.
    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch>;

    /// The definition, in plain f32.
    fn reference(&self, inputs: &[&Array]) -> Array;

    /// Floating-point operations of one evaluation, a multiply-add being two.
    fn flops(&self, io: &Io) -> u64 {
        io.output.shape.len() as u64
    }

    /// Floating-point operations and bytes.
    fn cost(&self, io: &Io) -> Cost {
        let moved = io.inputs.iter().chain([&io.output]);
        Cost {
            flops: self.flops(io),
            bytes: moved.map(View::size_bytes).sum(),
        }
    }
}
