//! The VAE of a pipeline at work: latents become pictures, and pictures latents.

mod decoder;
mod encoder;

pub(super) use decoder::Decoder;
pub(super) use encoder::{Encoder, Moments};
