//! One generation under way: THE loop.

use super::brownian::BrownianNoise;
use super::denoiser::{Denoiser, Share};
use super::handle::Pipeline;
use super::latent::LatentShape;
use super::noise::RunNoise;
use super::plans::Placement;
use super::progress::Step;
use super::refiner::Planned;
use super::request::{Noise, Request};
use super::tasks::Start;
use super::trace::Trace;
use super::vae::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::image::{Image, PARAMETERS_KEYWORD, Parameters, REQUEST_KEYWORD};
use crate::ops::STATE_SLOTS;
use crate::sampling::{Row, Table};
use crate::tensor::DType;

/// One generation under way. Dropping it cancels.
#[derive(Debug)]
pub struct Run {
    pipeline: Pipeline,
    request: Request,
    table: Table,
    /// The next row of the table.
    row: usize,
    shape: LatentShape,
    noise: RunNoise,
    /// What the steps' noise comes from in place of `noise`.
    brownian: Option<BrownianNoise>,
    denoiser: Denoiser,
    /// What takes over from the denoiser, and at which row.
    refiner: Option<(usize, Denoiser)>,
    decoder: Decoder,
    warnings: Vec<String>,
    trace: Option<Trace>,
    /// Whether a step failed: what the device holds then is no state to go on from.
    failed: bool,
}

impl Run {
    /// Everything before the first step of a resolved request: tokens, embeddings, the table, and
    /// memory for all parts, unless they take turns.
    pub(super) async fn start(
        pipeline: &Pipeline,
        request: Request,
        placement: Placement,
        mut trace: Option<Trace>,
    ) -> Result<Self> {
        let model = pipeline.model();
        let latent = model.latent_size(request.width(), request.height())?;
        let shape = LatentShape {
            batch: request.batch_size,
            chw: [model.config.vae.latent_channels, latent[0], latent[1]],
        };
        let Planned { table, hand_over } = pipeline.planned(&request)?;
        let mut noise = RunNoise::start(&request, shape, table.noise_count())?;
        let brownian = BrownianNoise::start(&request, &table, shape);
        let share = Share::of(pipeline, &request, &table, shape)?;
        let refining = hand_over.map(|hand_over| hand_over.share(&request, &table, shape));
        let refining = refining.transpose()?;
        let has_images = !request.task.images().is_empty();
        let encoding = has_images.then_some(Encoder::part(latent));
        let vae: Vec<_> = encoding
            .into_iter()
            .chain([Decoder::part(latent)])
            .collect();
        share.make_room(&vae, placement);
        if let Some((_, share)) = &refining {
            share.make_room(&[], placement);
        }
        // All taken now, so that what does not fit is known before the first step.
        let reserved = share.reserve(placement).await?;
        let refining = match refining {
            Some((row, share)) => Some((row, share.reserve(placement).await?)),
            None => None,
        };
        let decoder = Decoder::take(pipeline, latent, request.precision, placement).await?;
        let mut encoder = match has_images {
            true => Some(Encoder::take(pipeline, latent, request.precision, placement).await?),
            false => None,
        };
        let mut denoiser = reserved.condition("", trace.as_mut()).await?;
        let refiner = match refining {
            Some((row, reserved)) => {
                Some((row, reserved.condition("refiner.", trace.as_mut()).await?))
            }
            None => None,
        };
        let start = Start {
            model,
            request: &request,
            table: &table,
            shape,
            noise: &mut noise,
        };
        let first = request.task.prepare(start, encoder.as_mut()).await?;
        drop(encoder);
        denoiser.give(&first);
        if let Some(trace) = &mut trace {
            trace.add("latents_init", &shape.nchw(), &first.unit_normal);
            for (i, normal) in first.encoder_noise.iter().enumerate() {
                trace.add(format!("encoder_noise.{i:03}"), &shape.nchw(), normal);
            }
        }
        let mut state = shape.channels_last(&first.latents);
        state.resize(STATE_SLOTS * shape.len(), 0.0);
        let mut warnings = request.task.warnings();
        warnings.extend(denoiser.warnings().iter().cloned());
        if let Some((_, refiner)) = &refiner {
            let new = refiner.warnings().iter();
            let new: Vec<_> = new.filter(|new| !warnings.contains(new)).collect();
            warnings.extend(new.into_iter().cloned());
        }
        if request.precision.compute_on(pipeline.device())? != placement.compute {
            let limit = "activations are stored in f16, since f32 would not fit; the picture may \
                         differ a little";
            warnings.push(limit.to_owned());
        }
        let mut run = Self {
            pipeline: pipeline.clone(),
            request,
            table,
            row: 0,
            shape,
            noise,
            brownian,
            denoiser,
            refiner,
            decoder,
            warnings,
            trace,
            failed: false,
        };
        run.denoiser.begin(run.row, &state).await?;
        Ok(run)
    }

    /// Does the next step, or says that all are done.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the step, [`Error::OutOfMemory`], [`Error::DeviceLost`] or
    /// [`Error::Gpu`]; after that the run is over.
    pub fn next_step(&mut self) -> Result<Option<Step>> {
        pollster::block_on(self.next_step_async())
    }

    async fn next_step_async(&mut self) -> Result<Option<Step>> {
        if self.failed {
            return Err(Error::Unsupported(
                "going on with a run that failed; start another".into(),
            ));
        }
        let step = self.run_step().await;
        self.failed = step.is_err();
        step
    }

