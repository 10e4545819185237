//! Pictures enlarged to a size and beyond, in as many rounds as that takes: what a second pass begins with.

use super::{UpscaleOptions, Upscaler};
use crate::error::Result;
use crate::image::Image;
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
        let memory = rounds.map(|size| Ok(self.memory_in(size, &options, compute)?.0));
        let memory = memory.collect::<Result<Vec<_>>>()?.into_iter();
        let most = memory.max_by_key(PartMemory::total_bytes);
        Ok(most.expect("there is one round at least"))
    }

    /// Leaves the device when what comes back is dropped, however the work ends; the next picture brings
    /// it back.
    pub(in crate::pipeline) fn leave_after(&self) -> Leaving<'_> {
        Leaving(self)
    }
}

/// A network that leaves the device when this is dropped.
#[derive(Debug)]
pub(in crate::pipeline) struct Leaving<'a>(&'a Upscaler);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.runner.release();
    }
}

/// The sizes that a network which makes sides so many times as long is given: one at least.
fn rounds(from: [usize; 2], to: [usize; 2], scale: usize) -> Vec<[usize; 2]> {
    let sizes = std::iter::successors(Some(from), |size| {
        Some(size.map(|side| side.saturating_mul(scale)))
    });
    let too_small = |size: &[usize; 2]| size[0] < to[0] || size[1] < to[1];
    let rounds = if scale > 1 { MOST_ROUNDS } else { 1 };
    let rounds = sizes.take(rounds).enumerate();
    let rounds = rounds.take_while(|(round, size)| *round == 0 || too_small(size));
    rounds.map(|(_, size)| size).collect()
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
        // Where 1.01 times the size is to the nearest multiple the size itself.
        assert_eq!(rounds([128, 128], [128, 128], 4), [[128, 128]]);
    }
}
