//! A picture from a picture: the first latent is the picture's, noised to where the steps begin.

use super::{First, Start};
use crate::error::Result;
use crate::image::InputImage;
use crate::pipeline::vae::{Encoder, Moments};
use crate::sampling::Level;

/// Encodes the picture and adds noise, drawing in diffusers' order
/// (pipeline_stable_diffusion_img2img.py, `prepare_latents`): for the encoded, then for the noise.
pub(super) async fn prepare(
    mut start: Start<'_>,
    image: &InputImage,
    encoder: &mut Encoder,
) -> Result<First> {
    let moments = encode(&start, image, encoder).await?;
    let (clean, encoder_noise) = start.latents_of(&[moments])?;
    Ok(start.begin_with(&clean, encoder_noise))
}

/// What the VAE's encoder says of a picture in the request's size.
pub(super) async fn encode(
    start: &Start<'_>,
    image: &InputImage,
    encoder: &mut Encoder,
) -> Result<Moments> {
    let request = start.request;
    let image = image.image()?;
    let image = image.resized(request.width(), request.height(), request.resize_mode)?;
    encoder.begin().await?;
    encoder.encode(&image.to_unit_range()).await
}

/// Latents with noise, of any one order of the axes.
pub(super) fn noised(clean: &[f32], unit_normal: &[f32], level: Level) -> Vec<f32> {
    let pairs = clean.iter().zip(unit_normal);
    #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
    let noised = pairs.map(|(clean, normal)| {
        (level.signal * f64::from(*clean) + level.noise * f64::from(*normal)) as f32
    });
    noised.collect()
}

impl Start<'_> {
    /// What a run starts from that has these latents, `[N, C, h, w]`: they, with noise to where the steps
    /// begin.
    pub(super) fn begin_with(self, clean: &[f32], encoder_noise: Option<Vec<f32>>) -> First {
        let unit_normal = self.noise.initial(self.shape);
        First {
            latents: noised(clean, &unit_normal, self.table.first),
            unit_normal,
            encoder_noise: encoder_noise.into_iter().collect(),
            beside: Vec::new(),
            known: None,
        }
    }

    /// Latents for every picture that is made, `[N, C, h, w]`, of one picture for all or of one each; and
    /// the unit normals that they were drawn from, where the rules draw them.
    ///
    /// # Errors
    /// As [`crate::pipeline::noise::RunNoise::encoder`].
    pub(super) fn latents_of(
        &mut self,
        moments: &[Moments],
    ) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
        let one = self.shape.one();
        let moments = moments.iter().cycle();
        if !self.draws_the_encoded() {
            let modes = moments.take(self.shape.batch).map(Moments::mode);
            let modes = modes.flat_map(|mode| one.channels_first(&mode));
            return Ok((modes.collect(), None));
        }
        let drawn = self.noise.encoder(self.shape)?;
        let pictures = drawn.chunks_exact(one.len()).zip(moments);
        let latents = pictures.flat_map(|(normal, moments)| {
            let latent = moments.sample(&one.channels_last(normal));
            one.channels_first(&latent)
        });
        Ok((latents.collect(), Some(drawn)))
    }
}
