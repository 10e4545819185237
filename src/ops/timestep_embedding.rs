//! Sines and cosines of the timestep at geometrically spaced frequencies.

use super::{arithmetic::narrow, elementwise};
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Lanes, MAX_RANK, Op, Operand, Rows, Shape,
    Tensor,
};

/// `[..]` → `[.., dim]`. Vaswani et al. 2017 (arXiv 1706.03762) § 3.5, as diffusers' `get_timestep_embedding`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TimestepEmbedding {
    /// Channels of the result, an even number.
    pub dim: usize,
    /// Whether the cosines come first.
    pub flip_sin_to_cos: bool,
    /// Subtracted from the number of frequencies before they are spaced.
    pub freq_shift: f32,
    /// 1 / the lowest frequency, before `freq_shift`.
    pub max_period: f32,
}

/// The embedding with the type that its result has in memory.
#[derive(Clone, Copy, Debug)]
struct Typed(TimestepEmbedding, DType);

impl Op for Typed {
    fn name(&self) -> &'static str {
        "timestep_embedding"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let dim = self.0.dim;
        if inputs[0].rank() < MAX_RANK && dim > 0 && dim.is_multiple_of(2) {
            let axes: Vec<usize> = inputs[0].dims().iter().copied().chain([dim]).collect();
            Ok(Shape::new(&axes))
        } else {
            Err(format!("timesteps {} do not become [.., {dim}]", inputs[0]))
        }
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        self.1
    }

    fn rows(&self) -> Rows {
        Rows::Leading
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let half = self.0.dim / 2;
        let dispatch = elementwise("timestep_embedding", Lanes::One, io.output.shape.len())
            .read(
                "timestep",
                Operand::Input(0),
                io.inputs[0].dtype,
                Lanes::One,
            )
            .write("y", io.output, Lanes::One)
            .constant("COSINES_FIRST", Const::Bool(self.0.flip_sin_to_cos))
            .param("half_dim", half)
            .param_f32("log_step", self.log_step());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let half = self.0.dim / 2;
        let mut data = Vec::new();
        for &timestep in inputs[0].data() {
            let angle =
                |i: usize| f64::from(timestep) * (i as f64 * f64::from(self.log_step())).exp();
            let sines = (0..half).map(|i| narrow(angle(i).sin()));
            let cosines = (0..half).map(|i| narrow(angle(i).cos()));
            if self.0.flip_sin_to_cos {
                data.extend(cosines.chain(sines));
            } else {
                data.extend(sines.chain(cosines));
            }
        }
        let shape = self.shape(&[inputs[0].shape()]);
        Array::new(shape.expect("shapes were checked when recording"), data)
    }
}

impl Typed {
    /// The logarithm of one frequency over the one before.
    fn log_step(&self) -> f32 {
        -self.0.max_period.ln() / ((self.0.dim / 2) as f32 - self.0.freq_shift)
    }
}

impl<'g> Tensor<'g> {
    /// `[..]` → `[.., dim]`.
    pub(crate) fn timestep_embedding(self, embedding: TimestepEmbedding) -> Tensor<'g> {
        self.apply(Typed(embedding, self.recorder().compute()), &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::check_arrays;

    #[test]
    fn every_timestep_is_embedded() {
        for (dim, flip_sin_to_cos, freq_shift) in
            [(2, true, 0.0), (64, true, 0.0), (320, false, 1.0)]
        {
            let embedding = TimestepEmbedding {
                dim,
                flip_sin_to_cos,
                freq_shift,
                max_period: 10_000.0,
            };
            let timesteps = Array::new([5], vec![0.0, 1.0, 481.0, 999.0, 333.337]);
            // The angle is rounded to f32 at up to 999: 999 · 2⁻²³ for each of its three roundings.
            check_arrays(
                &Typed(embedding, DType::F32),
                &[(timesteps, DType::F32)],
                5e-4,
            );
        }
    }

    #[test]
    fn embeddings_are_stored_as_f16_and_beyond_one_grid_axis() {
        let embedding = TimestepEmbedding {
            dim: 2,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            max_period: 10_000.0,
        };
        for (count, dtype) in [(7, DType::F16), (2_097_187, DType::F32)] {
            let timesteps = Array::new([count], (0..count).map(|i| (i % 1000) as f32).collect());
            check_arrays(&Typed(embedding, dtype), &[(timesteps, DType::F32)], 1e-3);
        }
    }
}
