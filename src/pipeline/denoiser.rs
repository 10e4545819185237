//! A network at work on the latents of a run: the model's own, or the refiner's after it.

use super::conditioning::{Conditioning, condition};
use super::denoised::{needs_state_before, row_denoised};
use super::device_row::{After, leaving_the_state, row_values};
use super::handle::Pipeline;
use super::latent::LatentShape;
use super::plans::{Lease, Part, Placement, Stage};
use super::prompts::Prompts;
use super::recordings::{StepShape, TextShape, WINDOW_ROWS, ends};
use super::request::Request;
use super::tasks::{First, Known};
use super::tiled::Windows;
use super::trace::Trace;
use crate::error::Result;
use crate::plan::Runner;
use crate::sampling::{Row, Table};
use crate::tensor::DType;

/// A network's share in a run: what it is told, and the parts that it takes.
#[derive(Debug)]
pub(super) struct Share {
    pipeline: Pipeline,
    request: Request,
    prompts: Prompts,
    shape: LatentShape,
    timesteps: Vec<f32>,
    encoder: Part,
    step: Part,
    windows: Option<Windows>,
}

/// A share whose memory is taken before anything runs, unless parts take turns.
#[derive(Debug)]
pub(super) struct Reserved {
    share: Share,
    encoder: Lease,
    step: Lease,
}

/// A network that is ready for any row of a run.
#[derive(Debug)]
pub(super) struct Denoiser {
    request: Request,
    shape: LatentShape,
    conditioning: Conditioning,
    /// The guidance scale as networks are told it, if this one is: 0 is none.
    told_guidance: Option<f32>,
    told: Told,
    /// The timestep of each row of the table.
    timesteps: Vec<f32>,
    /// The windows in which the network sees the latents; none where it sees all at once.
    windows: Vec<Vec<f32>>,
    step: Lease,
    /// The row that led to the state, if it was run here.
    last_row: Option<Row>,
}

/// What a network is told of the task's pictures.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Beside the latents, `[branches·N, h, w, C']`; or nothing.
    beside: Vec<f32>,
    /// What is put back after each step, if anything is.
    known: Option<Known>,
}

impl Share {
    /// What a resolved request asks of a model at the rows of a table.
    ///
    /// # Errors
    /// As [`Prompts::read`] and [`StepShape::of`].
    pub(super) fn of(
        pipeline: &Pipeline,
        request: &Request,
        table: &Table,
        shape: LatentShape,
    ) -> Result<Self> {
        let model = pipeline.model();
        let prompts = Prompts::read(model, request, table)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "timesteps are small numbers"
        )]
        let timesteps = table.rows.iter().map(|row| row.timestep as f32);
        let step = StepShape::of(model, request, &prompts)?;
        Ok(Self {
            timesteps: timesteps.collect(),
            encoder: Part::TextEncoder(TextShape::of(request, &prompts)),
            windows: step.windows,
            step: Part::Step(step),
            pipeline: pipeline.clone(),
            request: request.clone(),
            prompts,
            shape,
        })
    }

    /// Frees what this run uses neither for its share nor for `others` of the same model.
    pub(super) fn make_room(&self, others: &[Part], placement: Placement) {
        let parts = [&[self.encoder, self.step], others].concat();
        self.pipeline.plans().make_room(&parts, placement);
    }

    /// Takes the memory, unless parts take turns.
    ///
    /// # Errors
    /// As [`Lease::take`].
    pub(super) async fn reserve(self, placement: Placement) -> Result<Reserved> {
        Ok(Reserved {
            encoder: Lease::take(&self.pipeline, self.encoder, placement).await?,
            step: Lease::take(&self.pipeline, self.step, placement).await?,
            share: self,
        })
    }
}

