//! The plans of a pipeline that are ready to run, kept between requests.

use super::handle::Pipeline;
use super::model::Model;
use super::recordings::{StepShape, TextShape, ends};
use super::request::Precision;
use super::residence::Residence;
use crate::error::{Error, Result};
use crate::gpu::{Ahead, Device, Uploaded};
use crate::lock::lock;
use crate::plan::{Residency, Runner};
use crate::tensor::{DType, Wrap};
use crate::weights::{DamagedTensor, Weights};
use std::sync::{Arc, Mutex};

/// How many damaged tensors a message lists.
const SHOWN_TENSORS: usize = 3;

/// What of a VAE its decoder reads.
const DECODER_PARTS: [&str; 2] = ["vae.decoder.", "vae.post_quant_conv."];

/// What of a VAE its encoder reads.
const ENCODER_PARTS: [&str; 2] = ["vae.encoder.", "vae.quant_conv."];

/// What tells one plan of a model from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The text encoder for so many chunks of prompts.
    TextEncoder(TextShape),
    /// The denoising step.
    Step(StepShape),
    /// The decoder for a latent of that height and width, whose edges may join.
    VaeDecoder([usize; 2], Wrap),
    /// What of the decoder looks at the whole picture, likewise.
    VaeDecoderInner([usize; 2]),
    /// The rest of the decoder, for a tile of so many latents.
    VaeDecoderTile([usize; 2]),
    /// The encoder of pictures whose latent has that height and width, likewise.
    VaeEncoder([usize; 2], Wrap),
    /// What of the encoder looks at the whole picture, likewise.
    VaeEncoderInner([usize; 2]),
    /// The rest of the encoder, for a tile of so many latents.
    VaeEncoderTile([usize; 2]),
}

/// How the parts of a run are on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// The type in which activations are stored.
    pub(super) compute: DType,
    /// Which parts are there at once.
    pub(super) residence: Residence,
    /// The most latents on a side of what the VAE has at once; all where `None`.
    pub(super) vae_tile: Option<usize>,
    /// Which edges of the pictures join; such a picture is decoded and encoded whole.
    pub(super) wrap: Wrap,
}

/// A part at one shape, with the type of its activations.
pub(super) type PlanKey = (Part, DType);

/// Runners that no run is using: at most one of each part, so that memory does not pile up.
#[derive(Debug)]
pub(super) struct Plans {
    device: Device,
    residency: Arc<Residency>,
    idle: Mutex<Vec<(PlanKey, Runner)>>,
    /// Kernels on their way.
    _ahead: Option<Ahead>,
}

impl Plans {
    /// No runner yet. The kernels of the model's own size are compiled in the background, while its
    /// weights are uploaded: they serve nearly every other size.
    pub(super) fn new(device: &Device, model: &Model, residency: &Arc<Residency>) -> Self {
        Self {
            device: device.clone(),
            residency: Arc::clone(residency),
            idle: Mutex::default(),
            _ahead: compile_ahead(device, model),
        }
    }

    /// An idle runner of that key, or a new one. Another shape of the same part is freed first.
    ///
    /// # Errors
    /// As [`Runner::new`].
    pub(super) async fn take(&self, model: &Model, key: PlanKey) -> Result<Runner> {
        {
            let mut idle = lock(&self.idle);
            if let Some(at) = idle.iter().position(|(known, _)| *known == key) {
                return Ok(idle.swap_remove(at).1);
            }
            idle.retain(|((part, _), _)| {
                std::mem::discriminant(part) != std::mem::discriminant(&key.0)
            });
        }
        let caps = self.device.caps();
        let plan = match key.0 {
            Part::TextEncoder(shape) => model.text_encoder_plan(shape, key.1, &caps)?,
            Part::Step(shape) => model.step_plan(shape, key.1, &caps)?,
            Part::VaeDecoder(latent, wrap) => model.vae_decoder_plan(latent, wrap, key.1, &caps)?,
            Part::VaeDecoderInner(size) => model.vae_decoder_inner_plan(size, key.1, &caps)?,
            Part::VaeDecoderTile(size) => model.vae_decoder_tile_plan(size, key.1, &caps)?,
            Part::VaeEncoder(latent, wrap) => model.vae_encoder_plan(latent, wrap, key.1, &caps)?,
            Part::VaeEncoderInner(size) => model.vae_encoder_inner_plan(size, key.1, &caps)?,
            Part::VaeEncoderTile(size) => model.vae_encoder_tile_plan(size, key.1, &caps)?,
        };
        Runner::new(&self.device, plan, &self.residency).await
    }

