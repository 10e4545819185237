//! Networks that enlarge pictures: no prompt, no noise, one pass.

mod compact;
mod esrgan;
mod span;

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::weights::Scope;
use compact::Compact;
use esrgan::Esrgan;
use span::Span;

/// Red, green and blue.
const IMAGE_CHANNELS: usize = 3;
/// The largest factor known.
const MAX_SCALE: usize = 16;

/// What becomes of colours of 0 to 1 before they enter a network: `(colour − mean) · factor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct InputScaling {
    /// Red, green and blue that become 0.
    pub(crate) mean: [f32; IMAGE_CHANNELS],
    /// What the rest is multiplied by.
    pub(crate) factor: f32,
}

impl Default for InputScaling {
    /// Colours as they are.
    fn default() -> Self {
        Self {
            mean: [0.0; IMAGE_CHANNELS],
            factor: 1.0,
        }
    }
}

/// An upscaling network of any kind.
#[derive(Clone, Debug)]
pub(crate) enum Upscaler {
    /// ESRGAN, Real-ESRGAN, BSRGAN.
    Esrgan(Box<Esrgan>),
    /// Real-ESRGAN's compact network.
    Compact(Box<Compact>),
    /// SPAN.
    Span(Box<Span>),
}

impl Upscaler {
    /// Loads the network that the tensors below `scope` make.
    pub(crate) fn load(scope: &Scope) -> Result<Self> {
        let network = if scope.has("conv_first.weight") {
            Self::Esrgan(Box::new(Esrgan::load(scope)?))
        } else if scope.has("body.0.weight") {
            Self::Compact(Box::new(Compact::load(scope)?))
        } else {
            Self::Span(Box::new(Span::load(scope)?))
        };
        let scale = network.scale();
        if (1..=MAX_SCALE).contains(&scale) {
            Ok(network)
        } else {
            Err(scope.unsupported(format_args!(
                "enlarges by {scale}; 1 to {MAX_SCALE} is known"
            )))
        }
    }

    /// What its architecture is called.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Esrgan(_) => "ESRGAN",
            Self::Compact(_) => "Real-ESRGAN compact",
            Self::Span(_) => "SPAN",
        }
    }

    /// How many times as wide and high the result is.
    pub(crate) fn scale(&self) -> usize {
        match self {
            Self::Esrgan(network) => network.scale(),
            Self::Compact(network) => network.scale(),
            Self::Span(network) => network.scale(),
        }
    }

    /// What height and width must be multiples of.
    pub(crate) fn multiple(&self) -> usize {
        match self {
            Self::Esrgan(network) => network.multiple(),
            Self::Compact(_) | Self::Span(_) => 1,
        }
    }

    /// What becomes of colours before they enter.
    pub(crate) fn input(&self) -> InputScaling {
        match self {
            Self::Esrgan(_) | Self::Compact(_) => InputScaling::default(),
            Self::Span(network) => network.input(),
        }
    }

    /// pixels `[N, H, W, 3]`, scaled as [`Upscaler::input`] says → `[N, scale·H, scale·W, 3]`, 0 to 1
    /// and a little beyond
    pub(crate) fn forward<'g>(&self, pixels: Tensor<'g>) -> Tensor<'g> {
        match self {
            Self::Esrgan(network) => network.forward(pixels),
            Self::Compact(network) => network.forward(pixels),
            Self::Span(network) => network.forward(pixels),
        }
    }
}

/// The factor of a last convolution whose channels become squares of coloured pixels.
fn shuffled_scale(scope: &Scope, channels: usize) -> Result<usize> {
    let factors = 1..=MAX_SCALE;
    let found = factors.rev().find(|f| f * f * IMAGE_CHANNELS == channels);
    found.ok_or_else(|| not_rgb(scope, channels))
}

fn not_rgb(scope: &Scope, channels: usize) -> Error {
    scope.unsupported(format_args!(
        "ends in {channels} channels, which make no picture of red, green and blue; use an upscaler \
         for colour pictures"
    ))
}
