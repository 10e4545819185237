//! Pictures under way, looked at.

use super::Run;
use crate::error::{Error, Result};
use crate::families::LATENT_CHANNELS;
use crate::gpu::block_on;
use crate::image::Image;
use crate::pipeline::TinyDecoder;
use crate::pipeline::vae::rgba8;

impl Run {
    /// What the pictures are becoming: what the network took for noise in the last step is taken off
    /// them, all of it. Small, a pixel for each latent, in colours that follow from the latents by a
    /// linear map of the model's family. Before the first step, and before the first of a run that goes on by
    /// [`crate::Pipeline::resume`], there is none, nor after [`Run::finish_on_gpu`].
    ///
    /// It costs a read of the latents and of what the sampler remembers, 1.3 MB for a picture of 1024² and twice
    /// that with some samplers, and nothing where it is not asked for. While
    /// a picture is drawn in rounds, or a part of it alone, it is that round's.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model's latents have not four channels, or if the run is over;
    /// [`Error::Cancelled`], [`Error::DeviceLost`] or [`Error::Gpu`].
    pub fn preview(&self) -> Result<Vec<Image>> {
        block_on(self.preview_async())
    }

    /// As [`Run::preview`], for any executor: [`crate::Pipeline::start_async`] says what it does to a
    /// thread.
    ///
    /// # Errors
    /// As [`Run::preview`].
    pub async fn preview_async(&self) -> Result<Vec<Image>> {
        self.check_going_on()?;
        let Some(denoised) = self.denoiser.denoised().await? else {
            return Ok(Vec::new());
        };
        let [channels, height, width] = self.shape.chw;
        if channels != LATENT_CHANNELS {
            return Err(Error::Unsupported(format!(
                "a preview of latents of {channels} channels; it is known what colours those of \
                 {LATENT_CHANNELS} stand for"
            )));
        }
        let colours = &self.pipeline.model().config.latent_rgb;
        let pictures = denoised.chunks_exact(self.shape.picture_len());
        let pictures = pictures.map(|latents| rgba8(&colours.colours(latents)));
        pictures
            .map(|pixels| Image::from_rgba(width, height, pixels))
            .collect()
    }

    /// As [`Run::preview`], by a decoder, at the pictures' full size. It takes memory of its own while it is
    /// there, which [`Pipeline::memory`](crate::Pipeline::memory) does not know of.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the decoder is for other latents, or if the run is over;
    /// [`Error::NotFinite`], [`Error::OutOfMemory`], [`Error::Cancelled`], [`Error::DeviceLost`] or
    /// [`Error::Gpu`].
    pub fn preview_with(&self, decoder: &TinyDecoder) -> Result<Vec<Image>> {
        block_on(self.preview_with_async(decoder))
    }

    /// As [`Run::preview_with`], for any executor: [`crate::Pipeline::start_async`] says what it does to a
    /// thread.
    ///
    /// # Errors
    /// As [`Run::preview_with`].
    pub async fn preview_with_async(&self, decoder: &TinyDecoder) -> Result<Vec<Image>> {
        self.check_going_on()?;
        decoder.check(self.shape.chw[0])?;
        match self.denoiser.denoised().await? {
            Some(denoised) => decoder.decode(&denoised, self.shape).await,
            None => Ok(Vec::new()),
        }
    }
}
