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
        let mut most = PartMemory {
            name: "upscaler".to_owned(),
            weight_bytes: 0,
            activation_bytes: 0,
        };
        for [width, height] in rounds(from, to, self.scale()) {
            check([height, width], self.scale(), &options)?;
            let cut = Cut::of([height, width], options.tile_px, self.network.multiple());
            let plan = plan(&self.network, cut.size, compute, &self.device.caps())?;
            let report = plan.report();
            most.weight_bytes = most.weight_bytes.max(report.weight_bytes);
            most.activation_bytes = most.activation_bytes.max(report.peak_activation_bytes);
        }
        Ok(most)
    }

    /// Leaves the device; the next picture brings it back.
    pub(in crate::pipeline) fn release(&self) {
        drop(lock(&self.runner).take());
        self.residency.release_all();
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
