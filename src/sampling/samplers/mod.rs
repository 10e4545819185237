//! The samplers: how to go from one noise level to the next.
//!
//! One file each. A sampler sees a latent only as a [`Level`] (so much signal, so much noise), and
//! its formulas hold in every space it is used in: nothing is written twice for the
//! variance-exploding and the variance-preserving convention.

mod ddim;
mod dpmpp_2m;
mod euler;
mod euler_ancestral;
mod heun;

use super::{
    Grid, HISTORY, Level, Prediction, Row, Space,
    registry::{self, Entry},
};
use crate::error::Result;

/// A named way to go from one noise level to the next.
#[derive(Debug)]
pub struct Sampler {
    /// The name, as requests and the command line have it.
    pub name: &'static str,
    /// What A1111, ComfyUI, sd.cpp and diffusers call it.
    pub aliases: &'static [&'static str],
    /// What it is good for, in one line.
    pub summary: &'static str,
    /// Where it was published.
    pub reference: &'static str,
    /// The space of its latents, except with flow models, which have their own.
    pub space: Space,
    /// How it takes a schedule.
    pub grid: Grid,
    /// The default of eta, which is how much of the removed noise is replaced by fresh noise;
    /// `None` where the sampler adds none.
    pub eta: Option<f64>,
    rows: fn(&Trajectory) -> Vec<Row>,
}

/// All samplers, the oldest first.
pub static SAMPLERS: &[Sampler] = &[
    ddim::SAMPLER,
    euler::SAMPLER,
    euler_ancestral::SAMPLER,
    heun::SAMPLER,
    dpmpp_2m::SAMPLER,
];

impl Sampler {
    /// The sampler of this name or alias, however capitalised and spaced.
    ///
    /// # Errors
    ///
    /// [`Error::Request`](crate::error::Error::Request) with the known names, the nearest first.
    pub fn find(name: &str) -> Result<&'static Self> {
        registry::find("sampler", SAMPLERS, name)
    }

    pub(super) fn rows(&self, trajectory: &Trajectory) -> Vec<Row> {
        (self.rows)(trajectory)
    }
}

impl Entry for Sampler {
    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }
}

/// A place where the network is evaluated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) sigma: f64,
    pub(super) timestep: f64,
    pub(super) level: Level,
}

/// What a sampler makes rows of: step i goes from `points[i]` to `ends[i]`.
#[derive(Debug)]
pub(super) struct Trajectory {
    pub(super) points: Vec<Point>,
    pub(super) ends: Vec<Level>,
    /// The noise levels of `ends`.
    pub(super) end_sigmas: Vec<f64>,
    pub(super) prediction: Prediction,
    pub(super) guidance_scale: f64,
    pub(super) eta: f64,
}

impl Trajectory {
    /// The steps in order: number, start and end.
    fn steps(&self) -> impl Iterator<Item = (usize, Point, Level)> {
        let steps = self.points.iter().zip(&self.ends).enumerate();
        steps.map(|(step, (&point, &end))| (step, point, end))
    }

    /// A row of `step` that evaluates the network at `point` and has no update yet.
    fn evaluation(&self, step: usize, point: Point) -> Row {
        let scalings = self.prediction.scalings(point.level);
        Row {
            step,
            sigma: point.sigma,
            timestep: point.timestep,
            c_in: scalings.c_in,
            c_skip: scalings.c_skip,
            c_out: scalings.c_out,
            guidance_scale: self.guidance_scale,
            x: 0.0,
            saved: 0.0,
            denoised: [0.0; HISTORY],
            noise: 0.0,
            noise_interval: [self.points[step].sigma, self.end_sigmas[step]],
            save: false,
        }
    }

    /// The rows of a sampler that takes every step to the first order.
    fn first_order_rows(&self) -> Vec<Row> {
        let steps = self.steps();
        steps
            .map(|(step, point, end)| {
                let update = FirstOrder::between(point.level, end, self.eta);
                update.apply_to(self.evaluation(step, point))
            })
            .collect()
    }
}

/// The step that takes `D` for the clean latent all the way: `x' = x·x + denoised·D + noise·n`.
struct FirstOrder {
    x: f64,
    denoised: f64,
    noise: f64,
}

impl FirstOrder {
    /// From the level (a, b) of signal and noise to (a', b'), with fresh noise in the measure `eta`.
    ///
    /// The noise in `x` is `n̂ = (x − a·D)/b`, and the new latent `a'·D + b_down·n̂ + b_up·n` where
    /// `b_down² + b_up² = b'²`. Song et al. 2021 (DDIM, arXiv 2010.02502), eq. 12 and 16; with a = 1
    /// it is Euler's step (`eta` 0) and k-diffusion's `get_ancestral_step` (`eta` 1), which that
    /// choice of b_up makes the posterior of the diffusion.
    fn between(from: Level, to: Level, eta: f64) -> Self {
        // The share of the noise-to-signal ratio that is left; all of it where a flow model's
        // step starts and ends at noise alone.
        let q = if to.signal == 0.0 {
            1.0
        } else {
            (to.noise * from.signal) / (to.signal * from.noise)
        };
        let up = (eta * to.noise * (1.0 - q * q).max(0.0).sqrt()).min(to.noise);
        let down = (to.noise * to.noise - up * up).max(0.0).sqrt();
        let x = down / from.noise;
        Self {
            x,
            denoised: to.signal - from.signal * x,
            noise: up,
        }
    }

    fn apply_to(self, mut row: Row) -> Row {
        row.x = self.x;
        row.denoised[0] = self.denoised;
        row.noise = self.noise;
        row
    }
}
