//! One generation under way: THE loop.

#[cfg(test)]
mod async_tests;
mod cancel;
mod checkpoint;
mod finish;
mod hires;
mod on_gpu;
mod preview;
mod start;
#[cfg(test)]
mod tests;

pub use self::cancel::Canceller;
pub use self::checkpoint::Checkpoint;
use self::start::state_of;
use super::brownian::BrownianNoise;
use super::denoiser::Denoiser;
use super::device_row::After;
use super::handle::Pipeline;
use super::hires::Pass;
use super::latent::LatentShape;
use super::noise::RunNoise;
use super::plans::Placement;
use super::progress::Step;
use super::request::Request;
use super::shelf::Claim;
use super::tasks::{Painting, Start};
use super::trace::Trace;
use super::vae::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::gpu::block_on;
use crate::sampling::{Row, Table};
use crate::tensor::DType;

/// One generation under way. Dropping it cancels.
#[derive(Debug)]
pub struct Run {
    pipeline: Pipeline,
    /// What was asked for.
    asked: Request,
    /// The same in the size and steps of the pass that is under way.
    request: Request,
    pass: Pass,
    /// The steps of the passes before this one, and of those after it.
    steps_done: usize,
    steps_to_come: usize,
    table: Table,
    /// The next row of the table.
    row: usize,
    shape: LatentShape,
    noise: RunNoise,
    /// What the steps' noise comes from in place of `noise`.
    brownian: Option<BrownianNoise>,
    denoiser: Denoiser,
    /// The state that the denoiser left after the last row, until another round or pass begins.
    left: Option<Vec<f32>>,
    /// What takes over from the denoiser, and at which row.
    refiner: Option<(usize, Denoiser)>,
    decoder: Decoder,
    placement: Placement,
    /// What parts are repainted of, where they are.
    painting: Option<Painting>,
    warnings: Vec<String>,
    trace: Option<Trace>,
    canceller: Canceller,
    /// Whether a step failed or stopped on the way: what the device holds then is no state to go on
    /// from.
    is_over: bool,
    /// What it is at work in; given back after all that is there.
    claim: Option<Claim>,
}

impl Run {
    /// Does the next step, or says that all are done.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the step, [`Error::OutOfMemory`], [`Error::DeviceLost`],
    /// [`Error::Gpu`], or [`Error::Cancelled`]; after that the run is over.
    pub fn next_step(&mut self) -> Result<Option<Step>> {
        block_on(self.next_step_async())
    }

    /// As [`Run::next_step`], for any executor: [`Pipeline::start_async`] says what it does to a
    /// thread. A step that is dropped half done ends the run.
    ///
    /// # Errors
    /// As [`Run::next_step`].
    pub async fn next_step_async(&mut self) -> Result<Option<Step>> {
        self.check_going_on()?;
        self.is_over = true; // as it is if this is dropped at the next line
        let canceller = self.canceller.clone();
        let step = canceller.unless_cancelled(self.run_step()).await?;
        self.is_over = false;
        Ok(step)
    }

    /// The same, called off by that canceller, in memory that was claimed for it.
    pub(super) fn with(self, canceller: Canceller, claim: Claim) -> Self {
        let claim = Some(claim);
        Self {
            canceller,
            claim,
            ..self
        }
    }

    /// What calls this run off from another thread, or from the one that waits for its futures.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    fn check_going_on(&self) -> Result<()> {
        match self.is_over {
            false => Ok(()),
            true if self.canceller.is_cancelled() => Err(Error::Cancelled),
            true => Err(Error::Unsupported(
                "going on with a run that failed or was stopped in a step; start another".into(),
            )),
        }
    }

    async fn run_step(&mut self) -> Result<Option<Step>> {
        if self.row == self.table.rows.len() {
            self.next_round().await?;
        }
        if self.row == self.table.rows.len() {
            self.next_pass().await?;
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
        self.left = None;
        self.denoiser.begin(self.row, &state).await
    }

    /// The rounds that are not done yet.
    fn rounds_left(&self) -> usize {
        let painting = self.painting.as_ref();
        painting.map_or(1, |painting| painting.round_count() - painting.done())
    }

    /// The steps of the rounds and passes that are done.
    fn steps_before(&self) -> usize {
        let left = self.rounds_left() * self.table.step_count();
        self.step_count() - self.steps_to_come - left
    }

    /// How many steps there are, in all rounds of a task that has several, and in both passes where there
    /// are two.
    pub fn step_count(&self) -> usize {
        let rounds = self.painting.as_ref().map_or(1, Painting::round_count);
        self.steps_done + rounds * self.table.step_count() + self.steps_to_come
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

    /// What the user should know, such as where the prompt was cut.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The request with every default filled in.
    #[expect(
        clippy::misnamed_getters,
        reason = "a pass's own request is nobody's business"
    )]
    pub fn request(&self) -> &Request {
        &self.asked
    }

    /// Whether the network's activations are stored in f16 now. A run that overflowed goes on in
    /// f32 where [`crate::Precision::Auto`] allows it.
    pub fn is_f16(&self) -> bool {
        self.denoiser.compute() == DType::F16
    }
}
