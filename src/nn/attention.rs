//! Attention with its four projections.

use super::Linear;
use crate::error::Result;
use crate::ops::Mask;
use crate::tensor::Tensor;
use crate::weights::Scope;

/// What the weights of the four projections are called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProjectionNames {
    q: &'static str,
    k: &'static str,
    v: &'static str,
    out: &'static str,
}

impl ProjectionNames {
    /// As diffusers names them.
    pub(crate) const DIFFUSERS: Self = Self {
        q: "to_q",
        k: "to_k",
        v: "to_v",
        out: "to_out.0",
    };
    /// As transformers names them.
    pub(crate) const TRANSFORMERS: Self = Self {
        q: "q_proj",
        k: "k_proj",
        v: "v_proj",
        out: "out_proj",
    };
}

/// What an attention's weights do not tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionSpec {
    /// The names of the projections.
    pub names: ProjectionNames,
    /// The width of the queries' source and of the result.
    pub width: usize,
    /// The width of the keys' and values' source; `width` in self attention.
    pub context_width: usize,
    /// How many heads share the projected width.
    pub heads: Heads,
}

/// How an attention's width is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heads {
    /// Into so many heads.
    Count(usize),
    /// Into heads of this width.
    Width(usize),
}

impl Heads {
    /// The number of heads of a width, if it can be divided so.
    fn of(self, width: usize) -> Option<usize> {
        let (Self::Count(divisor) | Self::Width(divisor)) = self;
        let other = width
            .checked_div(divisor)
            .filter(|_| width.is_multiple_of(divisor))?;
        Some(match self {
            Self::Count(count) => count,
            Self::Width(_) => other,
        })
    }
}

/// Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762, §3.2.2).
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    num_heads: usize,
}

impl Attention {
    /// Loads the projections; q, k and v have biases when the file holds any of the three. Fails
    /// when the heads do not divide the projected width.
    pub(crate) fn load(scope: &Scope, spec: AttentionSpec) -> Result<Self> {
        let AttentionSpec {
            names,
            width,
            context_width,
            heads,
        } = spec;
        let inner = scope.scope(names.q).shape("weight")?.dim(0);
        let num_heads = heads.of(inner).ok_or_else(|| {
            let wanted = match heads {
                Heads::Count(count) => format!("{count} heads"),
                Heads::Width(width) => format!("heads of {width}"),
            };
            scope.unsupported(format_args!(
                "a width of {inner} cannot be split into {wanted}; \
                 the heads in the model's configuration must divide it"
            ))
        })?;
        let biased = [names.q, names.k, names.v]
            .iter()
            .any(|name| scope.has(&format!("{name}.bias")));
        let project = if biased {
            Linear::load_sized
        } else {
            Linear::load_without_bias
        };
        Ok(Self {
            to_q: project(&scope.scope(names.q), width, inner)?,
            to_k: project(&scope.scope(names.k), context_width, inner)?,
            to_v: project(&scope.scope(names.v), context_width, inner)?,
            to_out: Linear::load_sized(&scope.scope(names.out), inner, width)?,
            num_heads,
        })
    }

    /// x `[N, L, C]`, context `[N, M, D]` → `[N, L, C]`; self attention is `context = x`
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>, context: Tensor<'g>, mask: Mask) -> Tensor<'g> {
        let q = self.to_q.forward(x); // [N, L, heads · head_dim]
        let k = self.to_k.forward(context); // [N, M, heads · head_dim]
        let v = self.to_v.forward(context);
        self.to_out.forward(q.attention(k, v, self.num_heads, mask))
    }
}
