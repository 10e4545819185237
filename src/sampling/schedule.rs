//! Which noise levels a run visits.
//!
//! The three spacings of timesteps are those of Lin et al. 2024 (arXiv 2305.08891), table 2, and
//! of diffusers' `timestep_spacing`. diffusers' schedulers do not agree on what a spacing means;
//! those differences are data of the sampler ([`Grid`]). Checked against diffusers 0.42.1.

use super::{
    NoiseModel, Space,
    noise_model::Ramp,
    registry::{self, Entry},
    samplers::Point,
};
use crate::error::Result;

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

/// How a sampler takes a schedule, as diffusers' scheduler of its name does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Which points `linspace` and `leading` lay out.
    pub points: PointCount,
    /// Whether timesteps between the whole ones are used.
    pub timesteps: Timesteps,
    /// Where a step ends.
    pub step_end: StepEnd,
}

/// Which points `linspace` and `leading` lay out over the training grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointCount {
    /// One for each step.
    Steps,
    /// One for each step and one more at the clean end, where the network is not evaluated.
    StepsAndEnd,
}

/// Whether timesteps between the whole ones are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timesteps {
    /// The nearest whole timestep, a tie going to the even one; the noise level of a schedule of
    /// noise levels stays as it is.
    Whole,
    /// Any.
    Fractional,
}

/// Where a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// At the next step's noise level; the last step at 0.
    NextPoint,
    /// At the timestep ⌊train steps ÷ steps⌋ below, whatever the next step's is; the last step at
    /// the noise level of timestep 0. So DDIM in diffusers (`set_alpha_to_one = false`), whose
    /// steps therefore leave small gaps with all spacings but `leading`. With schedules of noise
    /// levels, and for flow models, the same as [`NextPoint`](Self::NextPoint).
    Stride,
}

impl Grid {
    /// Of k-diffusion's samplers and diffusers' ports of them.
    pub const K_DIFFUSION: Self = Self {
        points: PointCount::Steps,
        timesteps: Timesteps::Fractional,
        step_end: StepEnd::NextPoint,
    };
    /// Of diffusers' `DDIMScheduler`.
    pub const DDIM: Self = Self {
        points: PointCount::Steps,
        timesteps: Timesteps::Whole,
        step_end: StepEnd::Stride,
    };
    /// Of diffusers' `DPMSolverMultistepScheduler`.
    pub const DPM_SOLVER: Self = Self {
        points: PointCount::StepsAndEnd,
        timesteps: Timesteps::Whole,
        step_end: StepEnd::NextPoint,
    };
}

/// What the first latent of a schedule is taken for, in the variance-exploding space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialNoise {
    /// Noise alone: scaled by σ.
    Noise,
    /// A noised picture, since the first level is below the noisiest: scaled by √(σ² + 1).
    Marginal,
}

/// A named way to space the noise levels of a run.
#[derive(Debug)]
pub struct Spacing {
    /// The name, as requests and the command line have it.
    pub name: &'static str,
    /// Names of the same spacing elsewhere. Some differ from it by the rounding of timesteps; and with
    /// a sampler whose grid has one point more than steps ([`Grid`]), such as `dpmpp_2m`, levels are
    /// diffusers', where k-diffusion's users also visit the last one.
    pub aliases: &'static [&'static str],
    /// What it does, in one line.
    pub summary: &'static str,
    /// What the first latent is taken for.
    pub initial: InitialNoise,
    points: fn(&Layout<'_>) -> Points,
}

