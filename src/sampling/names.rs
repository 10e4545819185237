//! Samplers and schedules as users of other programs type them, together or apart.

use super::{
    SAMPLERS, Sampler, Spacing,
    registry::{self, Entry},
    schedule::SCHEDULES,
};
use crate::error::Result;

/// A sampler and a schedule.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// How each step moves.
    pub sampler: &'static Sampler,
    /// Which noise levels the steps visit.
    pub schedule: &'static Spacing,
}

/// What A1111 and its descendants call the schedule that goes with the sampler.
const AUTOMATIC: &str = "automatic";

/// The schedules that "Automatic" stands for where it is not `normal`: the `scheduler` option in
/// the sampler tables of A1111 1.10 (sd_samplers_kdiffusion.py). Its DDIM, PLMS and UniPC take none
/// and go along what is `ddim_uniform` here (sd_samplers_timesteps.py).
const AUTOMATIC_SCHEDULES: &[(&str, &[&str])] = &[
    (
        "karras",
        &[
            "dpmpp_2m",
            "dpmpp_sde",
            "dpmpp_2s_ancestral",
            "dpm_2",
            "dpm_2_ancestral",
            "restart",
        ],
    ),
    (
        "exponential",
        &["dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"],
    ),
    ("ddim_uniform", &["ddim", "pndm", "uni_pc", "uni_pc_bh2"]),
];

/// Endings of sampler names that stand for a schedule, besides the schedules' own names: A1111's
/// short names (`k_dpmpp_2m_ka`, `k_dpmpp_2m_sde_exp`) and InvokeAI's (`dpmpp_2m_k`).
const SHORT_ENDINGS: &[(&str, &str)] = &[("k", "karras"), ("ka", "karras"), ("exp", "exponential")];

impl Choice {
    /// The sampler and the schedule of these names.
    ///
    /// Each may be a name or an alias in [`SAMPLERS`] or [`SCHEDULES`], however capitalised and
    /// spaced. A sampler's name may end in a schedule's, as in A1111's "DPM++ 2M Karras", InvokeAI's
    /// `dpmpp_2m_k` and sd.cpp's `ddim_trailing`; that one counts unless `schedule` is given, and
    /// `default_schedule` where neither is. The schedule "Automatic" is A1111's choice for the sampler.
    ///
    /// # Errors
    ///
    /// [`Error::Request`](crate::error::Error::Request) with the known names, the nearest first.
    pub fn find(sampler: &str, schedule: Option<&str>, default_schedule: &str) -> Result<Self> {
        let (sampler, implied) = sampler_and_schedule(sampler)?;
        let schedule = match (schedule, implied) {
            (Some(name), _) => schedule_for(sampler, name)?,
            (None, Some(implied)) => implied,
            (None, None) => schedule_for(sampler, default_schedule)?,
        };
        Ok(Self { sampler, schedule })
    }
}

/// The sampler of a name, and the schedule that the name ends in.
fn sampler_and_schedule(name: &str) -> Result<(&'static Sampler, Option<&'static Spacing>)> {
    let key = registry::normalise(name);
    if let Some(sampler) = registry::exact(SAMPLERS, &key) {
        return Ok((sampler, None));
    }
    let names = SCHEDULES
        .iter()
        .flat_map(|schedule| schedule.all_names().map(move |name| (name, schedule.name)));
    let combined = names
        .chain(SHORT_ENDINGS.iter().copied())
        .find_map(|(ending, schedule)| {
            let start = key.strip_suffix(&registry::normalise(ending))?;
            let schedule = registry::exact(SCHEDULES, &registry::normalise(schedule))?;
            Some((registry::exact(SAMPLERS, start)?, Some(schedule)))
        });
    match combined {
        Some(found) => Ok(found),
        None => Ok((Sampler::find(name)?, None)),
    }
}

/// The schedule of a name for a sampler: "Automatic" depends on it.
fn schedule_for(sampler: &Sampler, name: &str) -> Result<&'static Spacing> {
    if registry::normalise(name) != AUTOMATIC {
        return Spacing::find(name);
    }
    let listed = AUTOMATIC_SCHEDULES
        .iter()
        .find(|(_, samplers)| samplers.contains(&sampler.name));
    Spacing::find(listed.map_or("normal", |(schedule, _)| schedule))
}
