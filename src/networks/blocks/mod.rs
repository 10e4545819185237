//! Parts that several networks share.

mod attention;
mod resample;
mod resnet;
mod time_embedding;
mod transformer;

pub(crate) use attention::AttentionBlock;
pub(crate) use resample::{Downsample2d, Upsample2d};
pub(crate) use resnet::ResnetBlock;
pub(crate) use time_embedding::{EmbeddingMlp, TimeEmbedding};
pub(crate) use transformer::{Transformer2d, TransformerSpec};
