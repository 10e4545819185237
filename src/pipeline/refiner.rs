//! The hand-over from a model to a refiner, which does the last steps.

use super::denoiser::Share;
use super::handle::Pipeline;
use super::hires::Pass;
use super::latent::LatentShape;
use super::request::Request;
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
