//! One generation under way: THE loop.

use super::handle::Pipeline;
use super::noise::{LatentShape, RunNoise};
use super::plans::{Part, PlanKey};
use super::progress::Step;
use super::recordings::{StepShape, ends};
use super::request::{Precision, Request, Task};
use super::tasks;
use super::trace::Trace;
use crate::error::{Error, Result};
use crate::image::{Image, PARAMETERS_KEYWORD, Parameters, REQUEST_KEYWORD};
use crate::ops::{RowField, STATE_SLOTS};
use crate::plan::Runner;
use crate::sampling::{self, Row, Table};
use crate::tensor::DType;
use crate::text::Tokens;
use std::collections::HashMap;

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
    context: Vec<f32>,
    step: Lease,
    decoder: Lease,
    warnings: Vec<String>,
    trace: Option<Trace>,
}

/// The first latent of a run, `[N, C, h, w]`.
#[derive(Debug)]
pub(super) struct First {
    /// As the sampler starts from it.
    pub(super) latents: Vec<f32>,
    /// The unit normal that it was made of.
    pub(super) unit_normal: Vec<f32>,
}

/// A runner on loan from the pipeline, given back on drop.
#[derive(Debug)]
struct Lease {
    pipeline: Pipeline,
    key: PlanKey,
    runner: Option<Runner>,
}

impl Lease {
    async fn take(pipeline: &Pipeline, key: PlanKey) -> Result<Self> {
        let runner = pipeline.plans().take(pipeline.model(), key).await?;
        Ok(Self {
            pipeline: pipeline.clone(),
            key,
            runner: Some(runner),
        })
    }

    fn runner(&self) -> &Runner {
        self.runner
            .as_ref()
            .expect("the runner is there until the drop")
    }

    fn compute(&self) -> DType {
        self.key.1
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(runner) = self.runner.take() {
            self.pipeline.plans().give_back(self.key, runner);
        }
    }
}

/// How many NaN and infinities the last run of a plan gave.
async fn nonfinite(runner: &Runner) -> Result<bool> {
    Ok(runner.read(ends::NONFINITE).await?[0] != 0.0)
}

impl Run {
    /// Everything before the first step: tokens, embeddings, the table, memory for all parts.
    pub(super) async fn start(
        pipeline: &Pipeline,
        request: &Request,
        traced: bool,
    ) -> Result<Self> {
        let request = pipeline.resolve(request)?;
        let model = pipeline.model();
        let (width, height) = (
            request.width.unwrap_or_default(),
            request.height.unwrap_or_default(),
        );
        let latent = model.latent_size(width, height)?;
        let shape = LatentShape {
            batch: request.batch_size,
            chw: [model.config.vae.latent_channels, latent[0], latent[1]],
        };
        let table = table(pipeline, &request)?;
        let mut noise = RunNoise::start(&request)?;
        let Task::TextToImage = request.task;
        let first = tasks::prepare(&table, &mut noise, shape)?;
        let mut trace = traced.then(|| Trace::new(metadata(&request, model.name())));

        let (context, warnings) = conditioning(pipeline, &request, trace.as_mut()).await?;
        let compute = pipeline.compute(request.precision)?;
        let step_shape = StepShape {
            batch: request.batch_size,
            branches: request.branches(),
            latent,
        };
        let step = Lease::take(pipeline, (Part::Step(step_shape), compute)).await?;
        let decoder = Lease::take(pipeline, (Part::VaeDecoder(latent), compute)).await?;
        let mut state = vec![0.0; STATE_SLOTS * first.latents.len()];
        state[..first.latents.len()].copy_from_slice(&shape.channels_last(&first.latents));
        step.runner().write(ends::STATE, &state)?;
        step.runner().write(ends::CONTEXT, &context)?;
        if let Some(trace) = &mut trace {
            trace.add("latents_init", &shape.nchw(), &first.unit_normal);
        }
        Ok(Self {
            pipeline: pipeline.clone(),
            request,
            table,
            row: 0,
            shape,
            noise,
            context,
            step,
            decoder,
            warnings,
            trace,
        })
    }

    /// Does the next step, or says that all are done.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the step, [`Error::DeviceLost`], [`Error::Gpu`], or
    /// [`Error::BadFile`] if recorded noise runs out.
    pub fn next_step(&mut self) -> Result<Option<Step>> {
        pollster::block_on(self.next_step_async())
    }

    async fn next_step_async(&mut self) -> Result<Option<Step>> {
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
        if self.trace.is_some() {
            let state = self.step.runner().read(ends::STATE).await?;
            let latents = self.shape.channels_first(&state[..self.shape.len()]);
            if let Some(trace) = &mut self.trace {
                trace.add(
                    format!("step.{:03}.latents", first.step),
                    &self.shape.nchw(),
                    &latents,
                );
            }
        }
        Ok(Some(Step {
            index: first.step,
            count: self.table.step_count(),
            sigma: first.sigma,
        }))
    }

