//! The plans of a VAE in two: what looks at the whole picture, at the latent's size, and what looks at
//! a neighbourhood, at the size of a tile.

use super::tiles::Tiles;
use crate::error::{Error, Result};
use crate::pipeline::model::Model;
use crate::pipeline::recordings::ends;
use crate::plan::Plan;
use crate::tensor::{Caps, DType, Recorder, Wrap};

/// What goes from one half of a VAE to the other, `[1, h, w, K]`.
pub(super) const INNER: &str = "inner";

/// The least side in latents of a tile that may be asked for.
const LEAST_TILE: usize = 8;

impl Model {
    /// The most latents on a side of what the VAE has at once, of so many pixels that were asked for.
    ///
    /// # Errors
    /// [`Error::Request`] if that is too small, or no multiple of the latent factor.
    pub(in crate::pipeline) fn vae_tile(&self, pixels: Option<usize>) -> Result<Option<usize>> {
        let factor = self.config.vae_scale_factor;
        match pixels {
            Some(side) if side < LEAST_TILE * factor || !side.is_multiple_of(factor) => {
                let reason = format!(
                    "must be a multiple of {factor} pixels for this model, and at least {}, not \
                     {side}",
                    LEAST_TILE * factor
                );
                Err(Error::request("vae_tile", reason))
            }
            pixels => Ok(pixels.map(|side| side / factor)),
        }
    }

    /// All that decodes a latent of that size, in tiles of so many latents on a side or whole. Whether
    /// edges join changes nothing in its size.
    pub(in crate::pipeline) fn vae_decoder_plans(
        &self,
        latent: [usize; 2],
        tile: Option<usize>,
        compute: DType,
        caps: &Caps,
    ) -> Result<Vec<(&'static str, Plan)>> {
        let Some(tiles) = Tiles::of(latent, tile) else {
            let whole = self.vae_decoder_plan(latent, Wrap::NONE, compute, caps)?;
            return Ok(vec![("vae_decoder", whole)]);
        };
        let inner = self.vae_decoder_inner_plan(latent, compute, caps)?;
        let tile = self.vae_decoder_tile_plan(tiles.tile, compute, caps)?;
        Ok(vec![("vae_decoder", inner), ("vae_decoder.tile", tile)])
    }

    /// All that encodes a picture with a latent of that size, likewise.
    ///
    /// # Errors
    /// As [`Model::require_encoder`].
    pub(in crate::pipeline) fn vae_encoder_plans(
        &self,
        latent: [usize; 2],
        tile: Option<usize>,
        compute: DType,
        caps: &Caps,
    ) -> Result<Vec<(&'static str, Plan)>> {
        let Some(tiles) = Tiles::of(latent, tile) else {
            let whole = self.vae_encoder_plan(latent, Wrap::NONE, compute, caps)?;
            return Ok(vec![("vae_encoder", whole)]);
        };
        let inner = self.vae_encoder_inner_plan(latent, compute, caps)?;
        let tile = self.vae_encoder_tile_plan(tiles.tile, compute, caps)?;
        Ok(vec![("vae_encoder", inner), ("vae_encoder.tile", tile)])
    }

    /// latent → what the decoder's tiles are cut from.
    pub(in crate::pipeline) fn vae_decoder_inner_plan(
        &self,
        [height, width]: [usize; 2],
        compute: DType,
        caps: &Caps,
    ) -> Result<Plan> {
        let recorder = Recorder::new(compute);
        let shape = [1, height, width, self.config.vae.latent_channels];
        let latent = recorder.input(ends::LATENT, shape, DType::F32);
        let inner = self.vae_decoder.inner(latent.to(compute));
        recorder.output(INNER, inner);
        recorder.output(ends::NONFINITE, inner.count_nonfinite());
        Plan::lower(recorder.finish()?, caps)
    }

    /// A tile of so many latents → its pixels.
    pub(in crate::pipeline) fn vae_decoder_tile_plan(
        &self,
        [height, width]: [usize; 2],
        compute: DType,
        caps: &Caps,
    ) -> Result<Plan> {
        let recorder = Recorder::new(compute).sharing_norms();
        let shape = [1, height, width, self.vae_decoder.inner_channels()];
        let inner = recorder.input(INNER, shape, compute);
        let decoded = self.vae_decoder.outer(inner);
        recorder.output(ends::DECODED, decoded);
        recorder.output(ends::NONFINITE, decoded.count_nonfinite());
        Plan::lower(recorder.finish()?, caps)
    }

    /// The pixels of a tile of so many latents → what the encoder's other half takes.
    ///
    /// # Errors
    /// As [`Model::require_encoder`].
    pub(in crate::pipeline) fn vae_encoder_tile_plan(
        &self,
        tile: [usize; 2],
        compute: DType,
        caps: &Caps,
    ) -> Result<Plan> {
        let encoder = self.require_encoder()?;
        let [height, width] = tile.map(|side| side * self.config.vae_scale_factor);
        let recorder = Recorder::new(compute).sharing_norms();
        let image = recorder.input(ends::IMAGE, [1, height, width, 3], DType::F32);
        let inner = encoder.outer(image.to(compute));
        recorder.output(INNER, inner);
        recorder.output(ends::NONFINITE, inner.count_nonfinite());
        Plan::lower(recorder.finish()?, caps)
    }

    /// What the encoder's tiles make up → mean and log variance of the latent.
    ///
    /// # Errors
    /// As [`Model::require_encoder`].
    pub(in crate::pipeline) fn vae_encoder_inner_plan(
        &self,
        [height, width]: [usize; 2],
        compute: DType,
        caps: &Caps,
    ) -> Result<Plan> {
        let encoder = self.require_encoder()?;
        let recorder = Recorder::new(compute);
        let inner = recorder.input(INNER, [1, height, width, encoder.inner_channels()], compute);
        let moments = encoder.inner(inner).to(DType::F32);
        recorder.output(ends::MEAN, encoder.mean(moments));
        recorder.output(ends::LOG_VARIANCE, encoder.log_variance(moments));
        recorder.output(ends::NONFINITE, moments.count_nonfinite());
        Plan::lower(recorder.finish()?, caps)
    }
}
