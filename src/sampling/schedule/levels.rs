//! Schedules that are laid out over noise levels.

use super::layout::{Layout, Points};
use crate::sampling::{
    SigmaRules,
    noise_model::{Ramp, interpolate},
};

/// `σ_i = (σ_max^(1/ρ) + i/(n − 1)·(σ_min^(1/ρ) − σ_max^(1/ρ)))^ρ`, ρ = 7: Karras et al. 2022
/// (arXiv 2206.00364), eq. 5, as k-diffusion's `get_sigmas_karras`.
pub(super) fn karras(layout: &Layout<'_>) -> Points {
    const RHO: f64 = 7.0;
    let rho = layout.options.rho.unwrap_or(RHO);
    let model = layout.noise_model;
    let (high, low) = (model.sigma_max(), model.sigma_min());
    Points::to_zero(karras_levels(layout.count(), high, low, rho))
}

/// `count` noise levels from `high` down to `low`, evenly in `σ^(1/rho)`.
pub(in crate::sampling) fn karras_levels(count: usize, high: f64, low: f64, rho: f64) -> Vec<f64> {
    let root = |sigma: f64| sigma.powf(1.0 / rho);
    let ramp = Ramp::new(root(high), root(low), count);
    (0..count).map(|i| ramp.at(i).powf(rho)).collect()
}

/// `ln σ` evenly: k-diffusion's `get_sigmas_exponential`.
pub(super) fn exponential(layout: &Layout<'_>) -> Points {
    let model = layout.noise_model;
    let ramp = Ramp::new(
        model.sigma_max().ln(),
        model.sigma_min().ln(),
        layout.count(),
    );
    Points::to_zero((0..layout.count()).map(|i| ramp.at(i).exp()).collect())
}

/// `ln σ_i = ln σ_min + (1 − i/(n − 1))^ρ·(ln σ_max − ln σ_min)`, ρ = 1: k-diffusion's
/// `get_sigmas_polyexponential`.
pub(super) fn polyexponential(layout: &Layout<'_>) -> Points {
    const RHO: f64 = 1.0;
    let rho = layout.options.rho.unwrap_or(RHO);
    let model = layout.noise_model;
    let (low, high) = (model.sigma_min().ln(), model.sigma_max().ln());
    let ramp = Ramp::new(1.0, 0.0, layout.count());
    let sigmas = (0..layout.count()).map(|i| (ramp.at(i).powf(rho) * (high - low) + low).exp());
    Points::to_zero(sigmas.collect())
}

/// `arctan σ` evenly: Sabour et al. 2024 (arXiv 2404.14507), section 3.
///
/// A1111's `kl_optimal` (sd_schedulers.py) goes from σ_max to σ_min and ends there, with that much
/// noise left; ComfyUI's `kl_optimal_scheduler` evaluates at σ_min too and ends at 0.
pub(super) fn kl_optimal(layout: &Layout<'_>) -> Points {
    let model = layout.noise_model;
    let (high, low) = (model.sigma_max().atan(), model.sigma_min().atan());
    let sigmas = |ramp: Ramp| (0..layout.count()).map(|i| ramp.at(i).tan()).collect();
    match layout.options.rules {
        SigmaRules::KDiffusion => Points::Sigmas {
            evaluated: sigmas(Ramp::new(high, low, layout.count() + 1)),
            end: model.sigma_min(),
        },
        SigmaRules::Comfy | SigmaRules::Diffusers => {
            Points::to_zero(sigmas(Ramp::new(high, low, layout.count())))
        }
    }
}

/// A first half of small even steps from σ_max, and a quadratic second half to 0: Genmo's Mochi
/// (mochi_preview/infer.py, `linear_quadratic_schedule`), as ComfyUI scales it to σ_max.
pub(super) fn linear_quadratic(layout: &Layout<'_>) -> Points {
    /// How much of the way the first half covers.
    const LINEAR_SHARE: f64 = 0.025;
    let sigma_max = layout.noise_model.sigma_max();
    let linear_steps = layout.count() / 2;
    if linear_steps == 0 {
        return Points::to_zero(vec![sigma_max]);
    }
    let (linear, quadratic) = (linear_steps as f64, (layout.count() - linear_steps) as f64);
    let slope = LINEAR_SHARE / linear;
    // The parabola through the end of the first half, with its slope there, and through 1 at n.
    let excess = linear - LINEAR_SHARE * layout.count() as f64;
    let square = excess / (linear * quadratic * quadratic);
    let sloping = slope - 2.0 * excess / (quadratic * quadratic);
    let constant = square * linear * linear;
    let way = (0..layout.count()).map(|i| {
        let place = i as f64;
        if i < linear_steps {
            place * slope
        } else {
            square * place * place + sloping * place + constant
        }
    });
    Points::to_zero(way.map(|way| (1.0 - way) * sigma_max).collect())
}

/// For which network `align_your_steps` was optimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlignYourSteps {
    /// Stable Diffusion 1.5.
    #[default]
    StableDiffusion,
    /// Stable Diffusion XL.
    StableDiffusionXl,
}

/// Ten steps and the end of the range, as their authors publish them, to three digits
/// (research.nvidia.com/labs/toronto-ai/AlignYourSteps/howto.html); diffusers and A1111 have these.
const PUBLISHED: [[f64; 11]; 2] = [
    [
        14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029,
    ],
    [
        14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029,
    ],
];

/// The same at the nearest timesteps of the training, as ComfyUI (comfy_extras/nodes_align_your_steps.py)
/// and sd.cpp (denoiser.hpp) have them.
const AT_TIMESTEPS: [[f64; 11]; 2] = [
    [
        14.6146412293,
        6.4745760956,
        3.8636745985,
        2.6946151520,
        1.8841921177,
        1.3943805092,
        0.9642583904,
        0.6523686016,
        0.3977456272,
        0.1515232662,
        0.0291671582,
    ],
    [
        14.6146412293,
        6.3184485287,
        3.7681790315,
        2.1811480769,
        1.3405244945,
        0.8620721141,
        0.5550693289,
        0.3798540708,
        0.2332364134,
        0.1114188177,
        0.0291671582,
    ],
];

/// A table of optimised levels, interpolated in log σ: Sabour et al. 2024 (arXiv 2404.14507).
///
/// A1111's `get_align_your_steps_sigmas` evaluates at the last level too and goes on to 0; ComfyUI
/// and diffusers go to 0 instead of the last level.
pub(super) fn align_your_steps(layout: &Layout<'_>) -> Points {
    let network = layout.options.align_your_steps as usize;
    let (table, points) = match layout.options.rules {
        SigmaRules::KDiffusion => (PUBLISHED[network], layout.count()),
        SigmaRules::Diffusers => (PUBLISHED[network], layout.count() + 1),
        SigmaRules::Comfy => (AT_TIMESTEPS[network], layout.count() + 1),
    };
    let logs: Vec<f64> = table.iter().rev().map(|sigma| sigma.ln()).collect();
    // From the clean end up, so a single point is the last level, as it is in A1111.
    let ramp = Ramp::new(0.0, (logs.len() - 1) as f64, points);
    let sigmas = (0..points).rev().take(layout.count());
    Points::to_zero(
        sigmas
            .map(|i| interpolate(&logs, ramp.at(i)).exp())
            .collect(),
    )
}
