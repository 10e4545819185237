//! A run kept on the host, and gone on with.

use super::Run;
use super::start::Given;
use crate::error::{Error, Result};
use crate::gpu::block_on;
use crate::pipeline::denoiser::Told;
use crate::pipeline::handle::Pipeline;
use crate::pipeline::hires::Pass;
use crate::pipeline::latent::LatentShape;
use crate::pipeline::noise::RunNoise;
use crate::pipeline::plans::Placement;
use crate::pipeline::request::Request;
use crate::pipeline::tasks::Painting;
use crate::pipeline::trace::Trace;

/// A run as it was between two of its steps: a plain value of the host, of five times the size of the
/// latents, with the pictures that are painted on and the trace where there are any; it outlives the device and
/// the pipeline.
///
/// [`Run::checkpoint`] makes it, and [`Pipeline::resume`] goes on from it, any number of times.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    asked: Request,
    drawn_by: Vec<String>,
    steps_done: usize,
    step_count: usize,
    pass: Pass,
    /// The steps of the passes before this one.
    steps_before_pass: usize,
    /// The next row of the pass's table.
    row: usize,
    shape: LatentShape,
    /// The latent, the saved one and the sampler's history.
    state: Vec<f32>,
    noise: RunNoise,
    told: Told,
    painting: Option<Painting>,
    /// Whether the step overflowed f16 and goes on in f32.
    is_widened: bool,
    trace: Option<Trace>,
}

impl Checkpoint {
    /// The request of the run with every default filled in, its seed among them.
    pub fn request(&self) -> &Request {
        &self.asked
    }

    /// How many steps of the run are done.
    pub fn steps_done(&self) -> usize {
        self.steps_done
    }

    /// As [`Run::step_count`].
    pub fn step_count(&self) -> usize {
        self.step_count
    }

    /// That a pipeline draws what it was made of.
    fn check_model(&self, pipeline: &Pipeline) -> Result<()> {
        let drawn_by = names(pipeline, &self.asked)?;
        if self.drawn_by == drawn_by {
            return Ok(());
        }
        Err(Error::Unsupported(format!(
            "resuming a run of {} with {}; load the files that it was begun with",
            self.drawn_by.join(" and "),
            drawn_by.join(" and ")
        )))
    }

    /// That what is planned now is what was then.
    fn check_plan(&self, run: &Run) -> Result<()> {
        let (then, now) = (self.shape.nchw(), run.shape.nchw());
        let (steps, rows) = (run.step_count(), run.table.rows.len());
        if then == now && self.step_count == steps && self.row <= rows {
            return Ok(());
        }
        Err(Error::Unsupported(format!(
            "resuming a run of {} steps on latents {:?} with a model that takes {} on {:?}; load the \
             files that it was begun with",
            self.step_count, then, steps, now
        )))
    }
}

/// What a request is drawn by: models with their kinds, and the network between its passes.
fn names(pipeline: &Pipeline, request: &Request) -> Result<Vec<String>> {
    let pipelines = [pipeline].into_iter().chain(pipeline.refiner());
    let models = pipelines.map(Pipeline::model);
    let models = models.flat_map(|model| {
        let parts = model.parts_apart().into_iter();
        let parts = parts.map(|(part, name)| format!("{part} {name}"));
        let whole = format!("{} ({})", model.name(), model.config.family.title);
        [whole].into_iter().chain(parts)
    });
    let network = pipeline.enlarging(request)?;
    let network = network.map(|(upscaler, _)| upscaler.name().to_owned());
    Ok(models.chain(network).collect())
}

