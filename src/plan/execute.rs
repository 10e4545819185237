//! A plan on a graphics device.

use super::lower::{End, Plan};
use super::phase::Phase;
use super::place::Place;
use super::residency::Residency;
use super::selection::Selector;
use crate::error::{Error, Result};
use crate::gpu::{Ahead, Bound, Buffer, CommandList, Gpu, Texture, Uploaded};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A plan bound to memory of one device, to be run any number of times.
#[derive(Debug)]
pub(crate) struct Executable {
    gpu: Arc<Gpu>,
    slots: Vec<Buffer>,
    /// Held, so that whoever looks for them finds them.
    _params: Vec<Arc<Uploaded>>,
    prologue: CommandList,
    step: CommandList,
    selector: Option<Selector>,
    /// The place of the row at work.
    place: AtomicUsize,
}

impl Executable {
    /// Allocates the plan's slots, uploads its weights and compiles its kernels meanwhile.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Unsupported`], [`Error::DeviceLost`], [`Error::Gpu`].
    pub(crate) async fn new(gpu: &Arc<Gpu>, plan: &Plan, residency: &Residency) -> Result<Self> {
        let ahead = Ahead::compile(gpu, plan.dispatches());
        let params = residency.buffers(plan).await?;
        let mut slots = Vec::with_capacity(plan.slots.len());
        for bytes in &plan.slots {
            slots.push(gpu.storage("activations", *bytes)?);
        }
        let bind = |(place, bytes): &(Place, std::ops::Range<u64>)| {
            let (buffer, rows) = match *place {
                Place::Slot(slot) => (&slots[slot], None),
                Place::Row { slot, rows, stride } => (&slots[slot], Some((rows, stride))),
                Place::Param(param) => (&params[param].buffer, None),
            };
            Bound {
                buffer: buffer.clone(),
                bytes: bytes.clone(),
                rows,
            }
        };
        let dispatches = |phase| -> Vec<_> {
            let steps = plan.steps.iter().filter(|step| step.phase == phase);
            let dispatches = steps.map(|step| {
                let bound = step.bound.iter().map(bind).collect();
                (&step.dispatch, bound, step.cost)
            });
            dispatches.collect()
        };
        let prologue = CommandList::new(gpu, &dispatches(Phase::Prologue)).await?;
        let mut step = CommandList::new(gpu, &dispatches(Phase::Step)).await?;
        drop(ahead);
        for (from, to) in &plan.feedback {
            step.copy_after(&slots[from.slot], &slots[to.slot], from.view.size_bytes());
        }
        Ok(Self {
            gpu: Arc::clone(gpu),
            slots,
            _params: params,
            prologue,
            step,
            selector: plan.selector,
            place: AtomicUsize::new(0),
        })
    }

    /// Writes an input.
    ///
    /// # Errors
    /// [`Error::Record`] if the number of values is not the input's.
    pub(crate) fn write(&self, end: End, values: &[f32]) -> Result<()> {
        check_length(end, values)?;
        if let Some(Selector { input, element }) = self.selector
            && input == end.node
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place is a small whole number"
            )]
            let place = values[element] as usize;
            self.place.store(place, Ordering::Relaxed);
        }
        self.gpu.write(&self.slots[end.slot], end.view, values)
    }

    /// Submits what is computed in one phase.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(crate) async fn run(&self, phase: Phase) -> Result<()> {
        match phase {
            Phase::Prologue => self.prologue.submit(&self.gpu, 0).await,
            Phase::Step => {
                let place = self.place.load(Ordering::Relaxed);
                self.step.submit(&self.gpu, place).await
            }
        }
    }

    /// Reads a value, once everything submitted is done.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Gpu`] or [`Error::OutOfMemory`].
    pub(crate) async fn read(&self, end: End) -> Result<Vec<f32>> {
        self.gpu.read(&self.slots[end.slot], end.view).await
    }

    /// A texture of a value `[1, H, W, 4]` of bytes, filled once everything submitted is done.
    ///
    /// # Errors
    /// As [`Gpu::texture_of`].
    pub(crate) fn texture(&self, end: End) -> Result<Texture> {
        let [height, width] = [1, 2].map(|axis| end.view.shape.dim(axis));
        self.gpu.texture_of(&self.slots[end.slot], [width, height])
    }

    /// Encodes one step without submitting it: what the bench `encode` measures.
    ///
    /// # Errors
    /// As [`CommandList::encode_only`].
    pub(crate) fn encode_only(&self) -> Result<()> {
        self.step.encode_only(&self.gpu)
    }

    /// Waits until everything submitted is done.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(crate) async fn wait(&self) -> Result<()> {
        self.gpu.wait().await
    }
}

/// That there is a value for every element of an input.
pub(super) fn check_length(end: End, values: &[f32]) -> Result<()> {
    if values.len() == end.view.shape.len() {
        return Ok(());
    }
    Err(Error::Record {
        scope: "a plan's input".into(),
        reason: format!("{} values for shape {}", values.len(), end.view.shape),
    })
}
