//! What is done to the rows of a matrix product while its kernel loads them.

use super::{Activation, Concat};
use crate::tensor::{Array, Checked, Const, Dispatch, Io, Lanes, Op, Operand, Shape};

/// The rows are x, or x and another value side by side, or the group norm of that.
///
/// The operation's inputs end with as many as there are of the other value `[.., B]` and the norm's
/// coefficients `[N, 2, C]`, the factors of each channel before what is added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// Whether there is a value beside x.
    pub(crate) beside: bool,
    /// What a group norm does, if there is one.
    pub(crate) norm: Option<NormInLoad>,
}

/// A group norm whose coefficients are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NormInLoad {
    /// The function after it, if there is one.
    pub(crate) activation: Option<Activation>,
}

impl Load {
    /// x as it is.
    pub(crate) const PLAIN: Self = Self {
        beside: false,
        norm: None,
    };

    /// The inputs before those of the load, the value beside x, and the coefficients.
    pub(super) fn split<'i, T>(&self, inputs: &'i [T]) -> (&'i [T], Option<&'i T>, Option<&'i T>) {
        let norm_at = inputs.len() - usize::from(self.norm.is_some());
        let beside_at = norm_at - usize::from(self.beside);
        let beside = self.beside.then(|| &inputs[beside_at]);
        let norm = self.norm.map(|_| &inputs[norm_at]);
        (&inputs[..beside_at], beside, norm)
    }

    /// The shape of the rows, if the inputs fit.
    pub(super) fn rows(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (_, beside, norm) = self.split(inputs);
        let x = inputs[0];
        let rows = match beside {
            Some(beside) => Concat.shape(&[x, *beside])?,
            None => x,
        };
        let fits = norm.is_none_or(|norm| norm.dims() == [x.dim(0), 2, rows.last()]);
        if fits {
            Ok(rows)
        } else {
            Err(format!("coefficients {norm:?} do not fit {rows}"))
        }
    }

    /// The lanes in which the rows can be read.
    pub(super) fn lanes(&self, io: &Io) -> Lanes {
        let (_, beside, _) = self.split(&io.inputs);
        let other = beside.map_or(0, |beside| beside.shape.last());
        Lanes::dividing(&[io.inputs[0].shape.last(), other])
    }

    /// Binds what there is beside x, and sets what `common/rows.wgsl` needs.
    pub(super) fn lower(&self, dispatch: Dispatch, io: &Io) -> Dispatch {
        let (first, beside, norm) = self.split(&io.inputs);
        let lanes = dispatch.lanes;
        let place = first.len();
        let beside_operand = beside.map(|beside| (Operand::Input(place), beside.dtype));
        let norm_place = place + usize::from(self.beside);
        let norm_operand = norm.map(|norm| (Operand::Input(norm_place), norm.dtype));
        let activation = self.norm.and_then(|norm| norm.activation);
        let x_depth = io.inputs[0].shape.last();
        let depth = x_depth + beside.map_or(0, |beside| beside.shape.last());
        dispatch
            .read_if("beside", beside_operand, lanes)
            .read_if("norm", norm_operand, lanes)
            .constant("LOAD_ACTIVATION", Const::U32(Activation::code(activation)))
            .param("depth", depth / lanes.count())
            .param("x_depth", x_depth / lanes.count())
    }

    /// The definition: the rows.
    pub(super) fn reference(&self, inputs: &[&Array]) -> Array {
        let (_, beside, norm) = self.split(inputs);
        let rows = match beside {
            Some(beside) => Concat.reference(&[inputs[0], beside]),
            None => inputs[0].clone(),
        };
        let (Some(norm), Some(NormInLoad { activation })) = (norm, self.norm) else {
            return rows;
        };
        let (shape, channels) = (rows.shape(), rows.shape().last());
        let sample = shape.len() / shape.dim(0);
        let mut normal = rows;
        for (i, x) in normal.data_mut().iter_mut().enumerate() {
            let first = i / sample * 2 * channels + i % channels;
            *x = *x * norm.data()[first] + norm.data()[first + channels];
        }
        match activation {
            Some(activation) => activation.reference(&[&normal]),
            None => normal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;
    use crate::ops::{Conv2d, Conv2dGeometry, Linear, Padding};

    const BESIDE: Load = Load {
        beside: true,
        norm: None,
    };
    const NORM: Load = Load {
        beside: false,
        norm: Some(NormInLoad { activation: None }),
    };
    const BOTH: Load = Load {
        beside: true,
        norm: Some(NormInLoad {
            activation: Some(Activation::Silu),
        }),
    };

    const fn linear(load: Load) -> Linear {
        Linear {
            load,
            ..Linear::PLAIN
        }
    }

    const fn conv2d(load: Load) -> Conv2d {
        let geometry = Conv2dGeometry {
            stride: 1,
            padding: Padding::same(1),
        };
        Conv2d {
            load,
            ..Conv2d::plain(geometry)
        }
    }

    op_test!(linear_of_two: [linear(BESIDE)], [
        [[2, 19, 12], [40, 20], [40], [2, 19, 8]],
        [[2, 19, 5], [7, 8], [2, 19, 3]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(linear_of_norm: [linear(NORM)], [
        [[2, 19, 12], [40, 12], [40], [2, 2, 12]],
        [[2, 19, 5], [7, 5], [2, 2, 5]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(convolution_of_two: [conv2d(BESIDE)], [
        [[2, 5, 7, 8], [12, 3, 3, 12], [12], [2, 5, 7, 4]],
        [[2, 5, 7, 3], [12, 3, 3, 5], [2, 5, 7, 2]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(convolution_of_norm: [conv2d(BOTH)], [
        [[2, 5, 7, 8], [12, 3, 3, 12], [12], [2, 5, 7, 4], [2, 2, 12]],
        [[2, 5, 7, 3], [12, 3, 3, 5], [2, 5, 7, 2], [2, 2, 5]]
    ], f32 = 2e-5, f16 = 3e-3);
}
