//! Group normalisation, channels last.

use super::arithmetic::narrow;
use crate::tensor::{Array, Caps, Checked, Dispatch, Io, Lanes, Op, Operand, Param, Shape, Tensor};

/// x `[N, .., C]`, weight and bias `[C]` → the same shape. Wu & He 2018 (arXiv 1803.08494).
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupNorm {
    /// How many groups the channels make.
    pub(crate) num_groups: usize,
    /// Added to the variance.
    pub(crate) eps: f32,
}

impl Op for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (x, weight, bias) = (inputs[0], inputs[1], inputs[2]);
        let fits = weight.dims() == [x.last()] && weight == bias && x.rank() >= 2;
        if fits && x.last() % self.num_groups == 0 {
            Ok(x)
        } else {
            let groups = self.num_groups;
            Err(format!(
                "x {x}, weight {weight} and bias {bias} do not make {groups} groups"
            ))
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let [x, weight, bias] = [io.inputs[0], io.inputs[1], io.inputs[2]];
        let dispatch = Dispatch::new("group_norm", Lanes::One)
            .read("x", Operand::Input(0), x.dtype, Lanes::One)
            .read("weight", Operand::Input(1), weight.dtype, Lanes::One)
            .read("bias", Operand::Input(2), bias.dtype, Lanes::One)
            .write("y", io.output, Lanes::One)
            .param("batch", x.shape.dim(0))
            .param("positions", x.shape.len() / x.shape.dim(0) / x.shape.last())
            .param("channels", x.shape.last())
            .param("num_groups", self.num_groups)
            .param_f32("eps", self.eps)
            .groups(x.shape.dim(0) * self.num_groups);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let [x, weight, bias] = [inputs[0], inputs[1], inputs[2]];
        let channels = x.shape().last();
        let width = channels / self.num_groups;
        let mut y = x.clone();
        let sample = x.shape().len() / x.shape().dim(0);
        for y in y.data_mut().chunks_exact_mut(sample) {
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
            }
        }
        y
    }

    fn flops(&self, io: &Io) -> u64 {
        7 * io.output.shape.len() as u64 // two for the mean and variance each, three to normalise
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
            GroupNorm { num_groups, eps },
            &[recorder.param(weight), recorder.param(bias)],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const FOUR: GroupNorm = GroupNorm {
        num_groups: 4,
        eps: 1e-5,
    };
    const ONE: GroupNorm = GroupNorm {
        num_groups: 1,
        eps: 1e-6,
    };
    const MANY: GroupNorm = GroupNorm {
        num_groups: 32_771,
        eps: 1e-5,
    };

    op_test!(four_groups: [FOUR], [
        [[1, 2, 4], [4], [4]],
        [[2, 9, 13, 8], [8], [8]],
        [[2, 3, 5, 20], [20], [20]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(one_group: [ONE], [[[1, 2, 1], [1], [1]], [[2, 131, 7], [7], [7]]], f32 = 2e-5, f16 = 3e-3);
    op_test!(more_groups_than_one_grid_axis_holds: [MANY], [[[2, 2, 32771], [32771], [32771]]], f32 = 2e-5, f16 = 3e-3);
}
