//! A second pass over what a first one drew: from its latents or pictures, made larger.

use super::{First, Start};
use crate::error::Result;
use crate::image::Image;
use crate::pipeline::vae::Encoder;

/// What a first pass drew, in the size of the second.
#[derive(Debug)]
pub(in crate::pipeline) enum Enlarged {
    /// `[N, C, h, w]`
    Latents(Vec<f32>),
    /// One each.
    Pictures(Vec<Image>),
}

impl Enlarged {
    /// What the pass starts from: the latents with noise to where its steps begin. Pictures' are drawn
    /// before that, as those of a picture that somebody gives.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub(in crate::pipeline) async fn prepare(
        self,
        mut start: Start<'_>,
        encoder: Option<Encoder>,
    ) -> Result<First> {
        let (clean, encoder_noise) = match (self, encoder) {
            (Self::Pictures(pictures), Some(mut encoder)) => {
                encoder.begin().await?;
                let mut moments = Vec::with_capacity(pictures.len());
                for picture in &pictures {
                    moments.push(encoder.encode(&picture.to_unit_range()).await?);
                }
                start.latents_of(&moments)?
            }
            (Self::Latents(latents), _) => (latents, None),
            (Self::Pictures(_), None) => unreachable!("pictures are encoded where a pass has them"),
        };
        Ok(start.begin_with(&clean, encoder_noise))
    }
}
