//! The UNet conditioned on text (Rombach et al. 2022, arXiv 2112.10752; diffusers
//! `unet_2d_condition.py`, `UNet2DConditionModel`).
//!
//! Down the left side each layer leaves its result on a stack of skips; up the right side each
//! layer takes one off. The sizes on the stack also say how large to upsample, so that latents of
//! odd sizes come back as they went in.

mod levels;

use self::levels::{Conditioning, DownBlock, LayerSpec, MidBlock, UpBlock};
use super::blocks::{EmbeddingMlp, TimeEmbedding};
use crate::error::Result;
use crate::nn::{Conv2d, GroupNorm, Heads};
use crate::ops::TimestepEmbedding;
use crate::tensor::Tensor;
use crate::weights::Scope;

/// The longest period of the timestep's sinusoids (Vaswani et al. 2017, arXiv 1706.03762, §3.5).
const MAX_PERIOD: f32 = 10_000.0;

/// What the weights of a UNet do not tell, and the widths at its borders.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UnetConfig {
    /// Channels of the sample.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// The width D of the context.
    pub cross_attention_dim: usize,
    /// The heads of every attention.
    pub heads: LevelHeads,
    /// The groups of every group norm.
    pub norm_num_groups: usize,
    /// Added to the variance in the group norms of residual blocks and of the output.
    pub norm_eps: f32,
    /// Whether the timestep's cosines stand before its sines.
    pub flip_sin_to_cos: bool,
    /// Subtracted from the number of frequencies in their exponent's divisor.
    pub freq_shift: f32,
    /// What is embedded beside the timestep; `None` for nothing.
    pub added: Option<AddedConfig>,
}

/// Conditions that are embedded and added to the timestep's embedding (Podell et al. 2023,
/// arXiv 2307.01952, §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddedConfig {
    /// The width P of the prompt's pooled vector.
    pub pooled_width: usize,
    /// The number T of sizes and other numbers.
    pub time_ids: usize,
    /// The sines and cosines for each of them.
    pub time_embed_dim: usize,
}

/// How the attentions of a UNet are divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LevelHeads {
    /// Into so many heads.
    Count(PerLevel),
    /// Into heads of this width, at every level.
    Width(usize),
}

impl LevelHeads {
    /// The heads at `level`, if the configuration has them.
    fn at(&self, level: usize) -> Option<Heads> {
        match self {
            Self::Count(counts) => counts.at(level).map(Heads::Count),
            Self::Width(width) => Some(Heads::Width(*width)),
        }
    }
}

/// A number for all levels of a UNet, or one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PerLevel {
    /// The same everywhere.
    Same(usize),
    /// From the finest level to the coarsest.
    Each(Vec<usize>),
}

impl PerLevel {
    /// The number at `level`, if there is one.
    pub(crate) fn at(&self, level: usize) -> Option<usize> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => values.get(level).copied(),
        }
    }
}

/// What a UNet is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnetInputs<'g> {
    /// The noisy latent, and what else the first convolution takes: `[N, H, W, C]`.
    pub sample: Tensor<'g>,
    /// The noise level `[N]`.
    pub timestep: Tensor<'g>,
    /// What the prompt says, token by token: `[N, L, D]`.
    pub context: Tensor<'g>,
    /// What is embedded beside the timestep; left out where the network has no use for it.
    pub added: Option<AddedInputs<'g>>,
    /// The guidance scale less one, `[N]`; left out where the network has no use for it.
    pub guidance: Option<Tensor<'g>>,
}

/// Conditions beside the timestep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddedInputs<'g> {
    /// What the prompt says as a whole: `[N, P]`.
    pub pooled: Tensor<'g>,
    /// Sizes, crop and the like: `[N, T]`.
    pub time_ids: Tensor<'g>,
}