impl Reserved {
    /// Encodes the prompts; their tensors go into the trace under names that begin with `scope`.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`], [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub(super) async fn condition(
        self,
        scope: &str,
        trace: Option<&mut Trace>,
    ) -> Result<Denoiser> {
        let Share {
            pipeline,
            request,
            prompts,
            shape,
            timesteps,
            windows,
            ..
        } = self.share;
        let model = pipeline.model();
        let trace = trace.map(|trace| (scope, trace));
        let conditioning = condition(model, &request, &prompts, self.encoder, trace).await?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "guidance scales are small numbers"
        )]
        let told_guidance = (request.guidance_scale.unwrap_or(1.0) - 1.0) as f32;
        Ok(Denoiser {
            told_guidance: model.unet.embeds_guidance().then_some(told_guidance),
            told: Told::default(),
            request,
            shape,
            conditioning,
            timesteps,
            windows: windows.map_or(Vec::new(), |windows| windows.described()),
            step: self.step,
            last_row: None,
        })
    }
}

impl Denoiser {
    /// Keeps what a run starts from as far as the network is told it at every step.
    pub(super) fn give(&mut self, first: &mut First) {
        self.told = Told {
            beside: self.conditioning.beside(&first.beside),
            known: first.known.take(),
        };
    }

    /// What it was told of pictures.
    pub(super) fn told(&self) -> &Told {
        &self.told
    }

    /// Tells it what another was told at the same run.
    pub(super) fn tell(&mut self, told: Told) {
        self.told = told;
    }

    /// Begins its turn at a row, with a state.
    ///
    /// # Errors
    /// As [`Lease::begin`] and [`Runner::write`].
    pub(super) async fn begin(&mut self, row: usize, state: &[f32]) -> Result<()> {
        self.last_row = None;
        self.step.begin().await?;
        self.runner().write(ends::STATE, state)?;
        self.write_constants(row)
    }

