//! The autoencoder between pixels and latents (Rombach et al. 2022, arXiv 2112.10752, §3.1;
//! diffusers `autoencoder_kl.py` and `vae.py`, `AutoencoderKL`).

use super::blocks::{AttentionBlock, Downsample2d, ResnetBlock, Upsample2d};
use crate::error::Result;
use crate::nn::{Conv2d, GroupNorm, GroupNormSpec, Linear};
use crate::tensor::Tensor;
use crate::weights::Scope;

/// diffusers `vae.py`: `resnet_eps`, and the eps of every other group norm.
const NORM_EPS: f32 = 1e-6;
/// Red, green and blue.
const IMAGE_CHANNELS: usize = 3;

/// What the weights of an autoencoder do not tell, and the width at its border.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VaeConfig {
    /// Channels C of a latent.
    pub latent_channels: usize,
    /// The groups of every group norm.
    pub norm_num_groups: usize,
    /// What the sampler's latents are multiples of: `latent = (mean − shift) · scaling_factor`.
    pub scaling_factor: f32,
    /// The mean that is taken off the latents before scaling.
    pub shift_factor: f32,
}

impl VaeConfig {
    fn norm(&self) -> GroupNormSpec {
        GroupNormSpec {
            num_groups: self.norm_num_groups,
            eps: NORM_EPS,
        }
    }

    /// Scaling is recorded as `Tensor::scale`; an offset has no operation.
    fn refuse_shift(&self, scope: &Scope) -> Result<()> {
        if self.shift_factor == 0.0 {
            return Ok(());
        }
        Err(scope.unsupported(format_args!(
            "its latents are shifted (shift_factor {}), and only scaled ones are known; \
             use a model of a known family",
            self.shift_factor
        )))
    }
}

/// Latents to pixels.
#[derive(Clone, Debug)]
pub(crate) struct VaeDecoder {
    scaling_factor: f32,
    post_quant_conv: Option<Linear>,
    conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl VaeDecoder {
    /// Loads `decoder` and, if the file has it, `post_quant_conv`.
    pub(crate) fn load(scope: &Scope, config: &VaeConfig) -> Result<Self> {
        config.refuse_shift(scope)?;
        let (latent_channels, norm) = (config.latent_channels, config.norm());
        let post_quant_conv = || {
            let conv = scope.scope("post_quant_conv");
            Linear::load_sized(&conv, latent_channels, latent_channels)
        };
        let decoder = scope.scope("decoder");
        let conv_in = Conv2d::load(&decoder.scope("conv_in"), latent_channels)?;
        let mut width = conv_in.out_channels();
        let mid_block = MidBlock::load(&decoder.scope("mid_block"), width, norm)?;
        let levels = decoder.count("up_blocks").max(1);
        let mut up_blocks = Vec::new();
        for level in 0..levels {
            let block = decoder.scope(format!("up_blocks.{level}"));
            let resnets = Resnets::load(&block, width, norm)?;
            width = resnets.out_channels;
            let upsampler = || Upsample2d::load(&block.scope("upsamplers.0"), width);
            let upsampler = (level + 1 < levels).then(upsampler).transpose()?;
            up_blocks.push(UpBlock { resnets, upsampler });
        }
        Ok(Self {
            scaling_factor: config.scaling_factor,
            post_quant_conv: scope
                .has_scope("post_quant_conv")
                .then(post_quant_conv)
                .transpose()?,
            conv_in,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNorm::load(&decoder.scope("conv_norm_out"), width, norm)?,
            conv_out: Conv2d::load_sized(&decoder.scope("conv_out"), width, IMAGE_CHANNELS)?,
        })
    }

    /// latents `[N, h, w, C]` as the sampler has them → pixels `[N, H, W, 3]`, −1 to 1 and a
    /// little beyond
    pub(crate) fn forward<'g>(&self, latents: Tensor<'g>) -> Tensor<'g> {
        self.outer(self.inner(latents))
    }

    /// The channels K between [`Self::inner`] and [`Self::outer`].
    pub(crate) fn inner_channels(&self) -> usize {
        self.conv_in.out_channels()
    }

    /// latents `[N, h, w, C]` → `[N, h, w, K]`: what looks at the whole picture
    pub(crate) fn inner<'g>(&self, latents: Tensor<'g>) -> Tensor<'g> {
        let mut x = latents.scale(1.0 / self.scaling_factor);
        if let Some(conv) = &self.post_quant_conv {
            x = conv.forward(x);
        }
        self.mid_block.forward(self.conv_in.forward(x))
    }

    /// `[N, h, w, K]` → pixels `[N, H, W, 3]`: what looks at the neighbourhood
    pub(crate) fn outer<'g>(&self, mut x: Tensor<'g>) -> Tensor<'g> {
        for block in &self.up_blocks {
            x = block.forward(x);
        }
        self.conv_out.forward(self.conv_norm_out.forward(x).silu())
    }
}