impl Run {
    /// Keeps the run as it is, to go on from where the device is lost, or later: [`Pipeline::resume`].
    ///
    /// Reads the latents and what the sampler remembers, a megabyte or so for a picture of 1024²; so after each
    /// step it costs little, unless large pictures are painted on or all is traced: it copies those. The
    /// device goes on with nothing meanwhile.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`]; [`Error::Unsupported`] of a run that failed in a step,
    /// [`Error::Cancelled`] of one that was called off there.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        block_on(self.checkpoint_async())
    }

    /// As [`Run::checkpoint`], for any executor: [`Pipeline::start_async`] says what it does to a
    /// thread.
    ///
    /// # Errors
    /// As [`Run::checkpoint`].
    pub async fn checkpoint_async(&self) -> Result<Checkpoint> {
        self.check_going_on()?;
        let last = self.table.rows[..self.row].last();
        let done = last.map_or(0, |row| row.step + 1);
        Ok(Checkpoint {
            asked: self.asked.clone(),
            drawn_by: names(&self.pipeline, &self.asked)?,
            steps_done: (self.steps_before() + done).min(self.step_count()),
            step_count: self.step_count(),
            pass: self.pass,
            steps_before_pass: self.steps_done,
            row: self.row,
            shape: self.shape,
            state: match &self.left {
                Some(state) => state.clone(),
                None => self.denoiser.state().await?,
            },
            noise: self.noise.clone(),
            told: self.denoiser.told().clone(),
            painting: self.painting.clone(),
            is_widened: self.denoiser.compute() != self.placement.compute,
            trace: self.trace.clone(),
        })
    }

    /// Goes on from a checkpoint: the prompts are encoded again, and nothing else.
    pub(in crate::pipeline) async fn resume(
        pipeline: &Pipeline,
        kept: &Checkpoint,
        request: Request,
        placement: Placement,
    ) -> Result<Self> {
        let given = Given {
            encoder: false,
            painting: kept.painting.clone(),
            trace: None,
            noise: Some(kept.noise.clone()),
        };
        let (mut run, _) = Self::ready(pipeline, request, placement, kept.pass, given).await?;
        run.asked = kept.asked.clone();
        run.steps_done = kept.steps_before_pass;
        kept.check_plan(&run)?;
        run.row = kept.row;
        run.trace = kept.trace.clone();
        if let Some((_, refiner)) = run.refiner.take_if(|(first, _)| *first < kept.row) {
            run.denoiser = refiner;
        }
        run.denoiser.tell(kept.told.clone());
        if kept.is_widened {
            run.denoiser.widen().await?;
        }
        // Where all rows are done, it is told what the last was: nothing is asked of it any more.
        let row = run.row.min(run.table.rows.len() - 1);
        run.denoiser.begin(row, &kept.state).await?;
        Ok(run)
    }
}

impl Pipeline {
    /// Goes on with a run that was kept, on this device or another: after [`Error::DeviceLost`], on a
    /// pipeline that was loaded again from the same files.
    ///
    /// On the same device, or another of its kind, the pictures are those of the run without a break, to
    /// the bit. The checkpoint holds the request; [`crate::LoadOptions`] may be others, but a lower limit of
    /// memory may make of a decoder one in tiles, as for any run. Models are told apart by the names and kinds of
    /// their files.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the models or networks are others; as [`Pipeline::start`].
    pub fn resume(&self, checkpoint: &Checkpoint) -> Result<Run> {
        block_on(self.resume_async(checkpoint))
    }

    /// As [`Pipeline::resume`], for any executor: [`Pipeline::start_async`] says what it does to a
    /// thread.
    ///
    /// # Errors
    /// As [`Pipeline::resume`].
    pub async fn resume_async(&self, checkpoint: &Checkpoint) -> Result<Run> {
        checkpoint.check_model(self)?;
        let asked = &checkpoint.asked;
        let request = match checkpoint.pass {
            Pass::First => None,
            Pass::Second => self.model().second_pass(asked)?,
        };
        let request = request.unwrap_or_else(|| asked.clone());
        let (placement, memory) = self.fit_pass(&request, checkpoint.pass)?;
        let claim = self.claim(memory.resident_bytes())?;
        let run = Run::resume(self, checkpoint, request, placement).await?;
        let canceller = run.canceller();
        Ok(run.with(canceller, claim))
    }
}
