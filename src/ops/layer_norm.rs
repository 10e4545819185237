//! Layer normalisation over the channels.

use super::arithmetic::narrow;
use super::select::reduction;
use crate::tensor::{
    Array, Caps, Checked, Dispatch, Io, Lanes, Op, Operand, Param, Rows, Shape, Tensor,
};

/// The operation's name.
const NAME: &str = "layer_norm";

/// x `[.., C]`, weight and bias `[C]` → the same shape. Ba et al. 2016 (arXiv 1607.06450).
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    /// Added to the variance.
    pub(crate) eps: f32,
}

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (x, weight, bias) = (inputs[0], inputs[1], inputs[2]);
        if weight.dims() == [x.last()] && weight == bias {
            Ok(x)
        } else {
            Err(format!(
                "x {x} does not fit weight {weight} and bias {bias}"
            ))
        }
    }

    fn rows(&self) -> Rows {
        Rows::Leading
    }

    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch> {
        let [x, weight, bias] = [io.inputs[0], io.inputs[1], io.inputs[2]];
        let lanes = Lanes::dividing(&[x.shape.last()]);
        let dispatch = reduction(Dispatch::new("layer_norm", lanes), NAME, caps)
            .read("x", Operand::Input(0), x.dtype, lanes)
            .read("weight", Operand::Input(1), weight.dtype, lanes)
            .read("bias", Operand::Input(2), bias.dtype, lanes)
            .write("y", io.output, lanes)
            .param("rows", x.shape.rows())
            .param("channels", x.shape.last() / lanes.count())
            .param_f32("eps", self.eps)
            .groups(x.shape.rows());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let [x, weight, bias] = [inputs[0], inputs[1], inputs[2]];
        let mut y = x.clone();
        for row in y.data_mut().chunks_exact_mut(x.shape().last()) {
            let count = row.len() as f64;
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
            let variance = row
                .iter()
                .map(|&x| (f64::from(x) - mean).powi(2))
                .sum::<f64>()
                / count;
            let scale = 1.0 / (variance + f64::from(self.eps)).sqrt();
            for (channel, x) in row.iter_mut().enumerate() {
                let normal = narrow((f64::from(*x) - mean) * scale);
                *x = normal * weight.data()[channel] + bias.data()[channel];
            }
        }
        y
    }

    fn flops(&self, io: &Io) -> u64 {
        7 * io.output.shape.len() as u64 // two for the mean and variance each, three to normalise
    }
}

impl<'g> Tensor<'g> {
    /// `[.., C]` → the same, each row normalised.
    pub(crate) fn layer_norm(self, weight: &Param, bias: &Param, eps: f32) -> Tensor<'g> {
        let recorder = self.recorder();
        self.apply(
            LayerNorm { eps },
            &[recorder.param(weight), recorder.param(bias)],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{self, op_test};
    use crate::tensor::DType;

    const NORM: LayerNorm = LayerNorm { eps: 1e-5 };

    op_test!(layer_norm: [NORM], [
        [[1, 2], [2], [2]],
        [[3, 7, 65], [65], [65]],
        [[2, 77, 128], [128], [128]],
        [[5, 1280], [1280], [1280]],
        [[65537, 3], [3], [3]]
    ], f32 = 5e-5, f16 = 3e-3);

    #[test]
    fn rows_far_from_zero_keep_their_spread() {
        // A mean of 1000 is known to 6e-5 at best, of values that differ by 0.6: 1e-4, and as much
        // again for its sum. From squares about zero, 1e6 known to 0.06, nothing would be left.
        const TOLERANCE: f32 = 2e-4;
        let shape = Shape::from([3, 320]);
        let x = testing::seeded(shape, 1).map(|x| x + 1000.0);
        let [weight, bias] = [2, 3].map(|seed| testing::seeded([320].into(), seed));
        let inputs = [x, weight, bias].map(|array| (array, DType::F32));
        testing::check_arrays(&NORM, &inputs, TOLERANCE);
    }
}
