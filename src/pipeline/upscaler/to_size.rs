//! Pictures enlarged to a size and beyond, in as many rounds as that takes: what a second pass begins with.

use super::{Cut, UpscaleOptions, Upscaler, check, plan};
use crate::error::Result;
use crate::image::Image;
use crate::lock::lock;
use crate::pipeline::memory::PartMemory;
use crate::pipeline::request::Precision;
use crate::tensor::DType;
use std::ops::ControlFlow;

/// The most rounds, as A1111 has it: three of a network of twice the size make the most that there is.
const MOST_ROUNDS: usize = 3;

impl Upscaler {
    /// A picture → one at least `to` wide and high, or as large as the most rounds make it, with
    /// activations of a type unless they overflow it and `precision` lets them.
    ///
    /// # Errors
    /// As [`Upscaler::upscale`].
    pub(in crate::pipeline) async fn upscale_to(
        &self,
        mut picture: Image,
        to: [usize; 2],
        compute: DType,
        precision: Precision,
    ) -> Result<Image> {
        let options = UpscaleOptions {
            precision,
            ..UpscaleOptions::default()
        };
        let from = [picture.width(), picture.height()];
        for _ in rounds(from, to, self.scale()) {
            let mut going_on = |_| ControlFlow::Continue(());
            picture = self
                .upscale_in(&picture, &options, compute, &mut going_on)
                .await?;
        }
        Ok(picture)
    }

    /// What that takes on the device.
    ///
    /// # Errors
    /// [`crate::Error::Request`] if what comes out is too large to be held.
    pub(in crate::pipeline) fn memory_to(
        &self,
        from: [usize; 2],
        to: [usize; 2],
        compute: DType,
    ) -> Result<PartMemory> {
        let options = UpscaleOptions::default();
        let rounds = rounds(from, to, self.scale()).into_iter();
        let memory =
            rounds.map(|[width, height]| Ok(self.memory_in([height, width], &options, compute)?.0));
        let memory = memory.collect::<Result<Vec<_>>>()?.into_iter();
        let most = memory.max_by_key(PartMemory::total_bytes);
        Ok(most.expect("there is one round at least"))
    }

    /// Leaves the device; the next picture brings it back.
    pub(in crate::pipeline) fn release(&self) {
        drop(lock(&self.runner).take());
        self.residency.release_all();
    }
}

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
        let compute = options.precision.compute_on(&self.device)?;
        self.memory_in([height, width], options, compute)
    }

    fn memory_in(
        &self,
        size: [usize; 2],
        options: &UpscaleOptions,
        compute: DType,
    ) -> Result<(PartMemory, usize)> {
        check(size, self.scale(), options)?;
        let cut = Cut::of(size, options.tile_px, self.network.multiple());
        let plan = plan(&self.network, cut.size, compute, &self.device.caps())?;
        let report = plan.report();
        let memory = PartMemory {
            name: "upscaler".to_owned(),
            weight_bytes: report.weight_bytes,
            activation_bytes: report.peak_activation_bytes,
        };
        Ok((memory, cut.tiles().len()))
    }
}

/// The sizes that a network which makes sides so many times as long is given: one at least.
fn rounds(from: [usize; 2], to: [usize; 2], scale: usize) -> Vec<[usize; 2]> {
    let sizes = std::iter::successors(Some(from), |size| {
        Some(size.map(|side| side.saturating_mul(scale)))
    });
    let too_small = |size: &[usize; 2]| size[0] < to[0] || size[1] < to[1];
    let rounds = if scale > 1 { MOST_ROUNDS } else { 1 };
    sizes.take(rounds).take_while(too_small).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_takes_as_many_rounds_as_reach_it() {
        assert_eq!(rounds([64, 48], [128, 96], 4), [[64, 48]]);
        assert_eq!(rounds([64, 48], [130, 96], 2), [[64, 48], [128, 96]]);
        assert_eq!(rounds([64, 48], [512, 384], 2).len(), 3);
        assert_eq!(rounds([64, 48], [512, 384], 1), [[64, 48]]);
    }
}