    /// Frees every idle runner but those of `parts`: what the next request does not use must not
    /// stand in its way. Where its parts take turns, all of them go, and their weights.
    pub(super) fn make_room(&self, parts: &[Part], placement: Placement) {
        match placement.residence {
            Residence::Together => lock(&self.idle).retain(|((part, compute), _)| {
                parts.contains(part) && *compute == placement.compute
            }),
            Residence::InTurn => self.release_all(),
        }
    }

    /// Keeps a runner for the next request.
    pub(super) fn give_back(&self, key: PlanKey, runner: Runner) {
        let mut idle = lock(&self.idle);
        idle.retain(|((part, _), _)| {
            std::mem::discriminant(part) != std::mem::discriminant(&key.0)
        });
        idle.push((key, runner));
    }

    /// Lets all weights go.
    fn release_weights(&self) {
        self.residency.release_all();
    }

    /// Frees every idle runner.
    pub(super) fn release_runners(&self) {
        lock(&self.idle).clear();
    }

    /// Frees every idle runner, and lets all weights go.
    pub(super) fn release_all(&self) {
        self.release_runners();
        self.release_weights();
    }

    /// The weights that are on the device.
    pub(super) fn uploads(&self) -> Vec<Arc<Uploaded>> {
        self.residency.uploads()
    }

    /// What the idle runners compute with.
    pub(super) fn runner_bytes(&self) -> u64 {
        let idle = lock(&self.idle);
        let slots = idle.iter().flat_map(|(_, runner)| &runner.plan().slots);
        slots.sum()
    }

    /// Frees a runner and its weights.
    fn free(&self, runner: Runner) {
        self.residency.release(&runner.plan().params);
        drop(runner);
    }
}

/// Begins to compile what the model's defaults take. A picture that cannot be planned has none: who
/// asks for it hears the reason.
fn compile_ahead(device: &Device, model: &Model) -> Option<Ahead> {
    let gpu = device.gpu()?;
    let compute = Precision::default().compute_on(device).ok()?;
    let plans = model.default_plans(compute, &device.caps()).ok()?;
    let dispatches = plans.iter().flat_map(|(_, plan)| plan.dispatches());
    Some(Ahead::compile(gpu, dispatches))
}

/// A runner on loan from the pipeline, given back on drop.
#[derive(Debug)]
pub(super) struct Lease {
    pipeline: Pipeline,
    key: PlanKey,
    residence: Residence,
    runner: Option<Runner>,
    /// Whether its weights are on their way to the device, or were when that was called off.
    is_beginning: bool,
}

impl Lease {
    /// Borrows the runner of a part: now, or where parts take turns, when its turn begins.
    ///
    /// # Errors
    /// As [`Runner::new`].
    pub(super) async fn take(
        pipeline: &Pipeline,
        part: Part,
        placement: Placement,
    ) -> Result<Self> {
        let mut lease = Self {
            pipeline: pipeline.clone(),
            key: (part, placement.compute),
            residence: placement.residence,
            runner: None,
            is_beginning: false,
        };
        if lease.residence == Residence::Together {
            lease.begin().await?;
        }
        Ok(lease)
    }

    /// Begins the part's turn: the runner is there from now on, if it was not before.
    ///
    /// # Errors
    /// As [`Runner::new`].
    pub(super) async fn begin(&mut self) -> Result<()> {
        if self.runner.is_none() {
            let pipeline = &self.pipeline;
            self.is_beginning = true; // as it is if this is dropped at the next line
            let taken = pipeline.plans().take(pipeline.model(), self.key).await;
            if taken.is_err() {
                self.end();
            }
            self.runner = Some(taken?);
            self.is_beginning = false;
        }
        Ok(())
    }