    /// One evaluation of the network and the update after it; in f32 if f16 overflows and may.
    async fn run_row(&mut self, row: &Row) -> Result<()> {
        if row.noise != 0.0 {
            let drawn = self.noise.next(self.shape)?;
            self.step
                .runner()
                .write(ends::NOISE, &self.shape.channels_last(&drawn))?;
            if let Some(trace) = &mut self.trace {
                let before = trace
                    .names()
                    .filter(|name| name.starts_with("noise."))
                    .count();
                trace.add(format!("noise.{before:03}"), &self.shape.nchw(), &drawn);
            }
        }
        loop {
            let runner = self.step.runner();
            runner.write(ends::ROW, &row_values(row))?;
            #[expect(clippy::cast_possible_truncation, reason = "timesteps are below 1000")]
            let timestep = row.timestep as f32;
            runner.write(
                ends::TIMESTEP,
                &vec![timestep; self.request.branches() * self.shape.batch],
            )?;
            runner.run()?;
            if !nonfinite(runner).await? {
                return Ok(());
            }
            self.widen_step(row.step).await?;
        }
    }

    /// Goes on from the state before the last row with activations in f32.
    async fn widen_step(&mut self, step: usize) -> Result<()> {
        let (part, compute) = self.step.key;
        if compute == DType::F32 || self.request.precision != Precision::Auto {
            return Err(Error::NotFinite {
                stage: "unet",
                step: Some(step + 1),
            });
        }
        let state = self.step.runner().read(ends::PREVIOUS).await?;
        let noise = self.step.runner().read(ends::NOISE).await?;
        self.step.runner = None; // frees its memory before the wider one takes more
        self.step = Lease::take(&self.pipeline, (part, DType::F32)).await?;
        self.step.runner().write(ends::STATE, &state)?;
        self.step.runner().write(ends::NOISE, &noise)?;
        self.step.runner().write(ends::CONTEXT, &self.context)
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
        let mut images = Vec::with_capacity(self.shape.batch);
        let mut decoded = Vec::new();
        for picture in 0..self.shape.batch {
            let pixels = self.decode(picture).await?;
            if self.trace.is_some() {
                decoded.extend(self.decoder.runner().read(ends::DECODED).await?);
            }
            images.push(self.image(picture, pixels)?);
        }
        if let Some(trace) = &mut self.trace {
            let (width, height) = (images[0].width(), images[0].height());
            let shape = LatentShape {
                batch: self.shape.batch,
                chw: [3, height, width],
            };
            let decoded = shape.channels_first(&decoded);
            let image: Vec<f32> = decoded
                .iter()
                .map(|value| (value / 2.0 + 0.5).clamp(0.0, 1.0))
                .collect();
            trace.add("decoded", &shape.nchw(), &decoded);
            trace.add("image", &shape.nchw(), &image);
        }
        Ok(images)
    }

    /// The bytes of one picture; decoded in f32 if f16 overflows and may.
    async fn decode(&mut self, picture: usize) -> Result<Vec<u8>> {
        loop {
            let runner = self.decoder.runner();
            let start = picture * self.shape.picture_len();
            runner.copy_from(ends::LATENT, self.step.runner(), ends::STATE, start)?;
            runner.run()?;
            if !nonfinite(runner).await? {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "bytes come as 0..=255"
                )]
                return Ok(runner
                    .read(ends::PIXELS)
                    .await?
                    .iter()
                    .map(|&byte| byte as u8)
                    .collect());
            }
            let (part, compute) = self.decoder.key;
            if compute == DType::F32 || self.request.precision != Precision::Auto {
                return Err(Error::NotFinite {
                    stage: "vae_decoder",
                    step: None,
                });
            }
            self.decoder.runner = None; // frees its memory before the wider one takes more
            self.decoder = Lease::take(&self.pipeline, (part, DType::F32)).await?;
        }
    }

    /// A picture with the texts that make it again: its own seed, alone.
    fn image(&self, picture: usize, pixels: Vec<u8>) -> Result<Image> {
        let request = Request {
            seed: self
                .request
                .seed
                .map(|seed| seed.wrapping_add(picture as u64)),
            batch_size: 1,
            ..self.request.clone()
        };
        let (width, height) = (
            request.width.unwrap_or_default(),
            request.height.unwrap_or_default(),
        );
        let seed = request.seed.unwrap_or_default();
        let parameters = Parameters {
            prompt: &request.prompt,
            negative_prompt: &request.negative_prompt,
            steps: request.steps.unwrap_or_default(),
            sampler: request.sampler.as_deref().unwrap_or_default(),
            schedule: request.schedule.as_deref().unwrap_or_default(),
            guidance_scale: request.guidance_scale.unwrap_or_default(),
            seed,
            width,
            height,
            model: self.pipeline.model().name(),
        };
        let json = serde_json::to_string(&request)
            .map_err(|error| Error::Unsupported(error.to_string()))?;
        let image = Image::from_rgba(width, height, pixels)?.with_seed(seed);
        Ok(image
            .with_text(PARAMETERS_KEYWORD, &parameters.to_string())
            .with_text(REQUEST_KEYWORD, &json))
    }

    /// What the user should know, such as where the prompt was cut.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The request with every default filled in.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Whether activations are stored in f16 now.
    pub fn is_f16(&self) -> bool {
        self.step.compute() == DType::F16
    }
}