/// All schedules, the ones of the network's own timesteps first.
pub static SCHEDULES: &[Spacing] = &[
    Spacing {
        name: "leading",
        aliases: &["ddim", "ddim_uniform"],
        summary: "every k-th timestep from the clean end up, so the noisiest stays unvisited",
        initial: InitialNoise::Marginal,
        points: leading,
    },
    Spacing {
        name: "trailing",
        aliases: &["simple", "sgm_uniform"],
        summary: "every k-th timestep from the noisiest down",
        initial: InitialNoise::Noise,
        points: trailing,
    },
    Spacing {
        name: "linspace",
        aliases: &["uniform", "normal", "discrete"],
        summary: "timesteps evenly from the noisiest to the cleanest, both included",
        initial: InitialNoise::Noise,
        points: linspace,
    },
    Spacing {
        name: "karras",
        aliases: &[],
        summary: "sigma^(1/7) evenly over the model's whole range (Karras et al. 2022, eq. 5)",
        initial: InitialNoise::Noise,
        points: karras,
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
        match (self.points)(layout) {
            Points::Places(places) => layout.schedule_of_places(&places),
            Points::Sigmas(sigmas) => layout.schedule_of_sigmas(sigmas),
        }
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

/// What a spacing returns, noisiest first.
enum Points {
    /// Places on the training grid. They may lie above its top, where the top is meant.
    Places(Vec<f64>),
    /// Noise levels.
    Sigmas(Vec<f64>),
}

/// What a schedule is laid out for.
pub(super) struct Layout<'a> {
    pub(super) noise_model: &'a NoiseModel,
    pub(super) grid: Grid,
    pub(super) steps: usize,
    pub(super) steps_offset: usize,
}

impl Layout<'_> {
    /// How many points come after those that are evaluated.
    fn extra_points(&self) -> usize {
        match self.grid.points {
            PointCount::Steps => 0,
            PointCount::StepsAndEnd => 1,
        }
    }

    /// A timestep or place as the sampler would have it.
    fn round(&self, timestep: f64) -> f64 {
        match self.grid.timesteps {
            Timesteps::Whole if self.noise_model.is_discrete() => timestep.round_ties_even(),
            _ => timestep,
        }
    }

    fn schedule_of_places(&self, places: &[f64]) -> Schedule {
        let model = self.noise_model;
        let mut sigmas: Vec<f64> = places.iter().map(|&place| model.sigma_at(place)).collect();
        let ends: Vec<f64> = match self.grid.step_end {
            StepEnd::Stride if model.is_discrete() => {
                let stride = (model.train_steps() / self.steps) as f64;
                places
                    .iter()
                    .map(|place| model.sigma_at(place - stride))
                    .collect()
            }
            _ => next_points(&sigmas),
        };
        sigmas.extend(ends.last());
        Schedule {
            sigmas,
            timesteps: places
                .iter()
                .map(|&place| model.timestep_at(place))
                .collect(),
            ends,
        }
    }

    fn schedule_of_sigmas(&self, mut sigmas: Vec<f64>) -> Schedule {
        let timesteps = sigmas.iter().map(|&sigma| self.noise_model.timestep(sigma));
        let timesteps = timesteps.map(|timestep| self.round(timestep)).collect();
        let ends = next_points(&sigmas);
        sigmas.extend(ends.last());
        Schedule {
            sigmas,
            timesteps,
            ends,
        }
    }
}

/// Each step's end where that is the next point; the last one ends at 0.
fn next_points(sigmas: &[f64]) -> Vec<f64> {
    sigmas.iter().skip(1).copied().chain([0.0]).collect()
}

/// `t_i = i·⌊T/n⌋ + offset`.
fn leading(layout: &Layout<'_>) -> Points {
    let extra = layout.extra_points();
    // diffusers' DPM-Solver divides to 0 when n = T; one timestep is the least there is.
    let stride = (layout.noise_model.train_steps() / (layout.steps + extra)).max(1);
    let places = (extra..layout.steps + extra).rev();
    Points::Places(
        places
            .map(|i| (i * stride) as f64 + layout.steps_offset as f64)
            .collect(),
    )
}

/// `t_i = round(T − i·T/n) − 1`; a flow model's are not rounded.
fn trailing(layout: &Layout<'_>) -> Points {
    let train_count = layout.noise_model.train_count();
    // As numpy's `arange(T, 0, -T/n)` rounds. That gives one number too many for some n (61 is the
    // first), so that diffusers takes one step more, at timestep −1; here n steps are n.
    let step = (train_count - train_count / layout.steps as f64) - train_count;
    let places = (0..layout.steps).map(|i| train_count + i as f64 * step);
    let places = places.map(|place| {
        if layout.noise_model.is_discrete() {
            place.round_ties_even() - 1.0
        } else {
            place - 1.0
        }
    });
    Points::Places(places.collect())
}

/// `t` evenly from the top of the training grid to its bottom.
fn linspace(layout: &Layout<'_>) -> Points {
    let model = layout.noise_model;
    let count = layout.steps + layout.extra_points();
    if model.is_discrete() {
        // A single step is at the bottom: numpy's range of one is its start.
        let ramp = Ramp::new(0.0, model.top(), count);
        let places = (0..count).rev().take(layout.steps);
        return Points::Places(places.map(|i| layout.round(ramp.at(i))).collect());
    }
    // diffusers' flow scheduler counts from the top, down to the lowest noise level after the
    // shift, and then shifts again.
    let bottom = model.sigma_min() * model.train_count() - 1.0;
    let ramp = Ramp::new(model.top(), bottom, count);
    Points::Places((0..layout.steps).map(|i| ramp.at(i)).collect())
}

/// `σ_i = (σ_max^(1/ρ) + i/(n − 1)·(σ_min^(1/ρ) − σ_max^(1/ρ)))^ρ`, ρ = 7: Karras et al. 2022
/// (arXiv 2206.00364), eq. 5, as k-diffusion's `get_sigmas_karras`.
fn karras(layout: &Layout<'_>) -> Points {
    const RHO: f64 = 7.0;
    let root = |sigma: f64| sigma.powf(1.0 / RHO);
    let model = layout.noise_model;
    let ramp = Ramp::new(
        root(model.sigma_max()),
        root(model.sigma_min()),
        layout.steps,
    );
    Points::Sigmas((0..layout.steps).map(|i| ramp.at(i).powf(RHO)).collect())
}