/// Pixels to the moments of latents.
#[derive(Clone, Debug)]
pub(crate) struct VaeEncoder {
    latent_channels: usize,
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    quant_conv: Option<Linear>,
}

impl VaeEncoder {
    /// Loads `encoder` and, if the file has it, `quant_conv`.
    pub(crate) fn load(scope: &Scope, config: &VaeConfig) -> Result<Self> {
        config.refuse_shift(scope)?;
        let (moments, norm) = (2 * config.latent_channels, config.norm());
        let encoder = scope.scope("encoder");
        let conv_in = Conv2d::load(&encoder.scope("conv_in"), IMAGE_CHANNELS)?;
        let mut width = conv_in.out_channels();
        let levels = encoder.count("down_blocks").max(1);
        let mut down_blocks = Vec::new();
        for level in 0..levels {
            let block = encoder.scope(format!("down_blocks.{level}"));
            let resnets = Resnets::load(&block, width, norm)?;
            width = resnets.out_channels;
            let padding = Downsample2d::BOTTOM_RIGHT;
            let downsampler = || Downsample2d::load(&block.scope("downsamplers.0"), width, padding);
            let downsampler = (level + 1 < levels).then(downsampler).transpose()?;
            down_blocks.push(DownBlock {
                resnets,
                downsampler,
            });
        }
        let quant_conv = || Linear::load_sized(&scope.scope("quant_conv"), moments, moments);
        Ok(Self {
            latent_channels: config.latent_channels,
            conv_in,
            down_blocks,
            mid_block: MidBlock::load(&encoder.scope("mid_block"), width, norm)?,
            conv_norm_out: GroupNorm::load(&encoder.scope("conv_norm_out"), width, norm)?,
            conv_out: Conv2d::load_sized(&encoder.scope("conv_out"), width, moments)?,
            quant_conv: scope.has_scope("quant_conv").then(quant_conv).transpose()?,
        })
    }

