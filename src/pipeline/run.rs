//! One generation under way: THE loop.

use super::brownian::BrownianNoise;
use super::denoiser::{After, Denoiser, Share};
use super::handle::Pipeline;
use super::latent::LatentShape;
use super::noise::RunNoise;
use super::plans::Placement;
use super::progress::{Step, TileProgress};
use super::refiner::Planned;
use super::request::{Noise, Request};
use super::tasks::{First, Painting, Start};
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
    placement: Placement,
    /// What parts are repainted of, where they are.
    painting: Option<Painting>,
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
        let painting = Painting::of(model, &request)?;
        if let (Some(Noise::Recorded(_)), Some(2..)) =
            (&request.noise, painting.as_ref().map(Painting::round_count))
        {
            return Err(Error::Unsupported(
                "recorded noise for a picture that is drawn in several rounds; use a seed".into(),
            ));
        }
        let mut noise = RunNoise::start(&request, shape, table.noise_count())?;
        let brownian = BrownianNoise::start(&request, &table, shape);
        let share = Share::of(pipeline, &request, &table, shape)?;
        let refining = hand_over.map(|hand_over| hand_over.share(&request, &table, shape));
        let refining = refining.transpose()?;
        let has_images = !request.task.images().is_empty();
        let mut vae = Decoder::parts(latent, placement);
        if has_images {
            vae.extend(Encoder::parts(latent, placement));
        }
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
        let decoder = Decoder::take_what_fits(pipeline, latent, &request, placement).await?;
        let encoder = match has_images {
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
        let task = &request.task;
        let mut first = task.prepare(start, painting.as_ref(), encoder).await?;
        denoiser.give(&mut first);
        if let Some(trace) = &mut trace {
            trace.add("latents_init", &shape.nchw(), &first.unit_normal);
            for (i, normal) in first.encoder_noise.iter().enumerate() {
                trace.add(format!("encoder_noise.{i:03}"), &shape.nchw(), normal);
            }
        }
        let state = state_of(shape, &first);
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
            placement,
            painting,
            warnings: Vec::new(),
            trace,
            failed: false,
        };
        run.warnings = run.gathered_warnings()?;
        run.denoiser.begin(run.row, &state).await?;
        Ok(run)
    }

    /// What the user should know of a run that is about to begin.
    fn gathered_warnings(&self) -> Result<Vec<String>> {
        let (request, device) = (&self.request, self.pipeline.device());
        let mut warnings = request.task.warnings();
        warnings.extend(self.denoiser.warnings().iter().cloned());
        if let Some((_, refiner)) = &self.refiner {
            let new = refiner.warnings().iter();
            let new: Vec<_> = new.filter(|new| !warnings.contains(new)).collect();
            warnings.extend(new.into_iter().cloned());
        }
        if request.precision.compute_on(device)? != self.placement.compute {
            let limit = "activations are stored in f16, since f32 would not fit; the picture may \
                         differ a little";
            warnings.push(limit.to_owned());
        }
        if let (Some(side), None) = (self.decoder.vae_tile(), request.vae_tile) {
            warnings.push(format!(
                "the picture is decoded in tiles of {} pixels, since all of it would not fit; it may \
                 differ a little",
                side * self.pipeline.model().config.vae_scale_factor
            ));
        }
        Ok(warnings)
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
        if self.row == self.table.rows.len() {
            self.next_round().await?;
        }
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
        let index = self.steps_before() + first.step;
        if let Some(trace) = &mut self.trace {
            let latents = self.denoiser.latents().await?;
            let latents = self.shape.channels_first(&latents);
            trace.add(
                format!("step.{index:03}.latents"),
                &self.shape.nchw(),
                &latents,
            );
        }
        Ok(Some(Step {
            index,
            count: self.step_count(),
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
        let after = After {
            level: self.table.level_after(self.row),
            share_left: self.table.share_left(self.row),
        };
        self.denoiser.run_row(self.row, row, &noise, after).await
    }

    /// Ends a round and begins the next one, if there is one.
    async fn next_round(&mut self) -> Result<()> {
        if self.rounds_left() <= 1 {
            return Ok(());
        }
        let pictures = self.decode(&mut |_| ()).await?;
        self.decoder.end();
        let Some(painting) = &mut self.painting else {
            return Ok(());
        };
        painting.put_back(pictures)?;
        let [_, height, width] = self.shape.chw;
        let latent = [height, width];
        let precision = self.request.precision;
        let encoder = Encoder::take(&self.pipeline, latent, precision, self.placement).await?;
        let start = Start {
            model: self.pipeline.model(),
            request: &self.request,
            table: &self.table,
            shape: self.shape,
            noise: &mut self.noise,
        };
        let prepared = self
            .request
            .task
            .prepare(start, Some(painting), Some(encoder));
        let mut first = prepared.await?;
        self.denoiser.give(&mut first);
        self.row = 0;
        let round = painting.done();
        self.brownian = BrownianNoise::of_round(&self.request, &self.table, self.shape, round);
        let state = state_of(self.shape, &first);
        self.denoiser.begin(self.row, &state).await
    }

    /// The rounds that are not done yet.
    fn rounds_left(&self) -> usize {
        let painting = self.painting.as_ref();
        painting.map_or(1, |painting| painting.round_count() - painting.done())
    }

    /// The steps of the rounds that are done.
    fn steps_before(&self) -> usize {
        self.step_count() - self.rounds_left() * self.table.step_count()
    }

    /// How many steps there are, in all rounds of a task that has several.
    pub fn step_count(&self) -> usize {
        let rounds = self.painting.as_ref().map_or(1, Painting::round_count);
        rounds * self.table.step_count()
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
    pub fn finish(self) -> Result<Vec<Image>> {
        self.finish_with_progress(&mut |_| ())
    }

    /// As [`Run::finish`], and tells how far the decoding is, where it goes by tiles.
    ///
    /// # Errors
    /// As [`Run::next_step`].
    pub fn finish_with_progress(
        mut self,
        progress: &mut dyn FnMut(TileProgress),
    ) -> Result<Vec<Image>> {
        pollster::block_on(self.finish_async(progress))
    }

    /// As [`Run::finish`], with every intermediate of a run that was started traced.
    ///
    /// # Errors
    /// As [`Run::next_step`].
    pub fn finish_traced(mut self) -> Result<(Vec<Image>, Trace)> {
        let images = pollster::block_on(self.finish_async(&mut |_| ()))?;
        Ok((images, self.trace.take().unwrap_or_default()))
    }

    async fn finish_async(&mut self, progress: &mut dyn FnMut(TileProgress)) -> Result<Vec<Image>> {
        while self.next_step_async().await?.is_some() {}
        let pictures = self.decode(progress).await?;
        let images = match &mut self.painting {
            Some(painting) => {
                painting.put_back(pictures)?;
                painting.pictures().to_vec()
            }
            None => {
                let (width, height) = (self.request.width(), self.request.height());
                let images = pictures.into_iter();
                let images = images.map(|pixels| Image::from_rgba(width, height, pixels));
                images.collect::<Result<_>>()?
            }
        };
        let images = images.into_iter().enumerate();
        images
            .map(|(picture, image)| self.told(picture, image))
            .collect()
    }

    /// The pictures that the latents are now, `[H, W, 4]` each. The last ones are kept in the trace.
    async fn decode(&mut self, progress: &mut dyn FnMut(TileProgress)) -> Result<Vec<Vec<u8>>> {
        let state = self.denoiser.leave().await?;
        let is_traced = self.trace.is_some() && self.rounds_left() == 1;
        let latents = state.chunks_exact(self.shape.picture_len());
        let latents: Vec<_> = latents.take(self.shape.batch).collect();
        let decoded = self.decoder.decode(&latents, progress).await?;
        let (pictures, values): (Vec<_>, Vec<_>) = decoded
            .into_iter()
            .map(|decoded| (decoded.pixels, decoded.values))
            .unzip();
        if let Some(trace) = self.trace.as_mut().filter(|_| is_traced) {
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
        let request = self.request.alone(picture);
        let seed = request.seed.unwrap_or_default();
        let (width, height) = (image.width(), image.height());
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
        let image = image.with_seed(seed);
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

/// The state that a run or a round begins with.
fn state_of(shape: LatentShape, first: &First) -> Vec<f32> {
    let mut state = shape.channels_last(&first.latents);
    state.resize(STATE_SLOTS * shape.len(), 0.0);
    state
}

#[cfg(test)]
mod tests;
