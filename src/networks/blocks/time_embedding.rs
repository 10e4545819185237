//! What the UNet knows of the timestep.

use crate::error::Result;
use crate::nn::Linear;
use crate::ops::TimestepEmbedding;
use crate::tensor::Tensor;
use crate::weights::Scope;

/// Sines and cosines of the timestep, then two linear maps
/// (diffusers `embeddings.py`, `Timesteps` and `TimestepEmbedding`).
#[derive(Clone, Debug)]
pub(crate) struct TimeEmbedding {
    sinusoids: TimestepEmbedding,
    linear_1: Linear,
    linear_2: Linear,
}

impl TimeEmbedding {
    /// Loads the two maps behind `sinusoids`.
    pub(crate) fn load(scope: &Scope, sinusoids: TimestepEmbedding) -> Result<Self> {
        let linear_1 = Linear::load(&scope.scope("linear_1"), sinusoids.dim)?;
        let linear_2 = Linear::load(&scope.scope("linear_2"), linear_1.out_features())?;
        Ok(Self {
            sinusoids,
            linear_1,
            linear_2,
        })
    }

    /// The width E of the embedding.
    pub(crate) fn width(&self) -> usize {
        self.linear_2.out_features()
    }

    /// timestep `[N]` → `[N, E]`
    pub(crate) fn forward<'g>(&self, timestep: Tensor<'g>) -> Tensor<'g> {
        let h = self
            .linear_1
            .forward(timestep.timestep_embedding(self.sinusoids));
        self.linear_2.forward(h.silu())
    }
}