    /// pixels `[N, H, W, 3]`, −1 to 1 → moments `[N, h, w, 2·C]`: means, then log-variances
    pub(crate) fn forward<'g>(&self, pixels: Tensor<'g>) -> Tensor<'g> {
        self.inner(self.outer(pixels))
    }

    /// The channels K between [`Self::outer`] and [`Self::inner`].
    pub(crate) fn inner_channels(&self) -> usize {
        let last = self.down_blocks.last();
        last.map_or(self.conv_in.out_channels(), |block| {
            block.resnets.out_channels
        })
    }

    /// pixels `[N, H, W, 3]` → `[N, h, w, K]`: what looks at the neighbourhood
    pub(crate) fn outer<'g>(&self, pixels: Tensor<'g>) -> Tensor<'g> {
        let mut x = self.conv_in.forward(pixels);
        for block in &self.down_blocks {
            x = block.forward(x);
        }
        x
    }

    /// `[N, h, w, K]` → moments `[N, h, w, 2·C]`: what looks at the whole picture
    pub(crate) fn inner<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let mut x = self.mid_block.forward(x);
        x = self.conv_out.forward(self.conv_norm_out.forward(x).silu());
        match &self.quant_conv {
            Some(conv) => conv.forward(x),
            None => x,
        }
    }

    /// moments `[N, h, w, 2·C]` → means `[N, h, w, C]`, in the VAE's own scale
    pub(crate) fn mean<'g>(&self, moments: Tensor<'g>) -> Tensor<'g> {
        moments.slice_last(0, self.latent_channels)
    }

    /// moments `[N, h, w, 2·C]` → log-variances `[N, h, w, C]`, not yet clamped to −30..20
    pub(crate) fn log_variance<'g>(&self, moments: Tensor<'g>) -> Tensor<'g> {
        moments.slice_last(self.latent_channels, self.latent_channels)
    }
}

/// Residual blocks, one after the other.
#[derive(Clone, Debug)]
struct Resnets {
    blocks: Vec<ResnetBlock>,
    out_channels: usize,
}

impl Resnets {
    /// Loads `resnets`, as many as the file's.
    fn load(scope: &Scope, in_channels: usize, norm: GroupNormSpec) -> Result<Self> {
        let mut out_channels = in_channels;
        let mut blocks = Vec::new();
        for i in 0..scope.count("resnets").max(1) {
            let resnet = scope.scope(format!("resnets.{i}"));
            let block = ResnetBlock::load(&resnet, out_channels, None, norm)?;
            out_channels = block.out_channels();
            blocks.push(block);
        }
        Ok(Self {
            blocks,
            out_channels,
        })
    }

    /// x `[N, H, W, C]` → `[N, H, W, C_out]`
    fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        self.blocks
            .iter()
            .fold(x, |x, block| block.forward(x, None))
    }
}

/// Residual blocks, then half the size.
#[derive(Clone, Debug)]
struct DownBlock {
    resnets: Resnets,
    downsampler: Option<Downsample2d>,
}

impl DownBlock {
    /// x `[N, H, W, C]` → `[N, H/2, W/2, C_out]`, the size kept at the last level
    fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let x = self.resnets.forward(x);
        match &self.downsampler {
            Some(downsampler) => downsampler.forward(x),
            None => x,
        }
    }
}

/// Two residual blocks, with attention between them in all but a few.
#[derive(Clone, Debug)]
struct MidBlock {
    first: ResnetBlock,
    attention: Option<AttentionBlock>,
    second: ResnetBlock,
}

impl MidBlock {
    fn load(scope: &Scope, channels: usize, norm: GroupNormSpec) -> Result<Self> {
        let resnet = |name| ResnetBlock::load(&scope.scope(name), channels, None, norm);
        let attention = || AttentionBlock::load(&scope.scope("attentions.0"), channels, norm);
        Ok(Self {
            first: resnet("resnets.0")?,
            attention: scope.has_scope("attentions").then(attention).transpose()?,
            second: resnet("resnets.1")?,
        })
    }

    /// x `[N, H, W, C]` → the same shape
    fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let mut x = self.first.forward(x, None);
        if let Some(attention) = &self.attention {
            x = attention.forward(x);
        }
        self.second.forward(x, None)
    }
}

/// Residual blocks, then twice the size.
#[derive(Clone, Debug)]
struct UpBlock {
    resnets: Resnets,
    upsampler: Option<Upsample2d>,
}

impl UpBlock {
    /// x `[N, H, W, C]` → `[N, 2·H, 2·W, C_out]`, the size kept at the last level
    fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let x = self.resnets.forward(x);
        match &self.upsampler {
            Some(upsampler) => upsampler.forward(x, 2 * x.dim(1), 2 * x.dim(2)),
            None => x,
        }
    }
}
