//! What the UNet knows of the timestep, and of what is added to it.

use crate::error::Result;
use crate::nn::Linear;
use crate::ops::TimestepEmbedding;
use crate::tensor::Tensor;
use crate::weights::Scope;

/// diffusers `pipeline_latent_consistency_text2img.py`, `get_guidance_scale_embedding`: the scale
/// is multiplied by this, as if it were a timestep.
const GUIDANCE_TIMESTEPS: f32 = 1000.0;

/// Two linear maps with SiLU between them (diffusers `embeddings.py`, `TimestepEmbedding`).
#[derive(Clone, Debug)]
pub(crate) struct EmbeddingMlp {
    linear_1: Linear,
    linear_2: Linear,
}

impl EmbeddingMlp {
    /// Loads the two maps, the first of which takes `in_features`.
    pub(crate) fn load(scope: &Scope, in_features: usize) -> Result<Self> {
        let linear_1 = Linear::load(&scope.scope("linear_1"), in_features)?;
        let linear_2 = Linear::load(&scope.scope("linear_2"), linear_1.out_features())?;
        Ok(Self { linear_1, linear_2 })
    }

    /// The width E of the embedding.
    pub(crate) fn width(&self) -> usize {
        self.linear_2.out_features()
    }

    /// x `[N, I]` → `[N, E]`
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        self.linear_2.forward(self.linear_1.forward(x).silu())
    }
}

/// Sines and cosines of the timestep, then two linear maps
/// (diffusers `embeddings.py`, `Timesteps` and `TimestepEmbedding`).
#[derive(Clone, Debug)]
pub(crate) struct TimeEmbedding {
    sinusoids: TimestepEmbedding,
    guidance: Option<GuidanceEmbedding>,
    mlp: EmbeddingMlp,
}

impl TimeEmbedding {
    /// Loads the two maps behind `sinusoids`, and the guidance's projection if the file has one.
    pub(crate) fn load(scope: &Scope, sinusoids: TimestepEmbedding) -> Result<Self> {
        let guidance = || GuidanceEmbedding::load(&scope.scope("cond_proj"), sinusoids);
        Ok(Self {
            sinusoids,
            guidance: scope.has_scope("cond_proj").then(guidance).transpose()?,
            mlp: EmbeddingMlp::load(scope, sinusoids.dim)?,
        })
    }

    /// The width E of the embedding.
    pub(crate) fn width(&self) -> usize {
        self.mlp.width()
    }

    /// Whether the guidance scale is an input of the network.
    pub(crate) fn embeds_guidance(&self) -> bool {
        self.guidance.is_some()
    }

    /// timestep `[N]`, guidance `[N]` if it is embedded → `[N, E]`
    pub(crate) fn forward<'g>(
        &self,
        timestep: Tensor<'g>,
        guidance: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let mut h = timestep.timestep_embedding(self.sinusoids); // [N, C]
        if let (Some(embedding), Some(guidance)) = (&self.guidance, guidance) {
            h = h + embedding.forward(guidance);
        }
        self.mlp.forward(h)
    }
}

/// The guidance scale as a part of the timestep, in networks that were distilled from guided ones
/// (Meng et al. 2023, arXiv 2210.03142, §3.1; Luo et al. 2023, arXiv 2310.04378).
#[derive(Clone, Debug)]
struct GuidanceEmbedding {
    sinusoids: TimestepEmbedding,
    cond_proj: Linear,
}

impl GuidanceEmbedding {
    /// Loads the projection, whose file decides the number of sinusoids.
    fn load(scope: &Scope, timestep: TimestepEmbedding) -> Result<Self> {
        let dim = scope.shape("weight")?.dim(1);
        Ok(Self {
            sinusoids: TimestepEmbedding {
                dim,
                flip_sin_to_cos: false,
                freq_shift: 1.0,
                ..timestep
            },
            cond_proj: Linear::load_without_bias(scope, dim, timestep.dim)?,
        })
    }

    /// guidance `[N]`, the scale less one → `[N, C]`
    fn forward<'g>(&self, guidance: Tensor<'g>) -> Tensor<'g> {
        let sinusoids = guidance
            .scale(GUIDANCE_TIMESTEPS)
            .timestep_embedding(self.sinusoids);
        self.cond_proj.forward(sinusoids)
    }
}
