//! `Pipeline`: a model on a device.

use super::fit::{Fit, is_too_large};
use super::hires::Pass;
use super::memory::Memory;
use super::model::Model;
use super::plans::Plans;
use super::refiner;
use super::request::{Noise, Request};
use super::run::{Canceller, Run};
use super::shelf::{Claim, Shelf};
use super::tasks::{Painting, Task};
use super::trace::Trace;
use super::upscaler::Upscaler;
use crate::error::{Error, Result};
use crate::families::Defaults;
use crate::gpu::{Device, block_on};
use crate::image::Image;
use std::sync::Arc;

/// A model with its weights on a device, ready to be asked for pictures. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pipeline {
    inner: Arc<Inner>,
    /// Does the last steps.
    refiner: Option<Box<Pipeline>>,
    /// Enlarges pictures between two passes.
    upscaler: Option<Arc<Upscaler>>,
}

#[derive(Debug)]
struct Inner {
    device: Device,
    model: Model,
    plans: Arc<Plans>,
    weight_bytes: u64,
    /// The models that share its limit.
    shelf: Arc<Shelf>,
}

impl Pipeline {
    /// A model whose weights may be on the device already.
    pub(super) fn of(
        device: &Device,
        model: Model,
        plans: Arc<Plans>,
        weight_bytes: u64,
        shelf: &Arc<Shelf>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                device: device.clone(),
                model,
                plans,
                weight_bytes,
                shelf: Arc::clone(shelf),
            }),
            refiner: None,
            upscaler: None,
        }
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.inner.model
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// Bytes of the model's weights, of which the device has all or those of one part.
    pub fn weight_bytes(&self) -> u64 {
        self.inner.weight_bytes
    }

    /// What a request is filled in with.
    pub fn defaults(&self) -> &Defaults {
        self.model().defaults()
    }

    /// The request with every default filled in and a seed drawn where there is none.
    ///
    /// # Errors
    /// [`Error::Request`] with the field and what is allowed; [`Error::Unsupported`] if the device
    /// cannot hold a picture of that size, [`Error::OutOfMemory`] if the limit on its memory is too
    /// low for one part alone, with what each needs.
    pub fn resolve(&self, request: &Request) -> Result<Request> {
        Ok(self.prepare(request)?.0)
    }

    /// What a request takes on the device, known before anything runs.
    ///
    /// # Errors
    /// As [`Pipeline::resolve`].
    pub fn memory(&self, request: &Request) -> Result<Memory> {
        Ok(self.prepare(request)?.1.memory)
    }

    /// How many steps a request does, in all of its rounds and passes, as [`Run::step_count`] says when it
    /// is started.
    ///
    /// # Errors
    /// As [`Pipeline::resolve`].
    pub fn step_count(&self, request: &Request) -> Result<usize> {
        let request = self.filled(request)?;
        let painting = Painting::of(self.model(), &request)?;
        let rounds = painting.as_ref().map_or(1, Painting::round_count);
        let steps = self.planned(&request, Pass::First)?.table.step_count();
        Ok(rounds * steps + self.second_step_count(&request)?)
    }

    /// Starts making the pictures of a request.
    ///
    /// # Errors
    /// All that can be known before the first step is: [`Error::Request`], [`Error::Unsupported`],
    /// [`Error::OutOfMemory`], [`Error::Io`] and [`Error::BadFile`] of recorded noise; and
    /// [`Error::NotFinite`] of the text encoder, [`Error::DeviceLost`] and [`Error::Gpu`].
    pub fn start(&self, request: &Request) -> Result<Run> {
        block_on(self.start_async(request))
    }

    /// As [`Pipeline::start`], with what calls it off from another thread: now, while prompts and pictures
    /// are encoded, and later the run.
    ///
    /// # Errors
    /// As [`Pipeline::start`], and [`Error::Cancelled`].
    pub fn start_with_canceller(&self, request: &Request, canceller: &Canceller) -> Result<Run> {
        canceller.check()?;
        let (request, fit) = self.prepare(request)?;
        block_on(self.begin(request, &fit, None, canceller))
    }

    /// As [`Pipeline::start`], for any executor, several on one thread at once.
    ///
    /// While the device is at work the future waits, and a thread that is there for nothing else
    /// polls the device and wakes it. What the processor does is done by whoever polls the future:
    /// at the start, where kernels are compiled and weights laid out, that takes as long as
    /// [`Pipeline::start`]; in a step it is a few milliseconds. Dropped, it takes nothing with it that
    /// the pipeline needs.
    ///
    /// # Errors
    /// As [`Pipeline::start`].
    pub async fn start_async(&self, request: &Request) -> Result<Run> {
        let (request, fit) = self.prepare(request)?;
        self.begin(request, &fit, None, &Canceller::default()).await
    }

    /// As [`Pipeline::start`], keeping every intermediate for [`Run::finish_traced`].
    ///
    /// # Errors
    /// As [`Pipeline::start`].
    pub fn start_traced(&self, request: &Request) -> Result<Run> {
        let (request, fit) = self.prepare(request)?;
        let trace = Trace::new(&request, self.model().name())?;
        block_on(self.begin(request, &fit, Some(trace), &Canceller::default()))
    }

    /// Starts a run in memory that is claimed for it.
    async fn begin(
        &self,
        request: Request,
        fit: &Fit,
        trace: Option<Trace>,
        canceller: &Canceller,
    ) -> Result<Run> {
        let claim = self.claim(fit.memory.resident_bytes())?;
        let start = Run::start(self, request, fit.placements[0], trace);
        let run = canceller.unless_cancelled(start).await?;
        canceller.check()?;
        Ok(run.with(canceller.clone(), claim))
    }

    /// Makes the pictures of a request, one after another where they do not fit at once.
    ///
    /// # Errors
    /// As [`Pipeline::start`], and [`Error::NotFinite`].
    pub fn generate(&self, request: &Request) -> Result<Vec<Image>> {
        block_on(self.generate_async(request))
    }

    /// The request as [`Pipeline::resolve`] has it; or where its pictures do not fit at once, or not
    /// without making them otherwise than one alone, a request for each: those make the same pictures.
    ///
    /// # Errors
    /// As [`Pipeline::resolve`], of one picture alone.
    pub fn in_turn(&self, request: &Request) -> Result<Vec<Request>> {
        Ok(self.turns(request)?.0)
    }

    /// As [`Pipeline::in_turn`], and how the parts of each are on the device, with what that takes.
    fn turns(&self, request: &Request) -> Result<(Vec<Request>, Fit)> {
        let filled = self.filled(request)?;
        let count = filled.batch_size;
        let together = self.fit(&filled);
        // Recorded noise is that of all.
        if count == 1 || matches!(filled.noise, Some(Noise::Recorded(_))) {
            return together.map(|all| (vec![filled], all));
        }
        let one = self.fit(&filled.alone(0))?;
        match together {
            Ok(all) if all.draws_as(&one) => Ok((vec![filled], all)),
            Err(refusal) if !is_too_large(&refusal) => Err(refusal),
            _ => {
                let alone = (0..count).map(|picture| filled.alone(picture));
                Ok((alone.collect(), one))
            }
        }
    }

    /// As [`Pipeline::generate`], for any executor: [`Pipeline::start_async`] says what it does to a
    /// thread. Dropped, it cancels.
    ///
    /// # Errors
    /// As [`Pipeline::generate`].
    pub async fn generate_async(&self, request: &Request) -> Result<Vec<Image>> {
        let (turns, fit) = self.turns(request)?;
        let mut images = Vec::new();
        for request in turns {
            let run = self
                .begin(request, &fit, None, &Canceller::default())
                .await?;
            images.extend(run.finish_async().await?);
        }
        Ok(images)
    }

    /// What does the last steps, if anything else does.
    pub fn refiner(&self) -> Option<&Self> {
        self.refiner.as_deref()
    }

    pub(super) fn joined_by(self, refiner: Self) -> Self {
        let refiner = Some(Box::new(refiner));
        Self { refiner, ..self }
    }

    /// What enlarges pictures between two passes, if a network does.
    pub fn upscaler(&self) -> Option<&Upscaler> {
        self.upscaler.as_deref()
    }

    pub(super) fn enlarged_by(self, upscaler: Upscaler) -> Self {
        let upscaler = Some(Arc::new(upscaler));
        Self { upscaler, ..self }
    }

    pub(super) fn plans(&self) -> &Arc<Plans> {
        &self.inner.plans
    }

    pub(super) fn shelf(&self) -> &Arc<Shelf> {
        &self.inner.shelf
    }

    /// Takes memory for a run, for which models that share the limit make room.
    ///
    /// # Errors
    /// As [`Shelf::claim`].
    pub(super) fn claim(&self, bytes: u64) -> Result<Claim> {
        self.shelf().claim(&self.users(), bytes)
    }

    /// The models that a run takes.
    pub(super) fn users(&self) -> Vec<&Arc<Plans>> {
        let models = [self].into_iter().chain(self.refiner());
        models.map(Self::plans).collect()
    }

    /// A request checked and filled in, how its parts are on the device, and what that takes: all
    /// that is known before a run.
    fn prepare(&self, request: &Request) -> Result<(Request, Fit)> {
        let request = self.filled(request)?;
        let fit = self.fit(&request)?;
        Ok((request, fit))
    }

    /// A request checked and filled in.
    fn filled(&self, request: &Request) -> Result<Request> {
        request.check()?;
        let mut request = self.model().sized(request)?.resolved(self.defaults())?;
        match (self.refiner(), request.refiner_start) {
            (Some(_), None) => request.refiner_start = Some(refiner::DEFAULT_START),
            (None, Some(start)) => {
                let reason =
                    format!("is {start}, but there is no refiner; give one, or leave it out");
                return Err(Error::request("refiner_start", reason));
            }
            _ => (),
        }
        for pipeline in [self].into_iter().chain(self.refiner()) {
            let model = pipeline.model();
            model.check_clip_skip(&request)?;
            model.latent_size(request.width(), request.height())?;
        }
        self.enlarging(&request)?;
        request.task.check_purpose(self.model())?;
        if let Some(refiner) = self.refiner() {
            request.task.check_refinable()?;
            Task::TextToImage.check_purpose(refiner.model())?;
        }
        for (_, image) in request.task.images() {
            image.image()?;
            self.model().require_encoder()?;
        }
        request.to_json()?;
        Ok(request)
    }
}
