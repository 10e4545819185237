//! Group normalisation by the moments of more than what is there: those of a whole picture, for one of
//! its tiles.

use super::arithmetic::narrow;
use super::norm_grid::{NormGrid, NormOperands, Outcome};
use crate::tensor::{Array, Caps, Checked, DType, Dispatch, Io, Op, Param, Shape, Tensor};

/// x `[N, .., C]`, own and given moments `[N, 1, G, 2]`, weight and bias `[C]` → the shape of x. A given
/// variance below 0 asks for the own moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupNormShared {
    /// Added to the variance.
    pub(crate) eps: f32,
}

impl Op for GroupNormShared {
    fn name(&self) -> &'static str {
        "group_norm_shared"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let [x, own, given, weight, bias] = [inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]];
        let moments_fit = own == given
            && own.rank() == 4
            && [own.dim(0), own.dim(1), own.dim(3)] == [x.dim(0), 1, 2]
            && x.last().is_multiple_of(own.dim(2));
        if moments_fit && weight.dims() == [x.last()] && weight == bias {
            Ok(x)
        } else {
            Err(format!(
                "x {x}, moments {own} and {given}, weight {weight} and bias {bias} do not fit"
            ))
        }
    }

    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch> {
        let (x, num_groups) = (io.inputs[0], io.inputs[1].shape.dim(2));
        let parts = NormGrid::worthwhile_parts(x, 0, num_groups, caps);
        let operands = NormOperands {
            moments: Some(1),
            given: Some(2),
            weight: Some(3),
            bias: Some(4),
            beside: None,
        };
        let grid = NormGrid::new(x, 0, num_groups, parts, caps);
        vec![grid.dispatch(io, operands, Outcome::Normalised(None), self.eps)]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let [x, own, given] = [inputs[0], inputs[1], inputs[2]];
        let [weight, bias] = [inputs[3].data(), inputs[4].data()];
        let (channels, groups) = (x.shape().last(), own.shape().dim(2));
        let sample = x.shape().len() / x.shape().dim(0);
        let mut y = x.clone();
        for (i, y) in y.data_mut().iter_mut().enumerate() {
            let channel = i % channels;
            let at = 2 * (i / sample * groups + channel / (channels / groups));
            let of = if given.data()[at + 1] < 0.0 {
                own
            } else {
                given
            };
            let [mean, variance] = [of.data()[at], of.data()[at + 1]].map(f64::from);
            let scale = 1.0 / (variance + f64::from(self.eps)).sqrt();
            *y = narrow((f64::from(*y) - mean) * scale) * weight[channel] + bias[channel];
        }
        y
    }

    fn flops(&self, io: &Io) -> u64 {
        4 * io.output.shape.len() as u64
    }
}

/// The output that tells the moments of a plan's shared norm, by its number from 0: `[N, 1, G, 2]`.
pub(crate) fn own_moments(norm: usize) -> String {
    format!("own_moments.{norm}")
}

/// The input that gives a plan's shared norm the moments to use, likewise.
pub(crate) fn given_moments(norm: usize) -> String {
    format!("given_moments.{norm}")
}

impl<'g> Tensor<'g> {
    /// `[N, .., C]` → the same, each group of channels normalised by its own moments or by those that
    /// the input of that number gives.
    pub(super) fn group_norm_shared(
        self,
        [weight, bias]: [&Param; 2],
        num_groups: usize,
        eps: f32,
        norm: usize,
    ) -> Tensor<'g> {
        let recorder = self.recorder();
        let own = self.group_moments(num_groups);
        let given = recorder.input(&given_moments(norm), own.shape(), DType::F32);
        recorder.output(&own_moments(norm), own);
        let [weight, bias] = [recorder.param(weight), recorder.param(bias)];
        self.apply(GroupNormShared { eps }, &[own, given, weight, bias])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, seeded};

    #[test]
    fn given_moments_are_used_where_their_variance_is_not_negative() {
        let op = GroupNormShared { eps: 1e-5 };
        for (x, groups) in [(Shape::from([1, 2, 4]), 4), (Shape::from([2, 9, 13, 8]), 2)] {
            let moments = |seed| seeded([x.dim(0), 1, groups, 2].into(), seed);
            let mut own = moments(2);
            // Any own variance, and of the given ones some below 0.
            own.data_mut()
                .iter_mut()
                .for_each(|value| *value = value.abs());
            let given = moments(3);
            assert!(
                given
                    .data()
                    .iter()
                    .skip(1)
                    .step_by(2)
                    .any(|value| *value < 0.0)
            );
            for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F16, 3e-3)] {
                let channels = Shape::from([x.last()]);
                let inputs = [
                    (seeded(x, 1), dtype),
                    (own.clone(), DType::F32),
                    (given.clone(), DType::F32),
                    (seeded(channels, 4), dtype),
                    (seeded(channels, 5), dtype),
                ];
                check_arrays(&op, &inputs, tolerance);
            }
        }
    }
}