/// The rows of a resolved request.
fn table(pipeline: &Pipeline, request: &Request) -> Result<Table> {
    let scheduler = &pipeline.model().config.scheduler;
    let options = sampling::Options {
        steps_offset: scheduler.steps_offset,
        ..sampling::Options::default()
    };
    sampling::build(
        &scheduler.noise_model()?,
        scheduler.prediction,
        request.sampler.as_deref().unwrap_or_default(),
        request.schedule.as_deref().unwrap_or_default(),
        request.steps.unwrap_or_default(),
        request.guidance_scale.unwrap_or(1.0),
        &options,
    )
}

/// The network's context `[branches·N, L, C]`, and warnings about what was cut.
async fn conditioning(
    pipeline: &Pipeline,
    request: &Request,
    trace: Option<&mut Trace>,
) -> Result<(Vec<f32>, Vec<String>)> {
    let model = pipeline.model();
    let length = model.text_encoder.max_length();
    let prompts = [
        ("negative", &request.negative_prompt),
        ("prompt", &request.prompt),
    ];
    let mut tokens: Vec<(&str, Tokens)> = Vec::new();
    for (name, prompt) in prompts.into_iter().skip(2 - request.branches()) {
        tokens.push((name, model.tokenizer.encode(prompt, length)?));
    }
    let warnings = tokens
        .iter()
        .filter_map(|(name, tokens)| cut_warning(name, tokens));
    let warnings = warnings.collect();

    let ids: Vec<f32> = tokens
        .iter()
        .flat_map(|(_, tokens)| &tokens.ids)
        .map(|&id| id as f32)
        .collect();
    let embeddings = encode_text(pipeline, request, &ids, tokens.len()).await?;
    let each = embeddings.len() / tokens.len();
    if let Some(trace) = trace {
        for ((name, tokens), values) in tokens.iter().zip(embeddings.chunks_exact(each)).rev() {
            trace.add_ids(&format!("tokens.{name}"), &tokens.ids);
            let name = if *name == "prompt" {
                "prompt_embeds"
            } else {
                "negative_prompt_embeds"
            };
            trace.add(name, &[1, length, model.text_encoder.width()], values);
        }
    }
    let repeat = |values: &[f32]| values.repeat(request.batch_size);
    Ok((
        embeddings.chunks_exact(each).flat_map(repeat).collect(),
        warnings,
    ))
}

/// Runs the text encoder; in f32 if f16 overflows and may.
async fn encode_text(
    pipeline: &Pipeline,
    request: &Request,
    ids: &[f32],
    prompts: usize,
) -> Result<Vec<f32>> {
    let mut compute = pipeline.compute(request.precision)?;
    loop {
        let lease = Lease::take(pipeline, (Part::TextEncoder(prompts), compute)).await?;
        lease.runner().write(ends::IDS, ids)?;
        lease.runner().run()?;
        if !nonfinite(lease.runner()).await? {
            return lease.runner().read(ends::EMBEDDINGS).await;
        }
        if compute == DType::F32 || request.precision != Precision::Auto {
            return Err(Error::NotFinite {
                stage: "text_encoder",
                step: None,
            });
        }
        compute = DType::F32;
    }
}

fn cut_warning(name: &str, tokens: &Tokens) -> Option<String> {
    let cut = tokens.cut.as_deref()?;
    let which = if name == "prompt" {
        "prompt"
    } else {
        "negative prompt"
    };
    let count = tokens.count;
    Some(format!(
        "the {which} is longer than {count} tokens; what follows was cut: \"{}\"",
        cut.trim()
    ))
}

/// The settings of a run, for its trace.
fn metadata(request: &Request, model: &str) -> HashMap<String, String> {
    let json = serde_json::to_string(request).unwrap_or_default();
    let version = concat!("aquatint ", env!("CARGO_PKG_VERSION")).to_owned();
    let model = model.to_owned();
    [("request", json), ("model", model), ("software", version)]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

/// A row as the device gets it.
fn row_values(row: &Row) -> Vec<f32> {
    let mut values = [0.0; RowField::COUNT];
    let fields = [
        (RowField::CIn, row.c_in),
        (RowField::CSkip, row.c_skip),
        (RowField::COut, row.c_out),
        (RowField::Guidance, row.guidance_scale),
        (RowField::X, row.x),
        (RowField::Saved, row.saved),
        (RowField::Noise, row.noise),
        (RowField::Save, f64::from(u8::from(row.save))),
    ];
    for (field, value) in fields {
        values[field as usize] = value;
    }
    values[RowField::Denoised as usize..].copy_from_slice(&row.denoised);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the device computes in f32"
    )]
    values.iter().map(|&value| value as f32).collect()
}
