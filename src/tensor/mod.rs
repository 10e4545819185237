//! Recording: tensors as handles on a recorder, operations as values, nothing computed yet.

mod array;
mod choice;
mod dispatch;
mod dtype;
pub(crate) mod float8;
mod handle;
mod op;
mod param;
mod recorder;
mod rules;
mod shape;
mod wrap;

pub(crate) use array::Array;
pub(crate) use choice::KernelChoice;
pub(crate) use dispatch::{Caps, Const, Dispatch, Lanes, Operand, ParamValue, Storage};
pub(crate) use dtype::DType;
pub(crate) use handle::Tensor;
pub(crate) use op::{Checked, Cost, Io, Op, Rows, View};
pub(crate) use param::{Layout, Param};
pub(crate) use recorder::{Cadence, Node, NodeId, NodeKind, Recorder, Recording};
pub use rules::{Rule, Rules};
pub(crate) use shape::{MAX_RANK, Shape};
pub(crate) use wrap::Wrap;
