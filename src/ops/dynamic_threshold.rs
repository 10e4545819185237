//! Dynamic thresholding: the model's picture pulled into −1..1 by its own spread.

use super::sampler_step::guided;
use super::{MAX_BRANCHES, RowField, STATE_SLOTS};
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor,
};

/// state `[S, N, H, W, C]`, output F `[branches·N, H, W, C]`, row `[R]` → the prediction
/// `[N, H, W, C]` whose D is clamped to ±s and divided by s, where s is a quantile of |D| over a
/// picture. Saharia et al. 2022 (arXiv 2205.11487), §2.3; diffusers' `_threshold_sample`, after which
/// all that a step takes follows from that D (in its DDIM, where `use_clipped_model_output`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct DynamicThreshold;

impl Op for DynamicThreshold {
    fn name(&self) -> &'static str {
        "dynamic_threshold"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let [state, output, row] = [inputs[0], inputs[1], inputs[2]];
        let latent = state.len() / STATE_SLOTS;
        let branches = output.len() / latent;
        let fits = state.rank() == 5
            && state.dim(0) == STATE_SLOTS
            && row.dims() == [RowField::COUNT]
            && (1..=MAX_BRANCHES).contains(&branches)
            && output.len() == branches * latent;
        if fits {
            Ok(Shape::from([1, 2, 3, 4].map(|axis| state.dim(axis))))
        } else {
            Err(format!(
                "state {state}, output {output} and row {row} do not belong together"
            ))
        }
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        DType::F32
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let output = io.inputs[1];
        let (latent, batch) = (io.output.shape.len(), io.output.shape.dim(0));
        #[expect(clippy::cast_possible_truncation, reason = "there are few branches")]
        let branches = (output.shape.len() / latent) as u32;
        let mut dispatch = Dispatch::new("dynamic_threshold", Lanes::One)
            .read("x", Operand::Input(0), DType::F32, Lanes::One)
            .read("output", Operand::Input(1), output.dtype, Lanes::One)
            .read("row", Operand::Input(2), DType::F32, Lanes::One)
            .write("y", io.output, Lanes::One)
            .constant("BRANCHES", Const::U32(branches))
            .param("batch", batch)
            .param("count", latent / batch)
            .groups(batch);
        for (name, field) in [
            ("ROW_C_SKIP", RowField::CSkip),
            ("ROW_C_OUT", RowField::COut),
            ("ROW_GUIDANCE", RowField::Guidance),
            ("ROW_THRESHOLD", RowField::Threshold),
            ("ROW_THRESHOLD_MAX", RowField::ThresholdMax),
        ] {
            dispatch = dispatch.constant(name, Const::U32(field.index()));
        }
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let [state, output, row] = [inputs[0], inputs[1], inputs[2]];
        let field = |field: RowField| row.data()[field as usize];
        let shape = self.shape(&[state.shape(), output.shape(), row.shape()]);
        let shape = shape.expect("shapes were checked when recording");
        let (latent, picture) = (shape.len(), shape.len() / shape.dim(0));
        let (skip, out) = (field(RowField::CSkip), field(RowField::COut));
        let denoised = |i: usize| skip * state.data()[i] + out * guided(output, row, latent, i);
        let mut data = Vec::with_capacity(latent);
        for start in (0..latent).step_by(picture) {
            let values: Vec<f32> = (start..start + picture).map(denoised).collect();
            let mut sizes: Vec<f32> = values.iter().map(|value| value.abs()).collect();
            sizes.sort_by(f32::total_cmp);
            let position = field(RowField::Threshold) * (picture - 1) as f32;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a place in the list"
            )]
            let rank = position as usize;
            let (lower, upper) = (sizes[rank], sizes[(rank + 1).min(picture - 1)]);
            let quantile = lower + (position - rank as f32) * (upper - lower);
            let s = quantile.clamp(1.0, field(RowField::ThresholdMax));
            let places = values.into_iter().zip(&state.data()[start..]);
            let pulled = |d: f32| if d.is_finite() { d.clamp(-s, s) / s } else { d };
            data.extend(places.map(|(d, x)| (pulled(d) - skip * x) / out));
        }
        Array::new(shape, data)
    }
}

