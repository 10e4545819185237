//! A picture edited by instruction: the first latent is noise, and the network sees the picture's
//! latent beside it.

use super::image_to_image::encode;
use super::{First, Start, text_to_image};
use crate::error::Result;
use crate::image::InputImage;
use crate::pipeline::vae::Encoder;

/// Encodes the picture: the likeliest latent, in the VAE's own scale, but for CosXL's networks, which
/// get it in the sampler's (diffusers pipeline_stable_diffusion_instruct_pix2pix.py and
/// pipeline_stable_diffusion_xl_instruct_pix2pix.py, `prepare_image_latents`).
pub(super) async fn prepare(
    start: Start<'_>,
    image: &InputImage,
    encoder: &mut Encoder,
) -> Result<First> {
    let moments = encode(&start, image, encoder).await?;
    let is_cosxl = start.model.config.scheduler.sigma_range.is_some();
    let seen = if is_cosxl {
        moments.mode()
    } else {
        moments.mean().to_vec()
    };
    let batch = start.shape.batch;
    Ok(First {
        beside: seen.repeat(batch),
        ..text_to_image::prepare(start)
    })
}
