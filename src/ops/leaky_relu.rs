//! Rectifiers that let something of the negative side through.

use super::elementwise;
use crate::tensor::{
    Array, Caps, Checked, Const, Dispatch, Io, Lanes, Op, Operand, Param, Shape, Tensor,
};

/// x `[.., C]`, slope `[C]` if channels have their own → the same shape. He et al. 2015
/// (arXiv 1502.01852), eq. 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeakyRelu {
    /// What negative elements are multiplied by, where channels have no slope of their own.
    pub(crate) slope: f32,
}

impl Op for LeakyRelu {
    fn name(&self) -> &'static str {
        "leaky_relu"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let x = inputs[0];
        match inputs.get(1) {
            Some(slope) if slope.dims() != [x.last()] => {
                Err(format!("slopes {slope} are not those of {x}'s channels"))
            }
            _ => Ok(x),
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let (x, channels) = (io.inputs[0], io.output.shape.last());
        let lanes = Lanes::dividing(&[channels]);
        let has_slope = io.inputs.len() == 2;
        // Something must be bound.
        let slope = usize::from(has_slope);
        let dispatch = elementwise("leaky_relu", lanes, x.shape.len())
            .read("x", Operand::Input(0), x.dtype, lanes)
            .read(
                "slope",
                Operand::Input(slope),
                io.inputs[slope].dtype,
                lanes,
            )
            .write("y", io.output, lanes)
            .constant("HAS_SLOPE", Const::Bool(has_slope))
            .param("channels", channels / lanes.count())
            .param_f32("slope", self.slope);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let channels = inputs[0].shape().last();
        let mut y = inputs[0].clone();
        for (index, value) in y.data_mut().iter_mut().enumerate() {
            if *value < 0.0 {
                let own = inputs.get(1).map(|slope| slope.data()[index % channels]);
                *value *= own.unwrap_or(self.slope);
            }
        }
        y
    }
}

impl<'g> Tensor<'g> {
    /// x where that is above 0, else slope · x.
    pub(crate) fn leaky_relu(self, slope: f32) -> Tensor<'g> {
        self.apply(LeakyRelu { slope }, &[])
    }

    /// x `[.., C]` where that is above 0, else slope `[C]` · x.
    pub(crate) fn prelu(self, slope: &Param) -> Tensor<'g> {
        let slope = self.recorder().param(slope);
        self.apply(LeakyRelu { slope: 0.0 }, &[slope])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const FIFTH: LeakyRelu = LeakyRelu { slope: 0.2 };

    op_test!(one_slope: [FIFTH], [[1], [3, 77], [2, 64, 32]], f32 = 1e-6, f16 = 1e-3);
    op_test!(slopes_of_channels: [FIFTH], [
        [[1, 1], [1]],
        [[2, 5, 7, 3], [3]],
        [[2, 5, 7, 8], [8]]
    ], f32 = 1e-6, f16 = 1e-3);
}
