//! Group normalisation, channels last.

use super::norm_grid::{NormGrid, NormOperands, Outcome};
use super::{Activation, Concat, arithmetic::narrow};
use crate::tensor::{
    Array, Caps, Checked, Cost, DType, Dispatch, Io, Op, Param, Shape, Tensor, View,
};

/// x `[N, .., C]`, weight and bias `[C]` → the same shape. Wu & He 2018 (arXiv 1803.08494).
///
/// Where there is a value beside x, `[N, .., B]`, weight and bias are `[C + B]` and the two are
/// normalised side by side. Where moments are known, `[N, parts, G, 2]`, they come last.
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
    /// Whether the last input holds the moments of parts of the rows.
    pub(crate) known: bool,
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
        let x = match self.beside.then(|| inputs[3]) {
            Some(beside) => Concat.shape(&[inputs[0], beside])?,
            None => inputs[0],
        };
        let fits = weight.dims() == [x.last()] && weight == bias && x.rank() >= 2;
        let moments = self.known.then(|| inputs[inputs.len() - 1]);
        let is_known = |moments: Shape| {
            let [n, groups] = [x.dim(0), self.num_groups];
            moments.rank() == 4 && [n, moments.dim(1), groups, 2] == moments.dims()
        };
        if !fits || x.last() % self.num_groups != 0 || !moments.is_none_or(is_known) {
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
        let (x, beside) = (io.inputs[0], self.beside_channels(io));
        // What reads x once more takes as many parts as have been measured, or more.
        let parts = match (self.known, self.result) {
            (true, NormResult::Normalised) => {
                NormGrid::worthwhile_parts(x, beside, self.num_groups, caps)
            }
            _ => 1,
        };
        let operands = NormOperands {
            weight: Some(1),
            bias: Some(2),
            beside: self.beside.then_some(3),
            moments: self.known.then_some(io.inputs.len() - 1),
            given: None,
        };
        let outcome = match self.result {
            NormResult::Normalised => Outcome::Normalised(self.activation),
            NormResult::Coefficients => Outcome::Coefficients,
        };
        let grid = NormGrid::new(x, beside, self.num_groups, parts, caps);
        vec![grid.dispatch(io, operands, outcome, self.eps)]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (weight, bias) = (inputs[1], inputs[2]);
        let mut y = match self.beside.then(|| inputs[3]) {
            Some(beside) => Concat.reference(&[inputs[0], beside]),
            None => inputs[0].clone(),
        };
        let channels = y.shape().last();
        let width = channels / self.num_groups;
        let (samples, sample) = (y.shape().dim(0), y.shape().len() / y.shape().dim(0));
        let mut coefficients = Array::zeros([samples, 2, channels]);
        let of_samples = coefficients.data_mut().chunks_exact_mut(2 * channels);
        let known = self.known.then(|| inputs[inputs.len() - 1]);
        let of_samples = y.data_mut().chunks_exact_mut(sample).zip(of_samples);
        for (n, (y, coefficients)) in of_samples.enumerate() {
            for first in (0..channels).step_by(width) {
                let members = || {
                    (first..sample)
                        .step_by(channels)
                        .flat_map(|start| start..start + width)
                };
                let [mean, variance] = match known {
                    Some(known) => joined(known, sample / channels, n, first / width),
                    None => moments_of(members().map(|i| y[i])),
                };
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
        let x = io.inputs[0].shape;
        let elements = (x.rows() * (x.last() + self.beside_channels(io))) as u64;
        // Two for the mean and variance each, three to normalise.
        let measured = if self.known { 0 } else { 4 };
        match self.result {
            NormResult::Normalised => {
                elements * (measured + 3 + u64::from(self.activation.is_some()))
            }
            NormResult::Coefficients => elements * measured,
        }
    }

    fn cost(&self, io: &Io) -> Cost {
        let of_x = |place: usize| place == 0 || (self.beside && place == 3);
        let is_read = self.result == NormResult::Normalised || !self.known;
        let read = io.inputs.iter().enumerate();
        let read = read.filter(|(place, _)| is_read || !of_x(*place));
        let moved = read.map(|(_, view)| view).chain([&io.output]);
        Cost {
            flops: self.flops(io),
            bytes: moved.map(View::size_bytes).sum(),
        }
    }
}

/// Mean and variance of values.
pub(super) fn moments_of(values: impl Iterator<Item = f32> + Clone) -> [f64; 2] {
    let values = values.map(f64::from);
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares = values.map(|value| (value - mean).powi(2));
    [mean, squares.sum::<f64>() / count]
}

/// Mean and variance of group `group` of sample `n`, of moments `[N, parts, G, 2]` of so many rows.
fn joined(moments: &Array, rows: usize, n: usize, group: usize) -> [f64; 2] {
    let (parts, groups) = (moments.shape().dim(1), moments.shape().dim(2));
    let part_rows = rows.div_ceil(parts);
    let of_part = (0..parts).map(|part| {
        let at = 2 * ((n * parts + part) * groups + group);
        let [mean, variance] = [0, 1].map(|i| f64::from(moments.data()[at + i]));
        let own = part_rows.min(rows - rows.min(part * part_rows));
        (own as f64 / rows as f64, mean, variance)
    });
    let mean: f64 = of_part.clone().map(|(share, mean, _)| share * mean).sum();
    let squares = of_part.map(|(share, own, variance)| share * (variance + (own - mean).powi(2)));
    [mean, squares.sum()]
}

impl GroupNorm {
    /// A group norm that nothing follows.
    pub(crate) const fn plain(num_groups: usize, eps: f32) -> Self {
        Self {
            num_groups,
            eps,
            activation: None,
            beside: false,
            known: false,
            result: NormResult::Normalised,
        }
    }

    /// How many channels there are beside x.
    fn beside_channels(&self, io: &Io) -> usize {
        if self.beside {
            io.inputs[3].shape.last()
        } else {
            0
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

    // Groups of 10 channels, as SD 1.5's; of 5 and 3, whose sets are of four lanes and of one; of more lanes than a
    // workgroup has invocations; and a single row.
    const THIRTY_TWO: GroupNorm = GroupNorm::plain(32, 1e-5);
    const IN_ONE: GroupNorm = GroupNorm {
        result: NormResult::Coefficients,
        ..ONE
    };
    op_test!(widths: [THIRTY_TWO], [
        [[2, 77, 320], [320], [320]],
        [[1, 77, 160], [160], [160]],
        [[3, 7, 96], [96], [96]],
        [[1, 33, 1280], [1280], [1280]],
        [[2, 1, 64], [64], [64]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(wide: [ONE, IN_ONE], [
        [[1, 3, 1100], [1100], [1100]],
        [[2, 2, 301], [301], [301]],
        [[1, 1, 5000], [5000], [5000]]
    ], f32 = 2e-5, f16 = 3e-3);

    /// Moments that others measured, of parts of which the last is short or empty.
    #[test]
    fn known_moments_are_joined() {
        let [of_one, coefficients] = [SILU, COEFFICIENTS].map(|op| GroupNorm { known: true, ..op });
        let of_two = GroupNorm {
            known: true,
            ..OF_TWO
        };
        for (rows, parts) in [(1, 1), (77, 3), (9, 4), (23, 7), (400, 128)] {
            let moments = crate::ops::testing::seeded([2, parts, 4, 2].into(), 9);
            let moments = moments.map(|value| value.abs() + 0.1);
            let channels = Shape::from([20]);
            let array = |shape: Shape, seed| crate::ops::testing::seeded(shape, seed);
            for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F16, 3e-3)] {
                let x = |channels| (array([2, rows, channels].into(), 1), dtype);
                let [weight, bias] = [2, 3].map(|seed| (array(channels, seed), dtype));
                let moments = (moments.clone(), DType::F32);
                let of_x = [x(20), weight.clone(), bias.clone(), moments.clone()];
                for op in [of_one, coefficients] {
                    crate::ops::testing::check_arrays(&op, &of_x, tolerance);
                }
                let beside = [x(12), weight, bias, x(8), moments];
                crate::ops::testing::check_arrays(&of_two, &beside, tolerance);
            }
        }
    }

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
