//! The hand-over from a model to a refiner, which does the last steps.

use super::denoiser::Share;
use super::handle::Pipeline;
use super::hires::Pass;
use super::latent::LatentShape;
use super::plans::Placement;
use super::request::Request;
use super::residence::Residence;
use crate::error::{Error, Result};
use crate::sampling::Table;

/// When a refiner takes over unless a request says: what SDXL's was trained for, and diffusers'
/// examples take.
pub(super) const DEFAULT_START: f64 = 0.8;

/// The rows of a run, and who does the last of them.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    pub(super) table: Table,
    pub(super) hand_over: Option<HandOver<'a>>,
}

/// From which row of the table on a refiner goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandOver<'a> {
    pub(super) refiner: &'a Pipeline,
    pub(super) row: usize,
}

impl HandOver<'_> {
    /// The row from which on the refiner goes on, and its share in the run.
    ///
    /// # Errors
    /// As [`Share::of`].
    pub(super) fn share(
        &self,
        request: &Request,
        table: &Table,
        shape: LatentShape,
    ) -> Result<(usize, Share)> {
        let request = self.refiner.as_refiner(request);
        Ok((self.row, Share::of(self.refiner, &request, table, shape)?))
    }
}

impl Pipeline {
    /// Lets another model do the last steps, from [`Request::refiner_start`] on: SDXL's refiner, or
    /// any model with latents of the same kind. This model's decoder makes the picture.
    ///
    /// Each of the two was loaded under a limit of its own ([`super::LoadOptions`]); give the refiner
    /// what the base leaves, [`Pipeline::left_bytes`].
    ///
    /// What a multistep sampler remembers begins anew, as in diffusers and ComfyUI.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the two are on different devices, or their latents differ.
    pub fn with_refiner(self, refiner: Self) -> Result<Self> {
        if !self.device().is_same(refiner.device()) {
            return Err(Error::Unsupported(
                "a refiner on another device than its base; load both on one".into(),
            ));
        }
        let kind = |pipeline: &Self| {
            let config = &pipeline.model().config;
            (config.vae.latent_channels, config.vae_scale_factor)
        };
        let (own, others) = (kind(&self), kind(&refiner));
        if own != others {
            return Err(Error::Unsupported(format!(
                "the refiner {} with the model {}: its latents have {} channels at 1/{} of the \
                 picture's size, the model's {} at 1/{}",
                refiner.model().name(),
                self.model().name(),
                others.0,
                others.1,
                own.0,
                own.1,
            )));
        }
        // Whatever else takes this model's memory, takes the refiner's.
        self.shelf().add(refiner.plans());
        Ok(self.joined_by(refiner))
    }

    /// A request as this model gets it when it refines: with one text encoder it reads the prompt, and
    /// what it predicts is its own affair.
    pub(super) fn as_refiner(&self, request: &Request) -> Request {
        let mut request = request.clone();
        request.prediction = None;
        if self.model().text_encoders.len() < 2 {
            (request.prompt_2, request.negative_prompt_2) = (None, None);
        }
        request
    }

    /// Makes room for a pass that a refiner takes no part in: its weights stay on the device only where
    /// they fit beside what the pass takes.
    ///
    /// # Errors
    /// As [`Pipeline::cost`].
    pub(super) fn rest_refiner(
        &self,
        request: &Request,
        pass: Pass,
        planned: &Planned<'_>,
        placement: Placement,
    ) -> Result<()> {
        let Some(refiner) = self.refiner().filter(|_| planned.hand_over.is_none()) else {
            return Ok(());
        };
        let Placement {
            compute, vae_tile, ..
        } = placement;
        let memory = self.cost(request, pass, planned, compute, vae_tile)?;
        let both_bytes = memory.total_bytes() + refiner.weight_bytes();
        let residence = match self.shelf().left_for(&self.users()) {
            Some(limit) if both_bytes > limit => Residence::InTurn,
            _ => placement.residence,
        };
        let placement = Placement {
            residence,
            ..placement
        };
        refiner.plans().make_room(&[], placement);
        Ok(())
    }

    /// The rows of a pass of a resolved request.
    ///
    /// # Errors
    /// As [`super::Model::table`], and [`Error::Request`] if the hand-over leaves one of the two
    /// without a step.
    pub(super) fn planned(&self, request: &Request, pass: Pass) -> Result<Planned<'_>> {
        // Of two passes, the second is refined (A1111's `hires_fix_refiner_pass`).
        let is_refined = pass == Pass::Second || request.hires.is_none();
        let refiner = self.refiner().filter(|_| is_refined);
        let Some((refiner, start)) = refiner.zip(request.refiner_start) else {
            let table = self.model().table(request, pass, [0.0, 1.0])?;
            if table.rows.is_empty() {
                let reason = format!(
                    "{} leaves none of the {} steps; use more of either",
                    pass.strength(request),
                    request.steps.unwrap_or_default()
                );
                return Err(Error::request(pass.strength_field(), reason));
            }
            return Ok(Planned {
                table,
                hand_over: None,
            });
        };
        let mut table = self.model().table(request, pass, [0.0, start])?;
        let rest = refiner.as_refiner(request);
        let rest = refiner.model().table(&rest, pass, [start, 1.0])?;
        let row = table.rows.len();
        for (rows, whose) in [(&table.rows, "the model"), (&rest.rows, "the refiner")] {
            if rows.is_empty() {
                let reason = format!(
                    "leaves {whose} none of the {} steps at {start}; choose another, or more steps",
                    request.steps.unwrap_or_default()
                );
                return Err(Error::request("refiner_start", reason));
            }
        }
        table.rows.extend(rest.rows);
        Ok(Planned {
            table,
            hand_over: Some(HandOver { refiner, row }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;
    use crate::pipeline::{Hires, LoadOptions, Model};

    #[test]
    fn a_refiner_stays_through_the_first_pass_where_it_fits_beside_it() {
        let Some(device) = testing::device() else {
            return;
        };
        let load = |vram_bytes| {
            let options = LoadOptions {
                vram_bytes,
                ..LoadOptions::default()
            };
            let model = Model::demo().unwrap();
            Pipeline::with_options(device, model, &options, &mut |_| ()).unwrap()
        };
        let request = Request::new("a cat").size(64, 64).steps(4).seed(1);
        let alone = load(None);
        let first = alone.memory(&request).unwrap().total_bytes();
        let both = first + alone.weight_bytes();
        let hires = Hires {
            scale: 1.25,
            ..Hires::default()
        };
        for (limit, stays) in [
            (None, true),
            (Some(both), true),
            (Some(both - 1), false),
            (Some(first - 1), false),
        ] {
            let pipeline = load(limit).with_refiner(load(None)).unwrap();
            let run = pipeline.start(&request.clone().hires(hires)).unwrap();
            let refiner = pipeline.refiner().unwrap();
            let is_there = !refiner.plans().uploads().is_empty();
            assert_eq!(is_there, stays, "{limit:?}");
            drop(run);
        }
    }
}
