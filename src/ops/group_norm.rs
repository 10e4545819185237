//! Group normalisation, channels last.

use super::{Activation, Concat, arithmetic::narrow};
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Lanes, Op, Operand, Param, Shape, Tensor,
};

/// x `[N, .., C]`, weight and bias `[C]` → the same shape. Wu & He 2018 (arXiv 1803.08494).
///
/// Where there is a value beside x, `[N, .., B]`, weight and bias are `[C + B]` and the two are
/// normalised side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupNorm {
    /// How many groups the channels make.
    pub(crate) num_groups: usize,
    /// Added to the variance.
    pub(crate) eps: f32,
    /// What follows in the same kernel, if anything.
    pub(crate) activation: Option<Activation>,
    /// Whether there is a fourth input, beside x.
    pub(crate) beside: bool,
    /// What comes out.
    pub(crate) result: NormResult,
}

/// What a group norm gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NormResult {
    /// What is normalised.
    Normalised,
    /// The factors of each channel and what is added, `[N, 2, C]` in f32, for whoever normalises.
    Coefficients,
}

impl Op for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (weight, bias) = (inputs[1], inputs[2]);
        let x = match inputs.get(3) {
            Some(&beside) => Concat.shape(&[inputs[0], beside])?,
            None => inputs[0],
        };
        let fits = weight.dims() == [x.last()] && weight == bias && x.rank() >= 2;
        if !fits || x.last() % self.num_groups != 0 || (inputs.len() == 4) != self.beside {
            let groups = self.num_groups;
            return Err(format!(
                "x {x}, weight {weight} and bias {bias} do not make {groups} groups"
            ));
        }
        Ok(match self.result {
            NormResult::Normalised => x,
            NormResult::Coefficients => Shape::from([x.dim(0), 2, x.last()]),
        })
    }

    fn dtype(&self, inputs: &[DType]) -> DType {
        match self.result {
            NormResult::Normalised => inputs[0],
            NormResult::Coefficients => DType::F32,
        }
    }

    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch> {
        let [x, weight, bias] = [io.inputs[0], io.inputs[1], io.inputs[2]];
        let (channels, x_channels) = (weight.shape.last(), x.shape.last());
        // GPUs join neighbours' loads, and one kernel serves groups of any width.
        let lanes = match caps.simd {
            Some(_) => Lanes::dividing(&[channels / self.num_groups, x_channels]),
            None => Lanes::One,
        };
        let beside = io
            .inputs
            .get(3)
            .map(|beside| (Operand::Input(3), beside.dtype));
        let is_coefficients = self.result == NormResult::Coefficients;
        let dispatch = Dispatch::new("group_norm", lanes)
            .read("x", Operand::Input(0), x.dtype, lanes)
            .read("weight", Operand::Input(1), weight.dtype, lanes)
            .read("bias", Operand::Input(2), bias.dtype, lanes)
            .write("y", io.output, lanes)
            .read_if("beside", beside, lanes)
            .constant("ACTIVATION", Const::U32(Activation::code(self.activation)))
            .constant("COEFFICIENTS", Const::Bool(is_coefficients))
            .param("batch", x.shape.dim(0))
            .param("positions", x.shape.len() / x.shape.dim(0) / x_channels)
            .param("channels", channels / lanes.count())
            .param("x_channels", x_channels / lanes.count())
            .param("num_groups", self.num_groups)
            .param_f32("eps", self.eps)
            .groups(x.shape.dim(0) * self.num_groups);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (weight, bias) = (inputs[1], inputs[2]);
        let mut y = match inputs.get(3) {
            Some(beside) => Concat.reference(&[inputs[0], beside]),
            None => inputs[0].clone(),
        };
        let channels = y.shape().last();
        let width = channels / self.num_groups;
        let (samples, sample) = (y.shape().dim(0), y.shape().len() / y.shape().dim(0));
        let mut coefficients = Array::zeros([samples, 2, channels]);
        let of_samples = coefficients.data_mut().chunks_exact_mut(2 * channels);
        for (y, coefficients) in y.data_mut().chunks_exact_mut(sample).zip(of_samples) {
            for first in (0..channels).step_by(width) {
                let members = || {
                    (first..sample)
                        .step_by(channels)
                        .flat_map(|start| start..start + width)
                };
                let count = (sample / channels * width) as f64;
                let mean = members().map(|i| f64::from(y[i])).sum::<f64>() / count;
                let variance = members()
                    .map(|i| (f64::from(y[i]) - mean).powi(2))
                    .sum::<f64>()
                    / count;
                let scale = 1.0 / (variance + f64::from(self.eps)).sqrt();
                for i in members() {
                    let normal = narrow((f64::from(y[i]) - mean) * scale);
                    y[i] = normal * weight.data()[i % channels] + bias.data()[i % channels];
                }
                for channel in first..first + width {
                    let factor = scale * f64::from(weight.data()[channel]);
                    let added = f64::from(bias.data()[channel]) - mean * factor;
                    coefficients[channel] = narrow(factor);
                    coefficients[channels + channel] = narrow(added);
                }
            }
        }
        match (self.result, self.activation) {
            (NormResult::Coefficients, _) => coefficients,
            (NormResult::Normalised, Some(activation)) => activation.reference(&[&y]),
            (NormResult::Normalised, None) => y,
        }
    }

    fn flops(&self, io: &Io) -> u64 {
        let beside = io.inputs.get(3).map_or(0, |beside| beside.shape.len());
        let elements = (io.inputs[0].shape.len() + beside) as u64;
        // Two for the mean and variance each, three to normalise.
        match self.result {
            NormResult::Normalised => elements * (7 + u64::from(self.activation.is_some())),
            NormResult::Coefficients => elements * 4,
        }
    }
}

