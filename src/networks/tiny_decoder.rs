//! A tiny decoder of latents (TAESD: github.com/madebyollin/taesd, `taesd.py`; diffusers
//! `AutoencoderTiny` and `DecoderTiny`).

use crate::error::Result;
use crate::nn::Conv2d;
use crate::tensor::Tensor;
use crate::weights::Scope;

/// Red, green and blue.
const IMAGE_CHANNELS: usize = 3;
/// Latents go in within so much of 0: `limit · tanh(x / limit)`.
const LATENT_LIMIT: f32 = 3.0;
/// More layers than any file has.
const MAX_LAYERS: usize = 64;

/// Latents to colours in some thirty convolutions, without norms and attention.
#[derive(Clone, Debug)]
pub(crate) struct TinyDecoder {
    latent_channels: usize,
    conv_in: Conv2d,
    layers: Vec<Layer>,
    conv_out: Conv2d,
}

#[derive(Clone, Debug)]
enum Layer {
    Block(Box<Block>),
    /// Twice the size, then a convolution without a bias.
    Upsample(Conv2d),
}

impl TinyDecoder {
    /// Loads `layers.0` and so on. Layers without weights leave gaps in the numbers: a rectifier behind the
    /// first, and what doubles the size before each convolution but the last.
    pub(crate) fn load(scope: &Scope) -> Result<Self> {
        let layer = |number: usize| scope.scope(format!("layers.{number}"));
        let latent_channels = layer(0).shape("weight")?.dim(1);
        let conv_in = Conv2d::load(&layer(0), latent_channels)?;
        let numbers = 0..MAX_LAYERS;
        let last = numbers
            .rev()
            .find(|number| scope.has_scope(&format!("layers.{number}")));
        let last = last.unwrap_or_default();
        let mut width = conv_in.out_channels();
        let mut layers = Vec::new();
        let mut number = 2; // after the rectifier
        while number < last {
            if layer(number).has_scope("conv") {
                layers.push(Layer::Block(Box::new(Block::load(&layer(number), width)?)));
                number += 1;
            } else {
                let conv = Conv2d::load_unbiased(&layer(number + 1), width)?;
                width = conv.out_channels();
                layers.push(Layer::Upsample(conv));
                number += 2;
            }
        }
        Ok(Self {
            latent_channels,
            conv_in,
            layers,
            conv_out: Conv2d::load_sized(&layer(number), width, IMAGE_CHANNELS)?,
        })
    }

    /// The channels C of the latents.
    pub(crate) fn latent_channels(&self) -> usize {
        self.latent_channels
    }

    /// The pixels of a latent's side.
    pub(crate) fn scale(&self) -> usize {
        let upsamples = self.layers.iter();
        let upsamples = upsamples.filter(|layer| matches!(layer, Layer::Upsample(_)));
        1 << upsamples.count()
    }

    /// What a latent, as the sampler has it, is for [`Self::forward`]: of values in the host's memory, since
    /// they are there anyway and nothing else needs such an operation.
    pub(crate) fn limited(latent: f32) -> f32 {
        LATENT_LIMIT * (latent / LATENT_LIMIT).tanh()
    }

    /// limited latents `[N, h, w, C]` → colours `[N, H, W, 3]`, 0 to 1 and a little beyond
    pub(crate) fn forward<'g>(&self, latents: Tensor<'g>) -> Tensor<'g> {
        let mut x = relu(self.conv_in.forward(latents));
        for layer in &self.layers {
            x = match layer {
                Layer::Block(block) => block.forward(x),
                Layer::Upsample(conv) => {
                    conv.forward(x.upsample_nearest(2 * x.dim(1), 2 * x.dim(2)))
                }
            };
        }
        self.conv_out.forward(x)
    }
}

/// Three convolutions beside a shortcut.
#[derive(Clone, Debug)]
struct Block {
    convs: [Conv2d; 3],
}

impl Block {
    /// Loads `conv.0`, `conv.2` and `conv.4`, with a rectifier between two of them.
    fn load(scope: &Scope, width: usize) -> Result<Self> {
        let conv =
            |number| Conv2d::load_sized(&scope.scope(format!("conv.{number}")), width, width);
        Ok(Self {
            convs: [conv(0)?, conv(2)?, conv(4)?],
        })
    }

    /// x `[N, H, W, C]` → the same shape
    fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let [first, second, third] = &self.convs;
        relu(third.forward(relu(second.forward(relu(first.forward(x))))) + x)
    }
}

fn relu(x: Tensor<'_>) -> Tensor<'_> {
    x.leaky_relu(0.0)
}
