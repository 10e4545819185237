//! `Tensor<'g>`: a Copy handle on a value of a recording.

use super::{DType, NodeId, Op, Recorder, Shape};
use std::fmt;

/// A value during recording: owns no memory, only knows its recorder and its number.
///
/// The operations on it stand beside their definitions in [`crate::ops`].
#[derive(Clone, Copy)]
pub(crate) struct Tensor<'g> {
    pub(super) recorder: &'g Recorder,
    pub(super) id: NodeId,
}

impl<'g> Tensor<'g> {
    /// The axes, slowest first.
    pub(crate) fn shape(self) -> Shape {
        self.recorder.view(self.id).shape
    }

    /// The length of one axis.
    pub(crate) fn dim(self, axis: usize) -> usize {
        self.shape().dim(axis)
    }

    /// The type the value will have in memory.
    pub(crate) fn dtype(self) -> DType {
        self.recorder.view(self.id).dtype
    }

    /// The recorder it belongs to.
    pub(crate) fn recorder(self) -> &'g Recorder {
        self.recorder
    }

    /// The same elements under another shape; nothing is moved.
    pub(crate) fn reshape(self, shape: impl Into<Shape>) -> Tensor<'g> {
        self.recorder.reshape(self, shape.into())
    }

    /// `[N, C]` → `[N, 1, 1, C]`, so that a sum broadcasts it over height and width.
    pub(crate) fn over_hw(self) -> Tensor<'g> {
        self.reshape([self.dim(0), 1, 1, self.dim(1)])
    }

    /// Records `op` of this tensor and `others`.
    pub(crate) fn apply(self, op: impl Op + 'static, others: &[Tensor<'g>]) -> Tensor<'g> {
        let inputs: Vec<NodeId> = [self]
            .iter()
            .chain(others)
            .map(|tensor| tensor.id)
            .collect();
        self.recorder.record(op, inputs)
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({}, {}{})", self.id, self.dtype(), self.shape())
    }
}