    async fn run_step(&mut self) -> Result<Option<Step>> {
        let Some(&first) = self.table.rows.get(self.row) else {
            return Ok(None);
        };
        while let Some(&row) = self
            .table
            .rows
            .get(self.row)
            .filter(|row| row.step == first.step)
        {
            self.run_row(&row).await?;
            self.row += 1;
        }
        if let Some(trace) = &mut self.trace {
            let latents = self.denoiser.latents().await?;
            let latents = self.shape.channels_first(&latents);
            trace.add(
                format!("step.{:03}.latents", first.step),
                &self.shape.nchw(),
                &latents,
            );
        }
        Ok(Some(Step {
            index: first.step,
            count: self.table.step_count(),
            sigma: first.sigma,
        }))
    }

    /// One row of the table, by the network whose turn it is.
    async fn run_row(&mut self, row: &Row) -> Result<()> {
        if let Some((_, mut refiner)) = self.refiner.take_if(|(first, _)| *first == self.row) {
            let state = self.denoiser.leave().await?;
            refiner.begin(self.row, &state).await?;
            self.denoiser = refiner;
        }
        let noise = if row.next.noise == 0.0 {
            Vec::new()
        } else {
            self.draw(row)
        };
        self.denoiser.run_row(self.row, row, &noise).await
    }

    /// The noise of a row in the device's order, kept in the trace.
    fn draw(&mut self, row: &Row) -> Vec<f32> {
        let drawn = match &mut self.brownian {
            Some(brownian) => brownian.between(row.noise_interval),
            None => self.noise.next(self.shape),
        };
        if let Some(trace) = &mut self.trace {
            let before = trace
                .names()
                .filter(|name| name.starts_with("noise."))
                .count();
            trace.add(format!("noise.{before:03}"), &self.shape.nchw(), &drawn);
        }
        self.shape.channels_last(&drawn)
    }

    /// Does the steps that are left and decodes the pictures.
    ///
    /// # Errors
    /// As [`Run::next_step`].
    pub fn finish(mut self) -> Result<Vec<Image>> {
        pollster::block_on(self.finish_async())
    }

    /// As [`Run::finish`], with every intermediate of a run that was started traced.
    ///
    /// # Errors
    /// As [`Run::next_step`].
    pub fn finish_traced(mut self) -> Result<(Vec<Image>, Trace)> {
        let images = pollster::block_on(self.finish_async())?;
        Ok((images, self.trace.take().unwrap_or_default()))
    }

    async fn finish_async(&mut self) -> Result<Vec<Image>> {
        while self.next_step_async().await?.is_some() {}
        let state = self.denoiser.leave().await?;
        self.decoder.begin().await?;
        let mut images = Vec::with_capacity(self.shape.batch);
        let mut decoded = Vec::new();
        for (picture, latent) in state
            .chunks_exact(self.shape.picture_len())
            .take(self.shape.batch)
            .enumerate()
        {
            let pixels = self.decoder.decode(latent).await?;
            if self.trace.is_some() {
                decoded.extend(self.decoder.decoded().await?);
            }
            images.push(self.image(picture, pixels)?);
        }
        if let Some(trace) = &mut self.trace {
            let shape = LatentShape {
                batch: self.shape.batch,
                chw: [3, self.request.height(), self.request.width()],
            };
            let decoded = shape.channels_first(&decoded);
            let to_unit = |value: &f32| (value / 2.0 + 0.5).clamp(0.0, 1.0);
            let image: Vec<f32> = decoded.iter().map(to_unit).collect();
            trace.add("decoded", &shape.nchw(), &decoded);
            trace.add("image", &shape.nchw(), &image);
        }
        Ok(images)
    }

    /// A picture with the texts that make it again, alone. Recorded noise is named, not carried, and
    /// serves the whole batch.
    fn image(&self, picture: usize, pixels: Vec<u8>) -> Result<Image> {
        let request = self.request.alone(picture);
        let seed = request.seed.unwrap_or_default();
        let (width, height) = (request.width(), request.height());
        let refiner = self.pipeline.refiner();
        let parameters = Parameters {
            prompt: &request.prompt,
            negative_prompt: &request.negative_prompt,
            steps: request.steps.unwrap_or_default(),
            sampler: request.sampler.as_deref().unwrap_or_default(),
            schedule: request.schedule.as_deref().unwrap_or_default(),
            guidance_scale: request.guidance_scale.unwrap_or_default(),
            seed,
            clip_skip: request.clip_skip,
            rng: request.noise.as_ref().and_then(Noise::a1111_name),
            width,
            height,
            model: self.pipeline.model().name(),
            parts: &self.pipeline.model().parts_apart(),
            strength: request.task.said_strength(),
            image_guidance_scale: request.task.image_guidance_scale(),
            refiner: refiner
                .map(|refiner| refiner.model().name())
                .zip(request.refiner_start),
        };
        let image = Image::from_rgba(width, height, pixels)?.with_seed(seed);
        let image = image.with_text(PARAMETERS_KEYWORD, &parameters.to_string());
        Ok(image.with_text(REQUEST_KEYWORD, &request.to_json()?))
    }

    /// What the user should know, such as where the prompt was cut.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The request with every default filled in.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Whether the network's activations are stored in f16 now. A run that overflowed goes on in
    /// f32 where [`crate::Precision::Auto`] allows it.
    pub fn is_f16(&self) -> bool {
        self.denoiser.compute() == DType::F16
    }
}

#[cfg(test)]
mod tests;
