//! Models brought to a device.

use super::handle::Pipeline;
use super::model::Model;
use super::plans::Plans;
use super::progress::LoadProgress;
use super::residence::LoadOptions;
use super::shelf::Shelf;
use crate::error::Result;
use crate::gpu::{Device, block_on};
use crate::plan::Residency;
use crate::tuning;
use crate::weights::ModelFiles;
use std::mem;
use std::sync::Arc;

impl Pipeline {
    /// Opens a checkpoint and puts its weights on the device.
    ///
    /// # Errors
    /// As [`Model::open`], and as [`Pipeline::new`].
    pub fn load(device: &Device, files: impl Into<ModelFiles>) -> Result<Self> {
        Self::new(device, Model::open(files)?)
    }

    /// Puts a model's weights on the device.
    ///
    /// # Errors
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`Gpu`](crate::Error::Gpu), or [`BadFile`](crate::Error::BadFile) if the file changed meanwhile.
    pub fn new(device: &Device, model: Model) -> Result<Self> {
        Self::with_progress(device, model, &mut |_| ())
    }

    /// Puts a model's weights on the device and tells how far it is.
    ///
    /// # Errors
    /// As [`Pipeline::new`].
    pub fn with_progress(
        device: &Device,
        model: Model,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self> {
        Self::with_options(device, model, &LoadOptions::default(), progress)
    }

    /// Puts a model on the device as `options` say and tells how far it is. Weights that do not fit
    /// together stay in the file until their part's turn is; weights that another pipeline has on the
    /// device, of the same file, are shared with it.
    ///
    /// # Errors
    /// As [`Pipeline::new`], and [`Cancelled`](crate::Error::Cancelled), which leaves nothing on the device.
    pub fn with_options(
        device: &Device,
        model: Model,
        options: &LoadOptions,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self> {
        let shelf = Shelf::new(options.vram_bytes.or(device.memory_bytes()));
        block_on(Self::on_shelf(device, &shelf, model, options, progress))
    }

    /// As [`Pipeline::with_options`], for any executor: [`Pipeline::start_async`] says what it does to a
    /// thread, and the first use of an adapter, where kernels are checked, blocks for some seconds.
    /// Dropped, it leaves nothing on the device.
    ///
    /// # Errors
    /// As [`Pipeline::with_options`].
    pub async fn with_options_async(
        device: &Device,
        model: Model,
        options: &LoadOptions,
        progress: &mut (dyn FnMut(LoadProgress) + Send),
    ) -> Result<Self> {
        let shelf = Shelf::new(options.vram_bytes.or(device.memory_bytes()));
        Self::on_shelf(device, &shelf, model, options, progress).await
    }

    /// Takes another model in this one's place, and gives this one back: it can be drawn with as before.
    ///
    /// Handles that came of one another in this way share one limit ([`LoadOptions::vram_bytes`]): what is
    /// loaded or drawn under it lets the model go that was used least recently, if it has to. That one's
    /// handles stay valid, and its weights come from the file again when it is used. A run under way keeps
    /// what it has; what another model asks for meanwhile has to fit beside it. Runs of one model at
    /// once are not counted against one another.
    ///
    /// ```no_run
    /// # fn main() -> aquatint::Result<()> {
    /// # let device = aquatint::Device::best()?;
    /// use aquatint::{Model, Pipeline};
    ///
    /// let mut pipeline = Pipeline::load(&device, "photo.safetensors")?;
    /// let mut other = pipeline.swap(Model::open("drawing.safetensors")?)?; // pipeline draws, other is photo
    /// std::mem::swap(&mut pipeline, &mut other); // and back
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Pipeline::new`]; what is there stays then.
    pub fn swap(&mut self, model: Model) -> Result<Self> {
        self.swap_with_options(model, &LoadOptions::default(), &mut |_| ())
    }

    /// As [`Pipeline::swap`], and tells how far it is. A limit in `options` is that of all models from now
    /// on; without one it stays.
    ///
    /// # Errors
    /// As [`Pipeline::with_options`]; what is there stays then.
    pub fn swap_with_options(
        &mut self,
        model: Model,
        options: &LoadOptions,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self> {
        if let Some(limit) = options.vram_bytes {
            self.shelf().set_limit(limit);
        }
        let next = Self::on_shelf(self.device(), self.shelf(), model, options, progress);
        let next = block_on(next)?;
        Ok(mem::replace(self, next))
    }

    /// Puts a model on the device, beside others of a limit.
    async fn on_shelf(
        device: &Device,
        shelf: &Arc<Shelf>,
        model: Model,
        options: &LoadOptions,
        progress: &mut (impl FnMut(LoadProgress) + ?Sized),
    ) -> Result<Self> {
        options.canceller.check()?;
        tuning::prepare(device)?;
        options.canceller.check()?;
        let residency = Arc::new(Residency::new(device, &model.weights));
        let plans = Arc::new(Plans::new(device, &model, &residency));
        let params = model.params()?;
        let total_bytes = params.iter().map(|param| param.size_bytes() as u64).sum();
        let mut done_bytes = 0;
        let mut tell = |bytes| {
            done_bytes += bytes;
            progress(LoadProgress {
                done_bytes,
                total_bytes,
            });
        };
        let left = shelf.left_for(&[&plans]);
        if left.is_none_or(|left| total_bytes <= left) {
            let _claim = shelf.claim(&[&plans], total_bytes)?;
            let upload = residency.upload(&params, &mut tell);
            options.canceller.unless_cancelled(upload).await?;
            options.canceller.check()?;
        } else {
            shelf.add(&plans);
        }
        Ok(Self::of(device, model, plans, total_bytes, shelf))
    }

    /// What the limit leaves beside this model's weights, such as for a refiner; `None` without a limit.
    pub fn left_bytes(&self) -> Option<u64> {
        let limit = self.shelf().limit()?;
        Some(limit.saturating_sub(self.weight_bytes()))
    }

    /// Bytes that the model has on the device now: weights, shared ones among them, and what runs that are
    /// over left for the next one to compute with.
    pub fn resident_bytes(&self) -> u64 {
        let weights = self.plans().uploads();
        let weights = weights.iter().map(|weight| weight.bytes);
        weights.sum::<u64>() + self.plans().runner_bytes()
    }
}
