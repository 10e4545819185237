//! How a request's parts fit on the device, known before a run.

use super::handle::Pipeline;
use super::hires::Pass;
use super::memory::Memory;
use super::plans::Placement;
use super::refiner::Planned;
use super::request::{Precision, Request, Seamless};
use super::tasks::Task;
use super::vae::with_largest_tiles;
use crate::error::{Error, Result};
use crate::tensor::DType;

impl Pipeline {
    /// How the parts of a resolved request are on the device, and what that takes at most, in one pass
    /// or two.
    pub(super) fn fit(&self, request: &Request) -> Result<Fit> {
        let (placement, memory) = self.fit_pass(request, Pass::First)?;
        let Some(second) = self.model().second_pass(request)? else {
            return Ok(Fit {
                placements: [placement; 2],
                memory,
            });
        };
        if Pass::Second.encodes(&second) {
            self.model().require_encoder()?;
        }
        // What it takes is known now, and taken when its turn is.
        let (larger_placement, larger) = self.fit_pass(&second, Pass::Second)?;
        let most = [memory, larger].into_iter();
        let most = most.max_by_key(Memory::resident_bytes);
        Ok(Fit {
            placements: [placement, larger_placement],
            memory: most.expect("there are two"),
        })
    }

    /// As [`Pipeline::fit`], of one pass. Software adapters have small bindings: what is too large for one
    /// in f32 may fit in f16, as it may under a limit; and where it does not, the VAE works in tiles.
    pub(super) fn fit_pass(&self, request: &Request, pass: Pass) -> Result<(Placement, Memory)> {
        let (caps, model) = (self.device().caps(), self.model());
        let left = self.shelf().left_for(&self.users());
        let planned = self.planned(request, pass)?;
        let latent = model.latent_size(request.width(), request.height())?;
        let fit = |compute, vae_tile| {
            let memory = self.cost(request, pass, &planned, compute, vae_tile)?;
            let memory = memory.within(left)?;
            let placement = Placement {
                compute,
                residence: memory.residence,
                vae_tile,
                wrap: Seamless::wrap(request.seamless),
            };
            Ok((placement, memory))
        };
        let compute = request.precision.compute_on(self.device())?;
        let may_narrow = request.precision == Precision::Auto && caps.f16;
        let narrower = (may_narrow && compute != DType::F16).then_some(DType::F16);
        let computes = [Some(compute), narrower].into_iter().flatten();
        let vae_tile = model.vae_tile(request.vae_tile)?;
        let whole = first_that_fits(computes.clone().map(|compute| fit(compute, vae_tile)));
        match whole {
            Err(refusal)
                if is_too_large(&refusal)
                    && request.vae_tile.is_none()
                    && request.seamless.is_none() =>
            {
                with_largest_tiles(latent, refusal, |side| {
                    first_that_fits(computes.clone().map(|compute| fit(compute, Some(side))))
                })
            }
            fitted => fitted,
        }
    }

    /// What a pass of a resolved request takes of all models.
    pub(super) fn cost(
        &self,
        request: &Request,
        pass: Pass,
        planned: &Planned<'_>,
        compute: DType,
        vae_tile: Option<usize>,
    ) -> Result<Memory> {
        let caps = self.device().caps();
        let mut own =
            self.model()
                .memory(request, pass, &planned.table, compute, &caps, vae_tile)?;
        if pass == Pass::First {
            own = own.with(self.enlarging_memory(request, compute)?);
        }
        let Some(hand_over) = &planned.hand_over else {
            return Ok(own);
        };
        let request = Request {
            task: Task::TextToImage, // pictures are encoded by the model
            ..hand_over.refiner.as_refiner(request)
        };
        let refiner = hand_over.refiner.model();
        let refiner = refiner.memory(&request, pass, &planned.table, compute, &caps, vae_tile)?;
        Ok(own.refined_by(refiner))
    }
}

/// How a request's parts are on the device in its first and last pass, and what that takes at most.
#[derive(Debug)]
pub(super) struct Fit {
    pub(super) placements: [Placement; 2],
    pub(super) memory: Memory,
}

impl Fit {
    /// Whether both draw the same picture: with the same precision and tiles.
    pub(super) fn draws_as(&self, other: &Self) -> bool {
        let what = |fit: &Self| {
            fit.placements
                .map(|placement| (placement.compute, placement.vae_tile))
        };
        what(self) == what(other)
    }
}

/// The first of some ways that is not too large, or else what is wrong with the last.
fn first_that_fits<T>(mut ways: impl Iterator<Item = Result<T>>) -> Result<T> {
    let mut last = ways.next().expect("there is one way at least");
    while matches!(&last, Err(refusal) if is_too_large(refusal)) {
        match ways.next() {
            Some(way) => last = way,
            None => break,
        }
    }
    last
}

/// Whether the device cannot hold something that might be made smaller.
pub(super) fn is_too_large(error: &Error) -> bool {
    matches!(error, Error::Unsupported(_) | Error::OutOfMemory { .. })
}
