//! The VAE of a pipeline at work: latents become pictures, and pictures latents.

mod decoder;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "tasks that start from a picture ask for it")
)]
mod encoder;

pub(super) use decoder::Decoder;
#[cfg_attr(
    not(test),
    expect(unused_imports, reason = "tasks that start from a picture ask for it")
)]
pub(super) use encoder::Encoder;
