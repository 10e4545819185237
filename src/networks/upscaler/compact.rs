//! Real-ESRGAN's compact network (Wang et al. 2021, arXiv 2107.10833; `realesrgan/archs/srvgg_arch.py`,
//! `SRVGGNetCompact`, with PReLU).

use super::shuffled_scale;
use crate::error::Result;
use crate::nn::Conv2d;
use crate::tensor::{Param, Tensor};
use crate::weights::Scope;

/// Convolutions at the size of the input, the last of which makes a square of pixels of each.
#[derive(Clone, Debug)]
pub(crate) struct Compact {
    body: Vec<(Conv2d, Param)>,
    last: Conv2d,
    scale: usize,
}

impl Compact {
    /// Loads `body.0`, a slope in `body.1`, and so on to the last convolution.
    pub(crate) fn load(scope: &Scope) -> Result<Self> {
        let layers = scope.count("body");
        let mut width = super::IMAGE_CHANNELS;
        let mut body = Vec::new();
        for layer in (0..layers.saturating_sub(1)).step_by(2) {
            let conv = Conv2d::load(&scope.scope(format!("body.{layer}")), width)?;
            width = conv.out_channels();
            let slope = scope.scope(format!("body.{}", layer + 1));
            body.push((conv, slope.get("weight", [width])?));
        }
        let last = Conv2d::load(&scope.scope(format!("body.{}", 2 * body.len())), width)?;
        Ok(Self {
            scale: shuffled_scale(scope, last.out_channels())?,
            body,
            last,
        })
    }

    /// How many times as wide and high the result is.
    pub(crate) fn scale(&self) -> usize {
        self.scale
    }

    /// pixels `[N, H, W, 3]` → `[N, scale·H, scale·W, 3]`: what is added to the nearest neighbours
    pub(crate) fn forward<'g>(&self, pixels: Tensor<'g>) -> Tensor<'g> {
        let mut x = pixels;
        for (conv, slope) in &self.body {
            x = conv.forward(x).prelu(slope);
        }
        let x = self.last.forward(x).pixel_shuffle(self.scale);
        x + pixels.upsample_nearest(x.dim(1), x.dim(2))
    }
}
