//! A network by itself on a device, from values of any height and width to colours.

use super::request::Precision;
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::lock::lock;
use crate::plan::{Plan, Residency, Runner};
use crate::tensor::{DType, Recorder, Tensor};
use crate::weights::Weights;
use std::sync::{Arc, Mutex};

/// Names of the plan's ends.
mod ends {
    /// Values `[1, h, w, C]` as the network takes them.
    pub(super) const INPUT: &str = "input";
    /// Colours `[1, H, W, 3]`, 0 to 1 and a little beyond.
    pub(super) const COLOURS: &str = "colours";
    /// How many values are not finite.
    pub(super) const NONFINITE: &str = "nonfinite";
}

/// A network that makes colours.
pub(super) trait ColourNetwork {
    /// What errors call it.
    const STAGE: &'static str;

    /// The channels of what it takes.
    fn channels(&self) -> usize;

    /// values `[1, h, w, C]` → colours `[1, H, W, 3]`, H and W as many times h and w
    fn forward<'g>(&self, values: Tensor<'g>) -> Tensor<'g>;
}

/// A network on a device, with the plan for the last size. Weights come with the first run.
#[derive(Debug)]
pub(super) struct ColourRunner<N> {
    pub(super) device: Device,
    pub(super) network: N,
    residency: Arc<Residency>,
    /// The last plan, of values of that height and width.
    last: Mutex<Option<([usize; 2], DType, Runner)>>,
}

impl<N: ColourNetwork> ColourRunner<N> {
    /// A network with its weights, which stay in the file for now.
    pub(super) fn new(device: &Device, network: N, weights: &Weights) -> Self {
        Self {
            device: device.clone(),
            network,
            residency: Arc::new(Residency::new(device, weights)),
            last: Mutex::default(),
        }
    }

    /// values `[h, w, C]` → colours `[H, W, 3]`, with activations of a type; in f32 from then on if f16
    /// overflows and may.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::OutOfMemory`], [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(super) async fn colours(
        &self,
        size: [usize; 2],
        values: &[f32],
        compute: &mut DType,
        precision: Precision,
    ) -> Result<Vec<f32>> {
        loop {
            match self.run(size, values, *compute).await? {
                Some(colours) => return Ok(colours),
                None if *compute == DType::F16 && precision == Precision::Auto => {
                    *compute = DType::F32;
                }
                None => {
                    return Err(Error::NotFinite {
                        stage: N::STAGE,
                        step: None,
                    });
                }
            }
        }
    }

    /// values `[h, w, C]` → colours `[H, W, 3]`; `None` if they are not all finite
    async fn run(
        &self,
        size: [usize; 2],
        values: &[f32],
        compute: DType,
    ) -> Result<Option<Vec<f32>>> {
        let runner = self.take_runner(size, compute).await?;
        runner.write(ends::INPUT, values)?;
        runner.run().await?;
        let counts = runner.read(ends::NONFINITE).await?;
        let colours = match counts.iter().all(|&count| count == 0.0) {
            true => Some(runner.read(ends::COLOURS).await?),
            false => None,
        };
        *lock(&self.last) = Some((size, compute, runner));
        Ok(colours)
    }

    /// The last runner if it is of that size and type, else a new one in its place.
    async fn take_runner(&self, size: [usize; 2], compute: DType) -> Result<Runner> {
        let last = lock(&self.last).take();
        if let Some((of, stored, runner)) = last
            && of == size
            && stored == compute
        {
            return Ok(runner);
        }
        Runner::new(&self.device, self.plan(size, compute)?, &self.residency).await
    }

    /// The plan for values of that height and width.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a binding is too large for the device.
    pub(super) fn plan(&self, [height, width]: [usize; 2], compute: DType) -> Result<Plan> {
        let recorder = Recorder::new(compute);
        let shape = [1, height, width, self.network.channels()];
        let values = recorder.input(ends::INPUT, shape, DType::F32);
        let colours = self.network.forward(values.to(compute)).to(DType::F32);
        recorder.output(ends::COLOURS, colours);
        recorder.output(ends::NONFINITE, colours.count_nonfinite());
        Plan::lower(recorder.finish()?, &self.device.caps())
    }
}

impl<N> ColourRunner<N> {
    /// Takes all off the device.
    pub(super) fn release(&self) {
        drop(lock(&self.last).take());
        self.residency.release_all();
    }
}
