//! The VAE's attention between pixels.

use crate::error::Result;
use crate::nn::{Attention, AttentionSpec, GroupNorm, GroupNormSpec, Heads, ProjectionNames};
use crate::ops::Mask;
use crate::tensor::Tensor;
use crate::weights::Scope;

/// Self attention over height and width with one head, around a residual connection
/// (diffusers `attention_processor.py`, `Attention` with `residual_connection`).
#[derive(Clone, Debug)]
pub(crate) struct AttentionBlock {
    group_norm: GroupNorm,
    attention: Attention,
}

impl AttentionBlock {
    /// Loads a block of `channels`.
    pub(crate) fn load(scope: &Scope, channels: usize, norm: GroupNormSpec) -> Result<Self> {
        let spec = AttentionSpec {
            names: ProjectionNames::DIFFUSERS,
            width: channels,
            context_width: channels,
            heads: Heads::Count(1),
        };
        Ok(Self {
            group_norm: GroupNorm::load(&scope.scope("group_norm"), channels, norm)?,
            attention: Attention::load(scope, spec)?,
        })
    }

    /// x `[N, H, W, C]` → the same shape
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let pixels = [x.dim(0), x.dim(1) * x.dim(2), x.dim(3)];
        let h = self.group_norm.forward(x).reshape(pixels); // [N, H·W, C]
        let h = self.attention.forward(h, h, Mask::None);
        x + h.reshape(x.shape())
    }
}