impl<'g> Tensor<'g> {
    /// state, F `[branches·N, H, W, C]`, row `[R]` → guided and thresholded `[N, H, W, C]`.
    pub(crate) fn dynamic_threshold(self, output: Tensor<'g>, row: Tensor<'g>) -> Tensor<'g> {
        self.apply(DynamicThreshold, &[output, row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, device, seeded};
    use crate::plan::{Plan, Residency, Runner};
    use crate::tensor::Recorder;
    use crate::weights::Weights;
    use std::sync::Arc;

    /// State, output and row: D goes up to about 5, of which the row leaves the share `ratio`.
    fn inputs(latent: [usize; 4], branches: usize, ratio: f32, max: f32) -> [Array; 3] {
        let [n, height, width, channels] = latent;
        let mut row = seeded([RowField::COUNT].into(), 3);
        for (field, value) in [
            (RowField::CSkip, 1.0),
            (RowField::COut, -2.0),
            (RowField::Threshold, ratio),
            (RowField::ThresholdMax, max),
        ] {
            row.data_mut()[field as usize] = value;
        }
        let state = seeded([STATE_SLOTS, n, height, width, channels].into(), 1);
        let output = seeded([branches * n, height, width, channels].into(), 2);
        [state, output, row]
    }

    #[test]
    fn the_gpu_finds_the_quantile_of_the_definition() {
        for (latent, branches) in [
            ([1, 1, 1, 1], 1),
            ([2, 9, 13, 4], 2),
            ([3, 5, 7, 3], 3),
            ([1, 64, 64, 4], 2),
        ] {
            for (ratio, max) in [
                (0.995, f32::MAX),
                (0.37, f32::MAX),
                (1.0, f32::MAX),
                (0.9, 1.25),
            ] {
                for (stored, tolerance) in [(DType::F32, 1e-5), (DType::F16, 1e-5)] {
                    let [state, output, row] = inputs(latent, branches, ratio, max);
                    let inputs = [(state, DType::F32), (output, stored), (row, DType::F32)];
                    check_arrays(&DynamicThreshold, &inputs, tolerance);
                }
            }
        }
    }

    #[test]
    fn a_value_that_stands_there_often_is_found() {
        let [mut state, mut output, row] = inputs([2, 3, 5, 4], 1, 0.95, f32::MAX);
        state.data_mut().fill(0.0);
        for (i, value) in output.data_mut().iter_mut().enumerate() {
            *value = [0.0, 1.25, -1.25, -0.0][i % 4];
        }
        let inputs = [state, output, row].map(|array| (array, DType::F32));
        check_arrays(&DynamicThreshold, &inputs, 0.0);
    }

    #[test]
    fn thresholded_values_are_those_of_diffusers() {
        // `DPMSolverMultistepScheduler(thresholding=True, dynamic_thresholding_ratio=…,
        // sample_max_value=2.5)._threshold_sample` of diffusers 0.42.1.
        let picture = [0.5, -1.0, 2.0, -4.0, 0.25, 3.0, -0.125, 1.5];
        let between = [
            0.256_410_27,
            -0.512_820_5,
            1.0,
            -1.0,
            0.128_205_14,
            1.0,
            -0.064_102_57,
            0.769_230_8,
        ];
        let at_most = [0.2, -0.4, 0.8, -1.0, 0.1, 1.0, -0.05, 0.6];
        let state = Array::zeros([STATE_SLOTS, 1, 2, 1, 4]);
        let output = Array::new([1, 2, 1, 4], picture.to_vec());
        for (ratio, expected) in [(0.7, between), (0.9, at_most)] {
            let mut row = Array::zeros([RowField::COUNT]);
            for (field, value) in [
                (RowField::COut, 1.0),
                (RowField::Threshold, ratio),
                (RowField::ThresholdMax, 2.5),
            ] {
                row.data_mut()[field as usize] = value;
            }
            let found = DynamicThreshold.reference(&[&state, &output, &row]);
            for (found, expected) in found.data().iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
            }
        }
    }

    #[test]
    fn what_overflowed_is_not_clamped_to_a_picture() {
        let Some(device) = device() else { return };
        for lost in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let [state, mut output, row] = inputs([1, 5, 7, 3], 1, 0.9, 1.5);
            output.data_mut()[17] = lost;
            let reference = DynamicThreshold.reference(&[&state, &output, &row]);
            assert!(!reference.data()[17].is_finite());

            let recorder = Recorder::new(DType::F32);
            let arrays = [("state", state), ("output", output), ("row", row)];
            let [x, f, fields] = arrays
                .each_ref()
                .map(|(name, array)| recorder.input(name, array.shape(), DType::F32));
            recorder.output(
                "nonfinite",
                x.dynamic_threshold(f, fields).count_nonfinite(),
            );
            let plan = Plan::lower(recorder.finish().expect("the shapes fit"), &device.caps());
            let residency = Arc::new(Residency::new(device, &Weights::none()));
            let runner = Runner::new(device, plan.expect("it lowers"), &residency);
            let runner = crate::gpu::block_on(runner).expect("it compiles");
            for (name, array) in &arrays {
                runner
                    .write(name, array.data())
                    .expect("the input is there");
            }
            crate::gpu::block_on(runner.run()).expect("it runs");
            let counts = crate::gpu::block_on(runner.read("nonfinite")).expect("it reads");
            assert!(counts.iter().sum::<f32>() > 0.0, "{lost} was lost");
        }
    }
}
