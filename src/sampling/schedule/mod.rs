//! Which noise levels a run visits.
//!
//! Each schedule means what the program that named it does under that name: the three spacings of
//! diffusers (Lin et al. 2024, arXiv 2305.08891, table 2), k-diffusion's and ComfyUI's. Where two
//! programs do different things under one name, [`SigmaRules`](super::SigmaRules) decide.
//!
//! `normal` and `linspace` are easily taken for one another: both go evenly from the last timestep
//! to the first, but a level between two timesteps is interpolated in log σ by the former
//! (k-diffusion) and in σ by the latter (diffusers).

mod beta;
mod grid;
mod layout;
mod levels;
mod timesteps;

use super::{
    Space,
    registry::{self, Entry},
    samplers::Point,
};
use crate::error::Result;

pub use self::grid::{Grid, PointCount, StepEnd, Timesteps};
pub(super) use self::layout::Layout;
use self::layout::Points;
pub use self::levels::AlignYourSteps;
pub(super) use self::levels::karras_levels;

/// The noise levels of a run of n steps, from the noisiest down.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// n + 1 noise levels: where the network is evaluated, and the last one, where the run ends.
    pub sigmas: Vec<f64>,
    /// n timesteps, as the network is told them.
    pub timesteps: Vec<f64>,
    /// n noise levels: where each step goes. They are `sigmas[1..]` but for [`StepEnd::Stride`].
    pub ends: Vec<f64>,
}

impl Schedule {
    /// The places of evaluation, with the levels they have in `space`.
    pub(super) fn points(&self, space: Space) -> Vec<Point> {
        let points = self.sigmas.iter().zip(&self.timesteps);
        points
            .map(|(&sigma, &timestep)| Point {
                sigma,
                timestep,
                level: space.level(sigma),
            })
            .collect()
    }
}

/// What the first latent of a schedule is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialNoise {
    /// Noise alone: scaled by its standard deviation at the first level, σ where the variance explodes.
    Noise,
    /// A noised picture, since some signal is left at the first level: scaled by √(σ² + 1) where
    /// the variance explodes, and by 1 where it is preserved.
    Marginal,
}

/// A named way to space the noise levels of a run.
#[derive(Debug)]
pub struct Spacing {
    /// The name, as requests and the command line have it.
    pub name: &'static str,
    /// Names of the same schedule in other programs.
    pub aliases: &'static [&'static str],
    /// What it does, in one line.
    pub summary: &'static str,
    /// What diffusers takes the first latent for.
    pub initial: InitialNoise,
    points: fn(&Layout<'_>) -> Points,
}

/// All schedules: diffusers' spacings of the network's own timesteps, then ComfyUI's and
/// k-diffusion's, then those of noise levels.
pub static SCHEDULES: &[Spacing] = &[
    Spacing {
        name: "leading",
        aliases: &[],
        summary: "every k-th timestep from the clean end up, so the noisiest stays unvisited",
        initial: InitialNoise::Marginal,
        points: timesteps::leading,
    },
    Spacing {
        name: "trailing",
        aliases: &[],
        summary: "every k-th timestep from the noisiest down",
        initial: InitialNoise::Noise,
        points: timesteps::trailing,
    },
    Spacing {
        name: "linspace",
        aliases: &[],
        summary: "timesteps evenly from the noisiest to the cleanest, as diffusers interpolates",
        initial: InitialNoise::Noise,
        points: timesteps::linspace,
    },
    Spacing {
        name: "normal",
        aliases: &["uniform", "discrete"],
        summary: "timesteps evenly from the noisiest to the cleanest, as k-diffusion interpolates",
        initial: InitialNoise::Noise,
        points: timesteps::normal,
    },
    Spacing {
        name: "simple",
        aliases: &[],
        summary: "every k-th noise level of the training from the noisiest down",
        initial: InitialNoise::Noise,
        points: timesteps::simple,
    },
    Spacing {
        name: "sgm_uniform",
        aliases: &[],
        summary: "as normal with one step more, which is left out at the clean end",
        initial: InitialNoise::Noise,
        points: timesteps::sgm_uniform,
    },
    Spacing {
        name: "ddim_uniform",
        aliases: &["ddim"],
        summary: "every k-th timestep from 1 up, however many those are: a step more for some counts",
        initial: InitialNoise::Noise,
        points: timesteps::ddim_uniform,
    },
    Spacing {
        name: "lcm",
        aliases: &[],
        summary: "the timesteps of latent and trajectory consistency models",
        initial: InitialNoise::Noise,
        points: timesteps::lcm,
    },
    Spacing {
        name: "beta",
        aliases: &["use_beta_sigmas"],
        summary: "dense at both ends, by the beta distribution (Lee et al. 2024)",
        initial: InitialNoise::Noise,
        points: timesteps::beta,
    },
    Spacing {
        name: "karras",
        aliases: &["use_karras_sigmas"],
        summary: "sigma^(1/7) evenly over the model's whole range (Karras et al. 2022, eq. 5)",
        initial: InitialNoise::Noise,
        points: levels::karras,
    },
    Spacing {
        name: "exponential",
        aliases: &["use_exponential_sigmas"],
        summary: "log sigma evenly over the model's whole range",
        initial: InitialNoise::Noise,
        points: levels::exponential,
    },
    Spacing {
        name: "polyexponential",
        aliases: &[],
        summary: "log sigma by a power rho of the way; at rho 1, its default, the same as exponential",
        initial: InitialNoise::Noise,
        points: levels::polyexponential,
    },
    Spacing {
        name: "kl_optimal",
        aliases: &[],
        summary: "the arc tangent of sigma evenly (Sabour et al. 2024, section 3)",
        initial: InitialNoise::Noise,
        points: levels::kl_optimal,
    },
    Spacing {
        name: "linear_quadratic",
        aliases: &[],
        summary: "small steps at the noisy end, quadratically larger after half of them (Mochi)",
        initial: InitialNoise::Noise,
        points: levels::linear_quadratic,
    },
    Spacing {
        name: "align_your_steps",
        aliases: &["ays"],
        summary: "levels optimised for Stable Diffusion 1.5 or XL, for few steps (Sabour et al. 2024)",
        initial: InitialNoise::Noise,
        points: levels::align_your_steps,
    },
];

impl Spacing {
    /// The schedule of this name or alias, however capitalised and spaced.
    ///
    /// # Errors
    ///
    /// [`Error::Request`](crate::error::Error::Request) with the known names, the nearest first.
    pub fn find(name: &str) -> Result<&'static Self> {
        registry::find("schedule", SCHEDULES, name)
    }

    /// The schedule of a run.
    pub(super) fn lay(&self, layout: &Layout<'_>) -> Schedule {
        layout.schedule((self.points)(layout))
    }
}

impl Entry for Spacing {
    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }
}
