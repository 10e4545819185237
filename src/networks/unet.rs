//! The UNet conditioned on text (Rombach et al. 2022, arXiv 2112.10752; diffusers
//! `unet_2d_condition.py`, `UNet2DConditionModel`).
//!
//! Down the left side each layer leaves its result on a stack of skips; up the right side each
//! layer takes one off. The sizes on the stack also say how large to upsample, so that latents of
//! odd sizes come back as they went in.

use super::blocks::{
    Downsample2d, ResnetBlock, TimeEmbedding, Transformer2d, TransformerSpec, Upsample2d,
};
use crate::error::Result;
use crate::nn::{Conv2d, GroupNorm, GroupNormSpec};
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
    /// The number of heads at each level, from the finest to the coarsest.
    pub num_heads: PerLevel,
    /// The groups of every group norm.
    pub norm_num_groups: usize,
    /// Added to the variance in the group norms of residual blocks and of the output.
    pub norm_eps: f32,
    /// Whether the timestep's cosines stand before its sines.
    pub flip_sin_to_cos: bool,
    /// Subtracted from the number of frequencies in their exponent's divisor.
    pub freq_shift: f32,
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

/// Predicts the noise (or velocity) in a sample at a timestep, given a context.
#[derive(Clone, Debug)]
pub(crate) struct Unet {
    conv_in: Conv2d,
    time_embedding: TimeEmbedding,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
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
            let taken = skips.split_off(skips.len() - (down.layers.len() + 1));
            let block = UpBlock::load(&block, &taken, width, *spec, i < coarsest)?;
            width = block.out_channels();
            up_blocks.push(block);
        }

        let norm = levels[0].norm;
        Ok(Self {
            conv_in,
            time_embedding,
            down_blocks,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNorm::load(&scope.scope("conv_norm_out"), width, norm)?,
            conv_out: Conv2d::load_sized(&scope.scope("conv_out"), width, config.out_channels)?,
        })
    }

    /// sample `[N, H, W, C]`, timestep `[N]`, context `[N, L, D]` → `[N, H, W, C_out]`
    pub(crate) fn forward<'g>(
        &self,
        sample: Tensor<'g>,
        timestep: Tensor<'g>,
        context: Tensor<'g>,
    ) -> Tensor<'g> {
        // Every residual block begins its projection of the embedding with SiLU: once is enough.
        let temb = self.time_embedding.forward(timestep).silu(); // [N, E]
        let conditioning = Conditioning { temb, context };

        let mut x = self.conv_in.forward(sample);
        let mut skips = vec![x];
        for block in &self.down_blocks {
            x = block.forward(x, &mut skips, conditioning);
        }
        x = self.mid_block.forward(x, conditioning);
        for block in &self.up_blocks {
            x = block.forward(x, &mut skips, conditioning);
        }
        self.conv_out.forward(self.conv_norm_out.forward(x).silu())
    }
}

/// What all layers of a UNet are told: temb `[N, E]` after SiLU, context `[N, L, D]`.
#[derive(Clone, Copy)]
struct Conditioning<'g> {
    temb: Tensor<'g>,
    context: Tensor<'g>,
}

/// What the layers of one level have in common.
#[derive(Clone, Copy)]
struct LayerSpec {
    temb_width: usize,
    norm: GroupNormSpec,
    transformer: TransformerSpec,
}

impl LayerSpec {
    fn at(scope: &Scope, level: usize, temb_width: usize, config: &UnetConfig) -> Result<Self> {
        let num_heads = config.num_heads.at(level).ok_or_else(|| {
            scope.unsupported(format_args!(
                "the configuration has no number of attention heads for down_blocks.{level}; \
                 attention_head_dim needs one for each level"
            ))
        })?;
        Ok(Self {
            temb_width,
            norm: GroupNormSpec {
                num_groups: config.norm_num_groups,
                eps: config.norm_eps,
            },
            transformer: TransformerSpec {
                num_heads,
                context_width: config.cross_attention_dim,
                norm_num_groups: config.norm_num_groups,
            },
        })
    }
}

/// A residual block and, at some levels, a transformer.
#[derive(Clone, Debug)]
struct Layer {
    resnet: ResnetBlock,
    attention: Option<Transformer2d>,
}

impl Layer {
    /// Loads `resnets.i`, and `attentions.i` if the block has attentions at all.
    fn load(block: &Scope, i: usize, in_channels: usize, spec: LayerSpec) -> Result<Self> {
        let resnet = block.scope(format!("resnets.{i}"));
        let resnet = ResnetBlock::load(&resnet, in_channels, Some(spec.temb_width), spec.norm)?;
        let transformer = || {
            let attention = block.scope(format!("attentions.{i}"));
            Transformer2d::load(&attention, resnet.out_channels(), spec.transformer)
        };
        let attention = block
            .has_scope("attentions")
            .then(transformer)
            .transpose()?;
        Ok(Self { resnet, attention })
    }

