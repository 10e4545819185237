//! Residual blocks of densely connected ones (Wang et al. 2018, arXiv 1809.00219, ESRGAN; with its pixels
//! in channels first, Wang et al. 2021, arXiv 2107.10833, Real-ESRGAN; with more residual paths,
//! Rakotonirina & Rasoanaivo 2020, arXiv 2001.08073, ESRGAN+). Checked against spandrel 0.4.2.

use super::{IMAGE_CHANNELS, not_rgb};
use crate::error::Result;
use crate::nn::{Conv2d, Linear};
use crate::tensor::Tensor;
use crate::weights::Scope;

/// What negative features are multiplied by.
const SLOPE: f32 = 0.2;
/// What of a block's result is added to its input.
const RESIDUAL_SCALE: f32 = 0.2;
/// Dense blocks in a block of the trunk.
const DENSE_BLOCKS: usize = 3;
/// Convolutions in a dense block.
const DENSE_CONVS: usize = 5;

/// ESRGAN and its relatives.
#[derive(Clone, Debug)]
pub(crate) struct Esrgan {
    /// The side of the square of pixels that makes one of the first convolution's.
    unshuffle: usize,
    conv_first: Conv2d,
    body: Vec<[DenseBlock; DENSE_BLOCKS]>,
    conv_body: Conv2d,
    /// A convolution after each doubling of height and width.
    conv_up: Vec<Conv2d>,
    conv_hr: Conv2d,
    conv_last: Conv2d,
}

impl Esrgan {
    /// Loads `conv_first`, `body`, `conv_body`, `conv_up1` and on, `conv_hr` and `conv_last`.
    pub(crate) fn load(scope: &Scope) -> Result<Self> {
        let in_channels = scope.shape("conv_first.weight")?.dim(1);
        let unshuffle = [1, 2, 4]
            .into_iter()
            .find(|f| f * f * IMAGE_CHANNELS == in_channels)
            .ok_or_else(|| not_rgb(scope, in_channels))?;
        let conv_first = Conv2d::load(&scope.scope("conv_first"), in_channels)?;
        let width = conv_first.out_channels();
        let same = |name: &str| Conv2d::load_sized(&scope.scope(name), width, width);
        let body = (0..scope.count("body").max(1)).map(|block| {
            let block = scope.scope(format!("body.{block}"));
            let dense = |n: usize| DenseBlock::load(&block.scope(format!("rdb{n}")), width);
            Ok([dense(1)?, dense(2)?, dense(3)?])
        });
        let ups = (1..).map(|n| format!("conv_up{n}"));
        let ups = ups.take_while(|name| scope.has_scope(name));
        Ok(Self {
            unshuffle,
            body: body.collect::<Result<_>>()?,
            conv_body: same("conv_body")?,
            conv_up: ups.map(|name| same(&name)).collect::<Result<_>>()?,
            conv_hr: same("conv_hr")?,
            conv_last: Conv2d::load_sized(&scope.scope("conv_last"), width, IMAGE_CHANNELS)?,
            conv_first,
        })
    }

    /// How many times as wide and high the result is; 0 where it would be smaller.
    pub(crate) fn scale(&self) -> usize {
        (1 << self.conv_up.len()) / self.unshuffle
    }

    /// What height and width must be multiples of.
    pub(crate) fn multiple(&self) -> usize {
        self.unshuffle
    }

    /// pixels `[N, H, W, 3]` → `[N, scale·H, scale·W, 3]`
    pub(crate) fn forward<'g>(&self, pixels: Tensor<'g>) -> Tensor<'g> {
        let pixels = match self.unshuffle {
            1 => pixels,
            factor => pixels.pixel_unshuffle(factor), // [N, H/f, W/f, 3·f²]
        };
        let first = self.conv_first.forward(pixels);
        let trunk = self.body.iter().fold(first, |x, dense_blocks| {
            let h = dense_blocks.iter().fold(x, |h, dense| dense.forward(h));
            x + h.scale(RESIDUAL_SCALE)
        });
        let mut x = first + self.conv_body.forward(trunk);
        for conv in &self.conv_up {
            x = x.upsample_nearest(2 * x.dim(1), 2 * x.dim(2)); // twice the size
            x = conv.forward(x).leaky_relu(SLOPE);
        }
        self.conv_last
            .forward(self.conv_hr.forward(x).leaky_relu(SLOPE))
    }
}

/// Convolutions, each of all that came before it in the block.
#[derive(Clone, Debug)]
struct DenseBlock {
    convs: Vec<Conv2d>,
    /// ESRGAN+'s path from the input to the second convolution's result.
    conv1x1: Option<Linear>,
}

impl DenseBlock {
    fn load(scope: &Scope, width: usize) -> Result<Self> {
        let growth = scope.shape("conv1.weight")?.dim(0);
        let conv = |n: usize| {
            let out_channels = if n == DENSE_CONVS { width } else { growth };
            let in_channels = width + (n - 1) * growth;
            Conv2d::load_sized(&scope.scope(format!("conv{n}")), in_channels, out_channels)
        };
        let path = || Linear::load_without_bias(&scope.scope("conv1x1"), width, growth);
        Ok(Self {
            convs: (1..=DENSE_CONVS).map(conv).collect::<Result<_>>()?,
            conv1x1: scope.has_scope("conv1x1").then(path).transpose()?,
        })
    }

    /// x `[N, H, W, C]` → the same shape
    fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let mut seen = x; // [N, H, W, C + n·G] after n convolutions
        let mut second = None;
        for (n, conv) in (1..DENSE_CONVS).zip(&self.convs) {
            let mut h = conv.forward(seen).leaky_relu(SLOPE);
            if let Some(path) = &self.conv1x1 {
                if n == 2 {
                    h = h + path.forward(x);
                    second = Some(h);
                }
                if let (4, Some(second)) = (n, second) {
                    h = h + second;
                }
            }
            seen = seen.concat(h);
        }
        x + self.convs[DENSE_CONVS - 1]
            .forward(seen)
            .scale(RESIDUAL_SCALE)
    }
}
