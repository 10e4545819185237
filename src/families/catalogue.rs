//! The families and their relatives, as users are told of them: what a checkpoint is known by, and
//! what a request is filled in with.

use super::{FAMILIES, variants};
use serde::Serialize;

/// Pixels along one side of a latent of every published model.
const LATENT_PX: usize = 8;

/// A family of models, or relatives of one that were trained to need fewer steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FamilyInfo {
    /// What it is called, such as `Stable Diffusion 1.x`.
    pub title: &'static str,
    /// What a checkpoint is recognised by, as a phrase.
    pub known_by: String,
    /// Width and height in pixels of a picture; `None` where they are those of the family that a
    /// checkpoint is a relative of.
    pub side_px: Option<usize>,
    /// Steps of a picture.
    pub steps: usize,
    /// Scale of the guidance.
    pub guidance_scale: f64,
    /// Name of the sampler.
    pub sampler: &'static str,
    /// Name of the schedule.
    pub schedule: &'static str,
}

/// All families, in the order in which they are tried, and then their relatives.
#[must_use]
pub fn families() -> Vec<FamilyInfo> {
    let families = FAMILIES.iter().map(|family| FamilyInfo {
        title: family.title,
        known_by: family.looked_for.to_owned(),
        side_px: Some(family.sample_size * LATENT_PX),
        steps: family.steps,
        guidance_scale: family.guidance_scale,
        sampler: family.sampler,
        schedule: family.scheduler.spacing,
    });
    families.chain(variants::relatives()).collect()
}
