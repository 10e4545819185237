//! Recording: tensors as handles on a recorder, operations as values, nothing computed yet.

mod array;
mod dispatch;
mod dtype;
mod handle;
mod op;
mod param;
mod recorder;
mod shape;

pub use array::Array;
pub(crate) use dispatch::{Caps, Const, Dispatch, Lanes, Operand, ParamValue, Storage};
pub use dtype::DType;
pub use handle::Tensor;
pub(crate) use op::{Checked, Cost, Io, Op, View};
pub use param::{Layout, Param};
pub(crate) use recorder::{Node, NodeId, NodeKind};
pub use recorder::{Recorder, Recording};
pub use shape::{MAX_RANK, Shape};
