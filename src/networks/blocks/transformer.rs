//! The UNet's transformer over pixels, conditioned on text.

use crate::error::Result;
use crate::nn::{
    Attention, AttentionSpec, GroupNorm, GroupNormSpec, Heads, LayerNorm, Linear, ProjectionNames,
};
use crate::ops::Mask;
use crate::tensor::Tensor;
use crate::weights::Scope;

/// diffusers `transformer_2d.py`: the group norm's eps, whatever the UNet's `norm_eps` is.
const GROUP_NORM_EPS: f32 = 1e-6;
/// diffusers `attention.py`, `BasicTransformerBlock`: `norm_eps`.
const LAYER_NORM_EPS: f32 = 1e-5;

/// What a transformer's weights do not tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransformerSpec {
    /// The heads of every attention.
    pub heads: Heads,
    /// The width D of the context.
    pub context_width: usize,
    /// The groups of the group norm in front.
    pub norm_num_groups: usize,
}

/// Transformer blocks between two projections, around a residual connection
/// (Rombach et al. 2022, arXiv 2112.10752, appendix E.2.1; diffusers `transformer_2d.py`).
///
/// The projections are stored as 1×1 convolutions or as linear maps; both load.
#[derive(Clone, Debug)]
pub(crate) struct Transformer2d {
    norm: GroupNorm,
    proj_in: Linear,
    transformer_blocks: Vec<TransformerBlock>,
    proj_out: Linear,
}

impl Transformer2d {
    /// Loads a transformer over `channels`, as deep as the file's.
    pub(crate) fn load(scope: &Scope, channels: usize, spec: TransformerSpec) -> Result<Self> {
        let norm = GroupNormSpec {
            num_groups: spec.norm_num_groups,
            eps: GROUP_NORM_EPS,
        };
        let proj_in = Linear::load(&scope.scope("proj_in"), channels)?;
        let width = proj_in.out_features();
        let block = |i| {
            TransformerBlock::load(&scope.scope(format!("transformer_blocks.{i}")), width, spec)
        };
        Ok(Self {
            norm: GroupNorm::load(&scope.scope("norm"), channels, norm)?,
            proj_in,
            transformer_blocks: (0..scope.count("transformer_blocks").max(1))
                .map(block)
                .collect::<Result<_>>()?,
            proj_out: Linear::load_sized(&scope.scope("proj_out"), width, channels)?,
        })
    }

    /// x `[N, H, W, C]`, context `[N, L, D]` → `[N, H, W, C]`
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>, context: Tensor<'g>) -> Tensor<'g> {
        let pixels = [x.dim(0), x.dim(1) * x.dim(2), x.dim(3)];
        let h = self.norm.forward(x).reshape(pixels); // [N, H·W, C]
        let mut h = self.proj_in.forward(h);
        for block in &self.transformer_blocks {
            h = block.forward(h, context);
        }
        self.proj_out.forward(h).reshape(x.shape()) + x
    }
}

/// Self attention, attention to the context and a feed-forward, each after a layer norm
/// (diffusers `attention.py`, `BasicTransformerBlock`).
#[derive(Clone, Debug)]
struct TransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
}

impl TransformerBlock {
    fn load(scope: &Scope, width: usize, spec: TransformerSpec) -> Result<Self> {
        let norm = |name| LayerNorm::load(&scope.scope(name), width, LAYER_NORM_EPS);
        let attention = |name, context_width| {
            let spec = AttentionSpec {
                names: ProjectionNames::DIFFUSERS,
                width,
                context_width,
                heads: spec.heads,
            };
            Attention::load(&scope.scope(name), spec)
        };
        Ok(Self {
            norm1: norm("norm1")?,
            attn1: attention("attn1", width)?,
            norm2: norm("norm2")?,
            attn2: attention("attn2", spec.context_width)?,
            norm3: norm("norm3")?,
            ff: FeedForward::load(&scope.scope("ff"), width)?,
        })
    }

    /// x `[N, H·W, C]`, context `[N, L, D]` → `[N, H·W, C]`
    fn forward<'g>(&self, x: Tensor<'g>, context: Tensor<'g>) -> Tensor<'g> {
        let h = self.norm1.forward(x);
        let x = x + self.attn1.forward(h, h, Mask::None);
        let x = x + self
            .attn2
            .forward(self.norm2.forward(x), context, Mask::None);
        x + self.ff.forward(self.norm3.forward(x))
    }
}

/// A gated feed-forward (Shazeer 2020, arXiv 2002.05202, GEGLU).
#[derive(Clone, Debug)]
struct FeedForward {
    proj: Linear,
    out: Linear,
}

impl FeedForward {
    fn load(scope: &Scope, width: usize) -> Result<Self> {
        let hidden = scope.shape("net.2.weight")?.dim(1);
        Ok(Self {
            proj: Linear::load_sized(&scope.scope("net.0.proj"), width, 2 * hidden)?,
            out: Linear::load_sized(&scope.scope("net.2"), hidden, width)?,
        })
    }

    /// x `[N, L, C]` → `[N, L, C]`
    fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let h = self.proj.forward(x); // [N, L, 2 · hidden]
        self.out.forward(h.geglu()) // [N, L, hidden] → [N, L, C]
    }
}