impl GroupNorm {
    /// A group norm that nothing follows.
    pub(crate) const fn plain(num_groups: usize, eps: f32) -> Self {
        Self {
            num_groups,
            eps,
            activation: None,
            beside: false,
            result: NormResult::Normalised,
        }
    }
}

impl<'g> Tensor<'g> {
    /// `[N, .., C]` → the same, each group of channels normalised over all positions; by moments that
    /// the caller may give, where the recorder shares norms.
    pub(crate) fn group_norm(
        self,
        weight: &Param,
        bias: &Param,
        num_groups: usize,
        eps: f32,
    ) -> Tensor<'g> {
        let recorder = self.recorder();
        if let Some(norm) = recorder.next_shared_norm() {
            return self.group_norm_shared([weight, bias], num_groups, eps, norm);
        }
        self.apply(
            GroupNorm::plain(num_groups, eps),
            &[recorder.param(weight), recorder.param(bias)],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const FOUR: GroupNorm = GroupNorm::plain(4, 1e-5);
    const ONE: GroupNorm = GroupNorm::plain(1, 1e-6);
    const MANY: GroupNorm = GroupNorm::plain(32_771, 1e-5);
    const SILU: GroupNorm = GroupNorm {
        activation: Some(Activation::Silu),
        ..FOUR
    };
    const OF_TWO: GroupNorm = GroupNorm {
        beside: true,
        ..SILU
    };
    const COEFFICIENTS: GroupNorm = GroupNorm {
        result: NormResult::Coefficients,
        ..FOUR
    };
    const COEFFICIENTS_OF_TWO: GroupNorm = GroupNorm {
        beside: true,
        ..COEFFICIENTS
    };

    op_test!(of_two: [OF_TWO, COEFFICIENTS_OF_TWO], [
        [[2, 9, 13, 20], [32], [32], [2, 9, 13, 12]],
        [[2, 9, 13, 5], [8], [8], [2, 9, 13, 3]],
        [[1, 2, 2], [4], [4], [1, 2, 2]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(coefficients: [COEFFICIENTS], [[[2, 9, 13, 8], [8], [8]], [[2, 63, 48], [48], [48]]], f32 = 2e-5, f16 = 3e-3);

    /// A mean of a thousand deviations: the square of the mean less the mean of squares would leave
    /// nothing of the variance.
    #[test]
    fn a_large_mean_cancels_nothing() {
        let x = crate::ops::testing::seeded(Shape::from([2, 4099, 8]), 1).map(|x| x + 1000.0);
        let ones = Array::new([8], vec![1.0; 8]);
        let inputs = [x, ones.clone(), ones].map(|array| (array, DType::F32));
        // The values themselves have 6e-5 of rounding at 1000, a deviation being 0.58.
        crate::ops::testing::check_arrays(&FOUR, &inputs, 2e-4);
    }

    op_test!(four_groups: [FOUR, SILU], [
        [[1, 2, 4], [4], [4]],
        [[2, 9, 13, 8], [8], [8]],
        [[2, 3, 5, 20], [20], [20]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(one_group: [ONE], [[[1, 2, 1], [1], [1]], [[2, 131, 7], [7], [7]]], f32 = 2e-5, f16 = 3e-3);
    op_test!(more_groups_than_one_grid_axis_holds: [MANY], [[[2, 2, 32771], [32771], [32771]]], f32 = 2e-5, f16 = 3e-3);
}
