//! What enlarging a picture takes, known before anything runs.

use super::{Cut, UpscaleOptions, Upscaler, check};
use crate::error::Result;
use crate::pipeline::memory::PartMemory;
use crate::tensor::DType;

impl Upscaler {
    /// What a picture of a width and height takes on the device, and in how many tiles it is enlarged: all
    /// that is known before the first.
    ///
    /// # Errors
    /// As [`Upscaler::upscale`], of the numbers.
    pub fn memory(
        &self,
        [width, height]: [usize; 2],
        options: &UpscaleOptions,
    ) -> Result<(PartMemory, usize)> {
        let compute = options.precision.compute_on(&self.runner.device)?;
        self.memory_in([width, height], options, compute)
    }

    /// As [`Upscaler::memory`], with activations of a type.
    pub(super) fn memory_in(
        &self,
        [width, height]: [usize; 2],
        options: &UpscaleOptions,
        compute: DType,
    ) -> Result<(PartMemory, usize)> {
        let size = [height, width];
        check(size, self.scale(), options)?;
        let cut = Cut::of(size, options.tile_px, self.runner.network.multiple());
        let report = self.runner.plan(cut.size, compute)?.report();
        let memory = PartMemory {
            name: "upscaler".to_owned(),
            weight_bytes: report.weight_bytes,
            activation_bytes: report.peak_activation_bytes,
        };
        Ok((memory, cut.tiles().len()))
    }
}
