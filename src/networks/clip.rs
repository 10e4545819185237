//! CLIP's text encoder (Radford et al. 2021, arXiv 2103.00020, §2.4; transformers
//! `modeling_clip.py`, `CLIPTextTransformer`).

use crate::error::Result;
use crate::nn::{Attention, AttentionSpec, Embedding, Heads, LayerNorm, Linear, ProjectionNames};
use crate::ops::Mask;
use crate::tensor::Tensor;
use crate::weights::Scope;

/// What the weights of a text encoder do not tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClipConfig {
    /// The heads of every attention.
    pub heads: Heads,
    /// The function between the two maps of the feed-forward.
    pub activation: Activation,
    /// Added to the variance in every layer norm.
    pub layer_norm_eps: f32,
    /// How many layers at the end the result leaves out.
    pub skipped_layers: usize,
    /// Whether the result goes through the final layer norm.
    pub normalised: bool,
    /// Whether there is a projection to a vector for the whole text.
    pub pooled: bool,
}

/// The function between the two maps of a feed-forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x · sigmoid(1.702 · x)`: OpenAI's CLIP.
    QuickGelu,
    /// The exact one: OpenCLIP.
    Gelu,
}

impl Activation {
    /// Any shape → the same shape
    fn forward(self, x: Tensor<'_>) -> Tensor<'_> {
        match self {
            Self::QuickGelu => x.quick_gelu(),
            Self::Gelu => x.gelu(),
        }
    }
}

/// What a text encoder says of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextEncoding<'g> {
    /// One vector a token, `[N, L, C]`.
    pub hidden: Tensor<'g>,
    /// One vector a text, `[N, P]`, where there is a projection.
    pub pooled: Option<Tensor<'g>>,
}

/// Token ids to one vector a token, and in some to one for the whole text.
#[derive(Clone, Debug)]
pub(crate) struct ClipTextEncoder {
    token_embedding: Embedding,
    position_embedding: Embedding,
    layers: Vec<EncoderLayer>,
    final_layer_norm: LayerNorm,
    text_projection: Option<Linear>,
    normalised: bool,
}

impl ClipTextEncoder {
    /// Loads `text_model` and, if configured, `text_projection`, as deep and wide as the file's.
    pub(crate) fn load(part: &Scope, config: &ClipConfig) -> Result<Self> {
        let scope = part.scope("text_model");
        let token_embedding = Embedding::load(&scope.scope("embeddings.token_embedding"))?;
        let width = token_embedding.width();
        let positions = scope.scope("embeddings.position_embedding");
        let layer =
            |i| EncoderLayer::load(&scope.scope(format!("encoder.layers.{i}")), width, config);
        let projection = || Linear::load_unbiased(&part.scope("text_projection"), width);
        Ok(Self {
            token_embedding,
            position_embedding: Embedding::load_sized(&positions, width)?,
            layers: (0..scope.count("encoder.layers").max(1))
                .map(layer)
                .collect::<Result<_>>()?,
            final_layer_norm: LayerNorm::load(
                &scope.scope("final_layer_norm"),
                width,
                config.layer_norm_eps,
            )?,
            text_projection: config.pooled.then(projection).transpose()?,
            normalised: config.normalised,
        })
    }

    /// The width C of a token's vector.
    pub(crate) fn width(&self) -> usize {
        self.token_embedding.width()
    }

    /// The most tokens that it takes at once.
    pub(crate) fn max_length(&self) -> usize {
        self.position_embedding.rows()
    }

    /// The number of different tokens.
    pub(crate) fn vocabulary_size(&self) -> usize {
        self.token_embedding.rows()
    }

    /// The number of layers.
    pub(crate) fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// ids `[N, L]` u32, ends `[N, 1]` u32, where each text's end token stands among all N·L → the
    /// encoding, its vectors for tokens from `skipped_layers` before the last layer
    pub(crate) fn forward<'g>(
        &self,
        ids: Tensor<'g>,
        ends: Tensor<'g>,
        skipped_layers: usize,
    ) -> TextEncoding<'g> {
        let x = self.token_embedding.forward(ids); // [N, L, C]
        let mut x = self.position_embedding.add_positions(x);
        let mut hidden = x;
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if i + skipped_layers < self.layers.len() {
                hidden = x;
            }
        }
        // What nobody reads of these is not computed.
        let last = self.final_layer_norm.forward(x);
        if self.normalised {
            hidden = self.final_layer_norm.forward(hidden);
        }
        let project = |projection: &Linear| projection.forward(last.take_rows(ends)); // [N, C] → [N, P]
        TextEncoding {
            hidden,
            pooled: self.text_projection.as_ref().map(project),
        }
    }
}

/// Attention to the tokens before, then a feed-forward, each after a layer norm.
#[derive(Clone, Debug)]
struct EncoderLayer {
    layer_norm1: LayerNorm,
    self_attn: Attention,
    layer_norm2: LayerNorm,
    fc1: Linear,
    activation: Activation,
    fc2: Linear,
}

impl EncoderLayer {
    fn load(scope: &Scope, width: usize, config: &ClipConfig) -> Result<Self> {
        let norm = |name| LayerNorm::load(&scope.scope(name), width, config.layer_norm_eps);
        let attention = AttentionSpec {
            names: ProjectionNames::TRANSFORMERS,
            width,
            context_width: width,
            heads: config.heads,
        };
        let fc1 = Linear::load(&scope.scope("mlp.fc1"), width)?;
        Ok(Self {
            layer_norm1: norm("layer_norm1")?,
            self_attn: Attention::load(&scope.scope("self_attn"), attention)?,
            layer_norm2: norm("layer_norm2")?,
            fc2: Linear::load_sized(&scope.scope("mlp.fc2"), fc1.out_features(), width)?,
            fc1,
            activation: config.activation,
        })
    }

    /// x `[N, L, C]` → the same shape
    fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let h = self.layer_norm1.forward(x);
        let x = x + self.self_attn.forward(h, h, Mask::Causal);
        let h = self.fc1.forward(self.layer_norm2.forward(x)); // [N, L, hidden]
        x + self.fc2.forward(self.activation.forward(h))
    }
}