    /// Ends the part's turn, where parts take turns: it leaves the device.
    pub(super) fn end(&mut self) {
        if self.residence != Residence::InTurn {
            return;
        }
        match self.runner.take() {
            Some(runner) => self.pipeline.plans().free(runner),
            // Its weights may have found room where the rest did not.
            None if self.is_beginning => self.pipeline.plans().release_weights(),
            None => (),
        }
    }

    /// Gives the runner back before the lease ends: for what the run does with other parts after it.
    pub(super) fn give_back(&mut self) {
        self.end();
        if let Some(runner) = self.runner.take() {
            self.pipeline.plans().give_back(self.key, runner);
        }
    }

    /// The runner, between the beginning and the end of its turn.
    pub(super) fn runner(&self) -> &Runner {
        self.runner
            .as_ref()
            .expect("nobody asks before its turn, after it, or after a failed widening")
    }

    /// The type in which activations are stored.
    pub(super) fn compute(&self) -> DType {
        self.key.1
    }

    /// Runs the plan once and says whether everything that came out is finite.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(super) async fn run(&self) -> Result<bool> {
        self.runner().run().await?;
        let counts = self.runner().read(ends::NONFINITE).await?;
        Ok(counts.iter().all(|count| *count == 0.0))
    }

    /// Runs the plan on one input's values; in f32 if f16 overflows and may.
    ///
    /// # Errors
    /// As [`Lease::run`] and [`Lease::widen`].
    pub(super) async fn run_or_widen(
        &mut self,
        input: &str,
        values: &[f32],
        precision: Precision,
        stage: Stage,
    ) -> Result<()> {
        loop {
            self.runner().write(input, values)?;
            if self.run().await? {
                return Ok(());
            }
            self.widen(precision, stage).await?;
        }
    }

    /// Exchanges a part in f16 for the same in f32, whose inputs are yet to be written. At most one
    /// of the two is in memory.
    ///
    /// # Errors
    /// [`Error::NotFinite`] of `stage` if it is in f32 already or the user asked for f16;
    /// [`Error::DamagedWeights`] if its weights are to blame.
    pub(super) async fn widen(&mut self, precision: Precision, stage: Stage) -> Result<()> {
        let (part, compute) = self.key;
        if compute == DType::F32 || precision != Precision::Auto {
            return Err(stage.error(&self.pipeline.model().weights));
        }
        self.runner = None;
        self.key = (part, DType::F32);
        self.begin().await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Where values stopped being finite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// `text_encoder`, `unet`, `vae_decoder` or `vae_encoder`.
    pub(super) name: &'static str,
    /// The step, counted from 1, where there is one.
    pub(super) step: Option<usize>,
}

impl Stage {
    /// The error that says so. Only now are the weights looked through: who loads a sound file does
    /// not wait for it.
    fn error(self, weights: &Weights) -> Error {
        let Self { name: stage, step } = self;
        let reads = |name: &str| match stage {
            "vae_decoder" => DECODER_PARTS.iter().any(|part| name.starts_with(part)),
            "vae_encoder" => ENCODER_PARTS.iter().any(|part| name.starts_with(part)),
            stage => name.starts_with(stage),
        };
        let damaged = match weights.damaged_tensors(reads) {
            Ok(damaged) => damaged,
            Err(error) => return error,
        };
        match damaged.first() {
            None => Error::NotFinite { stage, step },
            Some(first) => Error::DamagedWeights {
                path: first.file.clone(),
                tensors: listed(&damaged),
                stage,
                step,
            },
        }
    }
}

/// The first few of damaged tensors, and how many more there are.
fn listed(damaged: &[DamagedTensor]) -> Vec<String> {
    let shown = damaged.iter().take(SHOWN_TENSORS).map(ToString::to_string);
    let more = damaged.len().saturating_sub(SHOWN_TENSORS);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect()
}
