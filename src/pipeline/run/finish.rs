//! Everything after the last step: latents decoded, and pictures told how they came about.

use super::Run;
use crate::error::Result;
use crate::gpu::block_on;
use crate::image::{HiresParameters, Image, PARAMETERS_KEYWORD, Parameters, REQUEST_KEYWORD};
use crate::pipeline::latent::LatentShape;
use crate::pipeline::progress::TileProgress;
use crate::pipeline::request::Noise;
use crate::pipeline::tasks::Painting;
use crate::pipeline::trace::Trace;
use crate::pipeline::upscaler::Upscaler;

impl Run {
    /// Does the steps that are left and decodes the pictures.
    ///
    /// # Errors
    /// As [`Run::next_step`].
    pub fn finish(self) -> Result<Vec<Image>> {
        self.finish_with_progress(&mut |_| ())
    }

    /// As [`Run::finish`], for any executor: [`crate::Pipeline::start_async`] says what it does to a
    /// thread. Dropped, it cancels.
    ///
    /// # Errors
    /// As [`Run::next_step`].
    pub async fn finish_async(mut self) -> Result<Vec<Image>> {
        self.pictures(&mut |_| ()).await
    }

    /// As [`Run::finish`], and tells how far the decoding is, where it goes by tiles.
    ///
    /// # Errors
    /// As [`Run::next_step`].
    pub fn finish_with_progress(
        mut self,
        progress: &mut dyn FnMut(TileProgress),
    ) -> Result<Vec<Image>> {
        block_on(self.pictures(progress))
    }

    /// As [`Run::finish`], with every intermediate of a run that was started traced.
    ///
    /// # Errors
    /// As [`Run::next_step`].
    pub fn finish_traced(mut self) -> Result<(Vec<Image>, Trace)> {
        let images = block_on(self.pictures(&mut |_| ()))?;
        Ok((images, self.trace.take().unwrap_or_default()))
    }

    async fn pictures(
        &mut self,
        progress: &mut (impl FnMut(TileProgress) + ?Sized),
    ) -> Result<Vec<Image>> {
        while self.next_step_async().await?.is_some() {}
        let canceller = self.canceller.clone();
        let images = canceller.unless_cancelled(self.images(progress)).await?;
        let images = images.into_iter().enumerate();
        images
            .map(|(picture, image)| self.told(picture, image))
            .collect()
    }

    /// The pictures, once all steps are done.
    pub(super) async fn images(
        &mut self,
        progress: &mut (impl FnMut(TileProgress) + ?Sized),
    ) -> Result<Vec<Image>> {
        if self.rounds_left() == 1 {
            let pictures = self.decode(progress).await?;
            let Some(painting) = &mut self.painting else {
                let (width, height) = (self.request.width(), self.request.height());
                let images = pictures.into_iter();
                let images = images.map(|pixels| Image::from_rgba(width, height, pixels));
                return images.collect();
            };
            painting.put_back(pictures)?;
        }
        let painted = self.painting.as_ref().map(Painting::pictures);
        Ok(painted.unwrap_or_default().to_vec())
    }

    /// The state after the last row of a round.
    pub(super) async fn last_state(&mut self) -> Result<Vec<f32>> {
        if self.left.is_none() {
            self.left = Some(self.denoiser.leave().await?);
        }
        Ok(self.left.clone().unwrap_or_default())
    }

    /// The latents in a state, `[h, w, C]` each.
    pub(super) fn latents_of<'s>(&self, state: &'s [f32]) -> Vec<&'s [f32]> {
        let latents = state.chunks_exact(self.shape.picture_len());
        latents.take(self.shape.batch).collect()
    }

    /// The pictures that the latents are now, `[H, W, 4]` each. The last ones are kept in the trace.
    pub(super) async fn decode(
        &mut self,
        progress: &mut (impl FnMut(TileProgress) + ?Sized),
    ) -> Result<Vec<Vec<u8>>> {
        let state = self.last_state().await?;
        let is_last = self.rounds_left() == 1 && self.steps_to_come == 0;
        let latents = self.latents_of(&state);
        let decoded = self.decoder.decode(&latents, progress).await?;
        let (pictures, values): (Vec<_>, Vec<_>) = decoded
            .into_iter()
            .map(|decoded| (decoded.pixels, decoded.values))
            .unzip();
        // Decoded for textures before, it is there.
        let is_new = |trace: &&mut Trace| trace.names().all(|name| name != "decoded");
        if let Some(trace) = self.trace.as_mut().filter(|_| is_last).filter(is_new) {
            let shape = LatentShape {
                batch: self.shape.batch,
                chw: [3, self.request.height(), self.request.width()],
            };
            let decoded = shape.channels_first(&values.concat());
            let to_unit = |value: &f32| (value / 2.0 + 0.5).clamp(0.0, 1.0);
            let image: Vec<f32> = decoded.iter().map(to_unit).collect();
            trace.add("decoded", &shape.nchw(), &decoded);
            trace.add("image", &shape.nchw(), &image);
        }
        Ok(pictures)
    }

    /// A picture with the texts that make it again, alone. Recorded noise is named, not carried, and
    /// serves the whole batch.
    fn told(&self, picture: usize, image: Image) -> Result<Image> {
        let request = self.asked.alone(picture);
        let seed = request.seed.unwrap_or_default();
        let [width, height] = match request.hires {
            None => [image.width(), image.height()],
            Some(_) => [request.width(), request.height()], // A1111 tells the first pass's
        };
        let refiner = self.pipeline.refiner();
        let upscaler = self.pipeline.upscaler().map_or("", Upscaler::name);
        let parameters = Parameters {
            prompt: &request.prompt,
            negative_prompt: &request.negative_prompt,
            steps: request.steps.unwrap_or_default(),
            sampler: request.sampler.as_deref().unwrap_or_default(),
            schedule: request.schedule.as_deref().unwrap_or_default(),
            guidance_scale: request.guidance_scale.unwrap_or_default(),
            seed,
            variation: request.variation(),
            clip_skip: request.clip_skip,
            rng: request.noise.as_ref().and_then(Noise::a1111_name),
            width,
            height,
            model: self.pipeline.model().name(),
            parts: &self.pipeline.model().parts_apart(),
            strength: request.task.said_strength(),
            hires: request.hires.map(|hires| HiresParameters {
                scale: hires.scale,
                strength: hires.strength,
                steps: hires.steps,
                upscaler: hires.resize.a1111_name(upscaler),
            }),
            image_guidance_scale: request.task.image_guidance_scale(),
            refiner: refiner
                .map(|refiner| refiner.model().name())
                .zip(request.refiner_start),
        };
        let image = image.with_seed(seed);
        let image = image.with_text(PARAMETERS_KEYWORD, &parameters.to_string());
        Ok(image.with_text(REQUEST_KEYWORD, &request.to_json()?))
    }
}