/// Predicts the noise (or velocity) in a sample at a timestep, given a context.
#[derive(Clone, Debug)]
pub(crate) struct Unet {
    conv_in: Conv2d,
    time_embedding: TimeEmbedding,
    add_embedding: Option<AddEmbedding>,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock>,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Unet {
    /// Loads a UNet with as many levels, layers and attentions as the file's.
    pub(crate) fn load(scope: &Scope, config: &UnetConfig) -> Result<Self> {
        let conv_in = Conv2d::load(&scope.scope("conv_in"), config.in_channels)?;
        let channels = conv_in.out_channels();
        let sinusoids = TimestepEmbedding {
            dim: channels,
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
            max_period: MAX_PERIOD,
        };
        let time_embedding = TimeEmbedding::load(&scope.scope("time_embedding"), sinusoids)?;
        let add_embedding =
            |added| AddEmbedding::load(&scope.scope("add_embedding"), added, sinusoids);
        let add_embedding = config.added.as_ref().map(add_embedding).transpose()?;
        let levels = (0..scope.count("down_blocks").max(1))
            .map(|level| LayerSpec::at(scope, level, time_embedding.width(), config))
            .collect::<Result<Vec<_>>>()?;
        let coarsest = levels.len() - 1;

        // The channels of what lies on the stack of skips, and of what flows on.
        let mut skips = vec![channels];
        let mut width = channels;
        let mut down_blocks = Vec::new();
        for (level, spec) in levels.iter().enumerate() {
            let block = scope.scope(format!("down_blocks.{level}"));
            let block = DownBlock::load(&block, &mut skips, width, *spec, level < coarsest)?;
            width = block.out_channels();
            down_blocks.push(block);
        }
        let mid_block = MidBlock::load(&scope.scope("mid_block"), width, levels[coarsest])?;
        let mut up_blocks = Vec::new();
        for (i, (spec, down)) in levels.iter().zip(&down_blocks).rev().enumerate() {
            let block = scope.scope(format!("up_blocks.{i}"));
            let taken = skips.split_off(skips.len() - (down.layer_count() + 1));
            let block = UpBlock::load(&block, &taken, width, *spec, i < coarsest)?;
            width = block.out_channels();
            up_blocks.push(block);
        }

        let norm = levels[0].norm;
        Ok(Self {
            conv_in,
            time_embedding,
            add_embedding,
            down_blocks,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNorm::load(&scope.scope("conv_norm_out"), width, norm)?,
            conv_out: Conv2d::load_sized(&scope.scope("conv_out"), width, config.out_channels)?,
        })
    }

    /// Whether the guidance scale is an input, so that no second branch is needed for it.
    pub(crate) fn embeds_guidance(&self) -> bool {
        self.time_embedding.embeds_guidance()
    }

    /// inputs with sample `[N, H, W, C]` → `[N, H, W, C_out]`
    pub(crate) fn forward<'g>(&self, inputs: UnetInputs<'g>) -> Tensor<'g> {
        let mut temb = self
            .time_embedding
            .forward(inputs.timestep, inputs.guidance); // [N, E]
        if let (Some(embedding), Some(added)) = (&self.add_embedding, inputs.added) {
            temb = temb + embedding.forward(added);
        }
        // Every residual block begins its projection of the embedding with SiLU: once is enough.
        let conditioning = Conditioning {
            temb: temb.silu(),
            context: inputs.context,
        };

        let mut x = self.conv_in.forward(inputs.sample);
        let mut skips = vec![x];
        for block in &self.down_blocks {
            x = block.forward(x, &mut skips, conditioning);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, conditioning);
        }
        for block in &self.up_blocks {
            x = block.forward(x, &mut skips, conditioning);
        }
        self.conv_out.forward(self.conv_norm_out.forward(x).silu())
    }
}

/// The pooled prompt beside sinusoids of each number, then two linear maps
/// (diffusers `unet_2d_condition.py`, `get_aug_embed` of type `text_time`).
#[derive(Clone, Debug)]
struct AddEmbedding {
    sinusoids: TimestepEmbedding,
    mlp: EmbeddingMlp,
}

impl AddEmbedding {
    fn load(scope: &Scope, added: &AddedConfig, timestep: TimestepEmbedding) -> Result<Self> {
        let width = added.pooled_width + added.time_ids * added.time_embed_dim;
        Ok(Self {
            sinusoids: TimestepEmbedding {
                dim: added.time_embed_dim,
                ..timestep
            },
            mlp: EmbeddingMlp::load(scope, width)?,
        })
    }

    /// pooled `[N, P]`, time_ids `[N, T]` → `[N, E]`
    fn forward<'g>(&self, AddedInputs { pooled, time_ids }: AddedInputs<'g>) -> Tensor<'g> {
        let (n, count) = (time_ids.dim(0), time_ids.dim(1));
        let sinusoids = time_ids
            .reshape([n * count])
            .timestep_embedding(self.sinusoids) // [N·T, dim]
            .reshape([n, count * self.sinusoids.dim]);
        self.mlp.forward(pooled.concat(sinusoids)) // [N, P + T·dim] → [N, E]
    }
}
