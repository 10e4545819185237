//! The levels of a UNet: layers on the way down, in the middle and on the way up.

use super::UnetConfig;
use crate::error::Result;
use crate::networks::blocks::{
    Downsample2d, ResnetBlock, Transformer2d, TransformerSpec, Upsample2d,
};
use crate::nn::GroupNormSpec;
use crate::tensor::Tensor;
use crate::weights::Scope;

/// What all layers of a UNet are told: temb `[N, E]` after SiLU, context `[N, L, D]`.
#[derive(Clone, Copy)]
pub(super) struct Conditioning<'g> {
    pub(super) temb: Tensor<'g>,
    pub(super) context: Tensor<'g>,
}

/// What the layers of one level have in common.
#[derive(Clone, Copy)]
pub(super) struct LayerSpec {
    temb_width: usize,
    pub(super) norm: GroupNormSpec,
    transformer: TransformerSpec,
}

impl LayerSpec {
    /// What the configuration says of a level, counted from the finest.
    pub(super) fn at(
        scope: &Scope,
        level: usize,
        temb_width: usize,
        config: &UnetConfig,
    ) -> Result<Self> {
        let heads = config.heads.at(level).ok_or_else(|| {
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
                heads,
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
pub(super) struct DownBlock {
    layers: Vec<Layer>,
    downsampler: Option<Downsample2d>,
}

impl DownBlock {
    /// How many skips it leaves, the downsampler's not counted.
    pub(super) fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// Loads the layers, as many as the file's, and leaves the channels of their skips.
    pub(super) fn load(
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

    /// The channels of what comes out.
    pub(super) fn out_channels(&self) -> usize {
        self.layers
            .last()
            .map_or(0, |layer| layer.resnet.out_channels())
    }

    /// x `[N, H, W, C]` → `[N, H', W', C_out]`, half the size but at the last level
    pub(super) fn forward<'g>(
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

/// A residual block, a transformer and one more residual block; in distilled networks fewer.
#[derive(Clone, Debug)]
pub(super) struct MidBlock {
    layer: Layer,
    resnet: Option<ResnetBlock>,
}

impl MidBlock {
    /// Loads what the file has of it; `None` if it has no middle (Kim et al. 2023, arXiv 2305.15798).
    pub(super) fn load(scope: &Scope, channels: usize, spec: LayerSpec) -> Result<Option<Self>> {
        if !scope.has_scope("resnets") && !scope.has_scope("attentions") {
            return Ok(None);
        }
        let layer = Layer::load(scope, 0, channels, spec)?;
        let width = layer.resnet.out_channels();
        let resnet = scope.scope("resnets.1");
        let load = || ResnetBlock::load(&resnet, width, Some(spec.temb_width), spec.norm);
        Ok(Some(Self {
            layer,
            resnet: scope.has_scope("resnets.1").then(load).transpose()?,
        }))
    }

    /// x `[N, H, W, C]` → the same shape
    pub(super) fn forward<'g>(&self, x: Tensor<'g>, conditioning: Conditioning<'g>) -> Tensor<'g> {
        let x = self.layer.forward(x, conditioning);
        match &self.resnet {
            Some(resnet) => resnet.forward(x, Some(conditioning.temb)),
            None => x,
        }
    }
}

/// The layers of one level on the way up: one more than on the way down.
#[derive(Clone, Debug)]
pub(super) struct UpBlock {
    layers: Vec<Layer>,
    upsampler: Option<Upsample2d>,
}

impl UpBlock {
    /// Loads one layer for each of `skips`, the channels on the stack, whose last is taken first.
    pub(super) fn load(
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

    /// The channels of what comes out.
    pub(super) fn out_channels(&self) -> usize {
        self.layers
            .last()
            .map_or(0, |layer| layer.resnet.out_channels())
    }

    /// x `[N, H, W, C]` → `[N, H', W', C_out]`, as large as the next skip
    pub(super) fn forward<'g>(
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
