//! A weight as a recording sees it: a name, a shape and a type, but no bytes.

use super::{DType, Shape};
use std::sync::Arc;

/// How a weight lies on the device, seen from how it lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// Byte for byte as in the file.
    AsStored,
    /// A matrix that the file has the other way round.
    Transposed,
    /// A convolution's `[O, I, KH, KW]` turned into `[O, KH, KW, I]` on upload.
    ChannelsLast,
}

/// One weight of a network, found and checked in the checkpoint; its bytes stay in the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Param {
    /// The name under the checkpoint's one naming, part first: `unet.conv_in.weight`.
    pub name: Arc<str>,
    /// The shape on the device, after [`Param::layout`].
    pub shape: Shape,
    /// The element type, as stored.
    pub dtype: DType,
    /// How the device's copy differs from the file's.
    pub layout: Layout,
}

impl Param {
    /// The same weight with a convolution's `[O, I, KH, KW]` laid out as `[O, KH, KW, I]`.
    pub(crate) fn channels_last(self) -> Self {
        let dim = |axis| self.shape.dim(axis);
        Self {
            shape: Shape::from([dim(0), dim(2), dim(3), dim(1)]),
            layout: Layout::ChannelsLast,
            ..self
        }
    }

    /// Bytes in the file and on the device.
    pub(crate) fn size_bytes(&self) -> usize {
        self.shape.len() * self.dtype.size_bytes()
    }
}
