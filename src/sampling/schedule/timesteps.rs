//! Schedules that are laid out over the timesteps of the training.

use super::{
    beta::quantile,
    layout::{Layout, Points},
};
use crate::sampling::{SigmaRules, noise_model::Ramp};

/// `t_i = i·⌊T/n⌋ + offset`: diffusers.
pub(super) fn leading(layout: &Layout<'_>) -> Points {
    let extra = layout.extra_points();
    // diffusers' DPM-Solver divides to 0 when n = T; one timestep is the least there is.
    let stride = (layout.noise_model.train_steps() / (layout.count() + extra)).max(1);
    let places = (extra..layout.count() + extra).rev();
    let offset = layout.options.steps_offset as f64;
    Points::Places(places.map(|i| (i * stride) as f64 + offset).collect())
}

/// Of the fifty timesteps that latent consistency models are distilled at, as many as asked, evenly
/// from the noisiest down: diffusers' `LCMScheduler` and `TCDScheduler`, whose
/// `original_inference_steps` that is. With more steps than fifty, all timesteps are to choose from.
pub(super) fn lcm(layout: &Layout<'_>) -> Points {
    const DISTILLED_STEPS: usize = 50;
    let train = layout.noise_model.train_steps();
    let count = layout.count();
    let distilled = if count <= DISTILLED_STEPS.min(train) {
        DISTILLED_STEPS.min(train)
    } else {
        train
    };
    let stride = train / distilled;
    let places = (0..count).map(|i| (distilled - i * distilled / count) * stride - 1);
    Points::Places(places.map(|place| place as f64).collect())
}

/// `t_i = round(T − i·T/n) − 1`: diffusers. A flow model's are not rounded.
pub(super) fn trailing(layout: &Layout<'_>) -> Points {
    let train_count = layout.noise_model.train_count();
    // As numpy's `arange(T, 0, -T/n)` rounds. That gives one number too many for some n (61 is the
    // first), so that diffusers takes one step more, at timestep −1; here n steps are n.
    let step = (train_count - train_count / layout.count() as f64) - train_count;
    let places = (0..layout.count()).map(|i| train_count + i as f64 * step);
    let places = places.map(|place| {
        if layout.noise_model.is_discrete() {
            place.round_ties_even() - 1.0
        } else {
            place - 1.0
        }
    });
    Points::Places(places.collect())
}

/// `t` evenly from the top of the training grid to its bottom: diffusers.
pub(super) fn linspace(layout: &Layout<'_>) -> Points {
    let model = layout.noise_model;
    let count = layout.count() + layout.extra_points();
    if model.is_discrete() {
        // A single step is at the bottom: numpy's range of one is its start.
        let ramp = Ramp::new(0.0, model.top(), count);
        let places = (0..count).rev().take(layout.count());
        return Points::Places(places.map(|i| layout.round(ramp.at(i))).collect());
    }
    let ramp = Ramp::new(model.top(), model.bottom(), count);
    Points::Places((0..layout.count()).map(|i| ramp.at(i)).collect())
}

/// `t` evenly from the top to the bottom, both included: k-diffusion's
/// `DiscreteSchedule.get_sigmas` (external.py), A1111's "Uniform" and "Normal", ComfyUI's
/// `normal_scheduler` (comfy/samplers.py), sd.cpp's `discrete`.
pub(super) fn normal(layout: &Layout<'_>) -> Points {
    evenly(layout, layout.count())
}

/// The same with a point more, which is left out at the clean end: sgm's `LegacyDDPMDiscretization`
/// as ComfyUI's `normal_scheduler(sgm=True)` and A1111's `sgm_uniform` (sd_schedulers.py) have it.
pub(super) fn sgm_uniform(layout: &Layout<'_>) -> Points {
    evenly(layout, layout.count() + 1)
}

/// The first n of `points` places from the top of the training grid to its bottom.
fn evenly(layout: &Layout<'_>, points: usize) -> Points {
    let model = layout.noise_model;
    let ramp = Ramp::new(model.top(), model.bottom(), points);
    let sigmas = (0..layout.count()).map(|i| model.sigma_between(ramp.at(i)));
    Points::to_zero(sigmas.collect())
}

/// `t_i = T − 1 − ⌊i·T/n⌋`: ComfyUI's `simple_scheduler`, A1111's and sd.cpp's "Simple".
pub(super) fn simple(layout: &Layout<'_>) -> Points {
    let model = layout.noise_model;
    let stride = model.train_count() / layout.count() as f64;
    let places = (0..layout.count()).map(|i| model.top() - (i as f64 * stride).floor());
    Points::Places(places.collect())
}

/// `t = 1, 1 + ⌊T/n⌋, …` below T: ComfyUI's `ddim_scheduler`, and A1111's DDIM and PLMS
/// (`get_timesteps` of sd_samplers_timesteps.py). Where n does not divide T that is a step or more
/// beyond n, as it is there: 7 steps of 1000 are 8.
pub(super) fn ddim_uniform(layout: &Layout<'_>) -> Points {
    let train_steps = layout.noise_model.train_steps();
    let stride = (train_steps / layout.count()).max(1);
    let places: Vec<f64> = (1..train_steps)
        .step_by(stride)
        .map(|place| place as f64)
        .collect();
    Points::Places(places.into_iter().rev().collect())
}

/// Quantiles of the beta distribution with both parameters 0.6: Lee et al. 2024 (arXiv 2407.12173).
///
/// ComfyUI's `beta_scheduler` takes them for timesteps, rounds, and drops those that come twice, so
/// many steps may be fewer than asked for. diffusers' `_convert_to_beta` and A1111's
/// `beta_scheduler` take them for noise levels between the model's ends.
pub(super) fn beta(layout: &Layout<'_>) -> Points {
    let (model, count) = (layout.noise_model, layout.count());
    match layout.options.rules {
        SigmaRules::Comfy => {
            let step = 1.0 / count as f64;
            let shares = (0..count).map(|i| quantile(1.0 - i as f64 * step));
            let places = shares.map(|share| (share * model.top()).round_ties_even());
            let mut places: Vec<f64> = places.collect();
            places.dedup();
            Points::Places(places)
        }
        SigmaRules::Diffusers | SigmaRules::KDiffusion => {
            let (low, high) = (model.sigma_min(), model.sigma_max());
            let ramp = Ramp::new(0.0, 1.0, count);
            let shares = (0..count).map(|i| quantile(1.0 - ramp.at(i)));
            Points::to_zero(shares.map(|share| low + share * (high - low)).collect())
        }
    }
}