    /// Ends its turn, and gives the state to whoever goes on.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub(super) async fn leave(&mut self) -> Result<Vec<f32>> {
        let state = self.state().await?;
        self.last_row = None; // the state that it was found in may be gone
        self.step.end();
        Ok(state)
    }

    /// Gives what it has on the device back: its rows are done.
    pub(super) fn give_back(&mut self) {
        self.step.give_back();
    }

    /// One evaluation of the network and the update after it, `index` rows into the table; in f32 if
    /// f16 overflows and may. `noise` is in the device's order, or nothing.
    ///
    /// What is known is put back at `after`, where less of it may change than the share of the steps that
    /// are left.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`] with the step, [`crate::Error::OutOfMemory`],
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub(super) async fn run_row(
        &mut self,
        index: usize,
        row: &Row,
        noise: &[f32],
        after: After,
    ) -> Result<()> {
        if self.conditioning.changes_at(index) {
            self.write_prompts(index)?;
        }
        if index.is_multiple_of(WINDOW_ROWS) {
            self.write_timesteps(index)?;
        }
        loop {
            let runner = self.runner();
            if !noise.is_empty() {
                runner.write(ends::NOISE, noise)?;
            }
            let guidance = self.conditioning.guidance(row.guidance_scale);
            let threshold = self.request.threshold();
            let values = row_values(index, row, guidance, threshold, after);
            if self.run_plan(&values).await? {
                self.last_row = Some(*row);
                return Ok(());
            }
            // Back to the state before this row, and on with it in a wider type.
            let state = self.runner().read(ends::PREVIOUS).await?;
            let stage = Stage {
                name: "unet",
                step: Some(row.step + 1),
            };
            self.step.widen(self.request.precision, stage).await?;
            self.begin(index, &state).await?;
        }
    }

    /// Runs the plan on a row, once or for one window after another, of which the last makes the update;
    /// and says whether everything that came out is finite.
    async fn run_plan(&self, row: &[f32]) -> Result<bool> {
        let runner = self.runner();
        if let Some((last, before)) = self.windows.split_last() {
            runner.write(ends::ROW, &leaving_the_state(row))?;
            for window in before {
                runner.write(ends::WINDOW, window)?;
                if !self.step.run().await? {
                    return Ok(false);
                }
            }
            runner.write(ends::WINDOW, last)?;
        }
        runner.write(ends::ROW, row)?;
        self.step.run().await
    }

    /// The latents, `[N, h, w, C]`.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub(super) async fn latents(&self) -> Result<Vec<f32>> {
        let mut state = self.state().await?;
        state.truncate(self.shape.len());
        Ok(state)
    }

    /// All that rows leave to the rows after them, `[5, N, h, w, C]`.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub(super) async fn state(&self) -> Result<Vec<f32>> {
        self.runner().read(ends::STATE).await
    }

    /// From now on in f32.
    ///
    /// # Errors
    /// As [`Lease::widen`].
    pub(super) async fn widen(&mut self) -> Result<()> {
        if self.compute() == DType::F32 {
            return Ok(());
        }
        let stage = Stage {
            name: "unet",
            step: None,
        };
        self.step.widen(self.request.precision, stage).await
    }

    /// The denoised latents `[N, h, w, C]` that the last row found, if there was one.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub(super) async fn denoised(&self) -> Result<Option<Vec<f32>>> {
        let Some(row) = &self.last_row else {
            return Ok(None);
        };
        let state = self.runner().read(ends::STATE).await?;
        let before = match needs_state_before(row) {
            true => self.runner().read(ends::PREVIOUS).await?,
            false => Vec::new(),
        };
        Ok(Some(row_denoised(row, &before, &state, self.shape.len())))
    }

    /// The runner that holds the state.
    fn runner(&self) -> &Runner {
        self.step.runner()
    }

    /// The type in which activations are stored now.
    pub(super) fn compute(&self) -> DType {
        self.step.compute()
    }

    /// What the user should know.
    pub(super) fn warnings(&self) -> &[String] {
        &self.conditioning.warnings
    }

    /// Writes all but the state that does not change from row to row. The noise is cleared, since rows
    /// that draw none multiply what is there by 0.
    fn write_constants(&self, row: usize) -> Result<()> {
        let runner = self.runner();
        runner.write(ends::NOISE, &vec![0.0; self.shape.len()])?;
        self.write_prompts(row)?;
        self.write_timesteps(row)?;
        if !self.conditioning.time_ids.is_empty() {
            runner.write(ends::TIME_IDS, &self.conditioning.time_ids)?;
        }
        if !self.told.beside.is_empty() {
            runner.write(ends::BESIDE, &self.told.beside)?;
        }
        if let Some(known) = &self.told.known {
            runner.write(ends::KNOWN, &known.latents)?;
            runner.write(ends::KNOWN_NOISE, &known.noise)?;
            runner.write(ends::MASK, &known.mask)?;
        }
        if let Some(scale) = self.told_guidance {
            let scales = vec![scale; self.conditioning.evaluations()];
            runner.write(ends::GUIDANCE, &scales)?;
        }
        Ok(())
    }

    /// Writes the timesteps of the window that a row is in.
    fn write_timesteps(&self, row: usize) -> Result<()> {
        let evaluations = self.conditioning.evaluations();
        let window = self.timesteps.chunks(WINDOW_ROWS).nth(row / WINDOW_ROWS);
        let repeated = window.into_iter().flatten();
        let repeated = repeated.flat_map(|&timestep| std::iter::repeat_n(timestep, evaluations));
        let mut timesteps: Vec<f32> = repeated.collect();
        timesteps.resize(WINDOW_ROWS * evaluations, 0.0);
        self.runner().write(ends::TIMESTEPS, &timesteps)
    }

    /// Writes what a row is told of the prompts.
    fn write_prompts(&self, row: usize) -> Result<()> {
        let runner = self.runner();
        runner.write(ends::CONTEXT, &self.conditioning.context(row))?;
        if !self.conditioning.time_ids.is_empty() {
            runner.write(ends::POOLED, &self.conditioning.pooled(row))?;
        }
        Ok(())
    }
}