    /// x `[N, H, W, C]` → `[N, H, W, C_out]`
    fn forward<'g>(&self, x: Tensor<'g>, conditioning: Conditioning<'g>) -> Tensor<'g> {
        let x = self.resnet.forward(x, Some(conditioning.temb));
        match &self.attention {
            Some(attention) => attention.forward(x, conditioning.context),
            None => x,
        }
    }
}

/// The layers of one level on the way down.
#[derive(Clone, Debug)]
struct DownBlock {
    layers: Vec<Layer>,
    downsampler: Option<Downsample2d>,
}

impl DownBlock {
    /// Loads the layers, as many as the file's, and leaves the channels of their skips.
    fn load(
        scope: &Scope,
        skips: &mut Vec<usize>,
        in_channels: usize,
        spec: LayerSpec,
        downsample: bool,
    ) -> Result<Self> {
        let mut width = in_channels;
        let mut layers = Vec::new();
        for i in 0..scope.count("resnets").max(1) {
            let layer = Layer::load(scope, i, width, spec)?;
            width = layer.resnet.out_channels();
            skips.push(width);
            layers.push(layer);
        }
        let load = || {
            skips.push(width);
            Downsample2d::load(
                &scope.scope("downsamplers.0"),
                width,
                Downsample2d::SYMMETRIC,
            )
        };
        Ok(Self {
            layers,
            downsampler: downsample.then(load).transpose()?,
        })
    }

    fn out_channels(&self) -> usize {
        self.layers
            .last()
            .map_or(0, |layer| layer.resnet.out_channels())
    }

    /// x `[N, H, W, C]` → `[N, H', W', C_out]`, half the size but at the last level
    fn forward<'g>(
        &self,
        mut x: Tensor<'g>,
        skips: &mut Vec<Tensor<'g>>,
        conditioning: Conditioning<'g>,
    ) -> Tensor<'g> {
        for layer in &self.layers {
            x = layer.forward(x, conditioning);
            skips.push(x);
        }
        if let Some(downsampler) = &self.downsampler {
            x = downsampler.forward(x);
            skips.push(x);
        }
        x
    }
}

/// A layer, then one more residual block.
#[derive(Clone, Debug)]
struct MidBlock {
    layer: Layer,
    resnet: ResnetBlock,
}

impl MidBlock {
    fn load(scope: &Scope, channels: usize, spec: LayerSpec) -> Result<Self> {
        let layer = Layer::load(scope, 0, channels, spec)?;
        let width = layer.resnet.out_channels();
        let resnet = scope.scope("resnets.1");
        Ok(Self {
            layer,
            resnet: ResnetBlock::load(&resnet, width, Some(spec.temb_width), spec.norm)?,
        })
    }

    /// x `[N, H, W, C]` → the same shape
    fn forward<'g>(&self, x: Tensor<'g>, conditioning: Conditioning<'g>) -> Tensor<'g> {
        let x = self.layer.forward(x, conditioning);
        self.resnet.forward(x, Some(conditioning.temb))
    }
}

/// The layers of one level on the way up: one more than on the way down.
#[derive(Clone, Debug)]
struct UpBlock {
    layers: Vec<Layer>,
    upsampler: Option<Upsample2d>,
}

impl UpBlock {
    /// Loads one layer for each of `skips`, the channels on the stack, whose last is taken first.
    fn load(
        scope: &Scope,
        skips: &[usize],
        in_channels: usize,
        spec: LayerSpec,
        upsample: bool,
    ) -> Result<Self> {
        let mut width = in_channels;
        let mut layers = Vec::new();
        for (i, skip) in skips.iter().rev().enumerate() {
            let layer = Layer::load(scope, i, width + skip, spec)?;
            width = layer.resnet.out_channels();
            layers.push(layer);
        }
        let load = || Upsample2d::load(&scope.scope("upsamplers.0"), width);
        Ok(Self {
            layers,
            upsampler: upsample.then(load).transpose()?,
        })
    }

    fn out_channels(&self) -> usize {
        self.layers
            .last()
            .map_or(0, |layer| layer.resnet.out_channels())
    }

    /// x `[N, H, W, C]` → `[N, H', W', C_out]`, as large as the next skip
    fn forward<'g>(
        &self,
        mut x: Tensor<'g>,
        skips: &mut Vec<Tensor<'g>>,
        conditioning: Conditioning<'g>,
    ) -> Tensor<'g> {
        let taken = skips.split_off(skips.len() - self.layers.len());
        for (layer, skip) in self.layers.iter().zip(taken.into_iter().rev()) {
            x = layer.forward(x.concat(skip), conditioning); // [N, H, W, C + C_skip]
        }
        match (&self.upsampler, skips.last()) {
            (Some(upsampler), Some(next)) => upsampler.forward(x, next.dim(1), next.dim(2)),
            _ => x,
        }
    }
}
