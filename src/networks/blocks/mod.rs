//! Parts that several networks share.

mod attention;
mod resample;
mod resnet;
mod time_embedding;
mod transformer;

pub use attention::AttentionBlock;
pub use resample::{Downsample2d, Upsample2d};
pub use resnet::ResnetBlock;
pub use time_embedding::TimeEmbedding;
pub use transformer::{Transformer2d, TransformerSpec};
