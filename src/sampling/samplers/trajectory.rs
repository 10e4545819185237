//! What samplers make rows of, and the arithmetic that they share.

use crate::sampling::table::{Combination, Entry, HISTORY, Row};
use crate::sampling::{Level, NoiseModel, Prediction, Space, Timesteps};

/// A place where the network is evaluated.
#[derive(Clone, Copy, Debug)]
pub(in crate::sampling) struct Point {
    pub(in crate::sampling) sigma: f64,
    pub(in crate::sampling) timestep: f64,
    pub(in crate::sampling) level: Level,
}

/// What a sampler makes rows of: step i goes from `points[i]` to `ends[i]`.
#[derive(Debug)]
pub(in crate::sampling) struct Trajectory<'a> {
    pub(in crate::sampling) points: Vec<Point>,
    pub(in crate::sampling) ends: Vec<Level>,
    /// How many steps the run has, of which these are the last.
    pub(in crate::sampling) run_steps: usize,
    pub(in crate::sampling) prediction: Prediction,
    pub(in crate::sampling) guidance_scale: f64,
    pub(in crate::sampling) eta: f64,
    pub(in crate::sampling) noise_model: &'a NoiseModel,
    pub(in crate::sampling) space: Space,
    /// Whether the network may be asked between whole timesteps.
    pub(in crate::sampling) timesteps: Timesteps,
}

/// An update as papers write it, of latents that are signal plus σ times noise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Update {
    pub(super) x: f64,
    pub(super) saved: f64,
    pub(super) past: [f64; HISTORY],
    pub(super) noise: f64,
}

impl Update {
    /// `x' = x·x + denoised·D`.
    pub(super) fn of(x: f64, denoised: f64) -> Self {
        let mut update = Self {
            x,
            ..Self::default()
        };
        update.past[0] = denoised;
        update
    }

    /// The same with so much noise.
    pub(super) fn with_noise(self, noise: f64) -> Self {
        Self { noise, ..self }
    }

    /// The same in the space of `to`, for a latent at `x` and a saved one at `saved`.
    pub(super) fn between(self, x: Level, saved: Level, to: Level) -> Combination {
        Combination {
            x: to.signal * self.x / x.signal,
            saved: to.signal * self.saved / saved.signal,
            past: self.past.map(|factor| to.signal * factor),
            noise: to.signal * self.noise,
        }
    }
}

/// A step of the trajectory, with noise levels as the ratio of noise to signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) index: usize,
    pub(super) point: Point,
    pub(super) end: Level,
    /// Where it begins.
    pub(super) from: f64,
    /// Where it ends.
    pub(super) to: f64,
}

impl Step {
    /// How far it goes in λ, the logarithm of the ratio of signal to noise: ∞ to the clean latent.
    pub(super) fn lambda(&self) -> f64 {
        (self.from / self.to).ln()
    }
}

/// The ratio of noise to signal.
pub(super) fn ratio(level: Level) -> f64 {
    level.noise / level.signal
}

impl Trajectory<'_> {
    /// The steps in order.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        let steps = self.points.iter().zip(&self.ends).enumerate();
        steps.map(|(index, (&point, &end))| Step {
            index,
            point,
            end,
            from: ratio(point.level),
            to: ratio(end),
        })
    }

    /// The rows of a sampler that takes each step alone.
    pub(super) fn rows_of_steps(&self, rows: fn(&Self, &Step) -> Vec<Row>) -> Vec<Row> {
        self.steps().flat_map(|step| rows(self, &step)).collect()
    }

    /// The place of evaluation at a noise level that is no step's own, a ratio of noise to signal.
    pub(super) fn at(&self, sigma: f64) -> Point {
        let timestep = self.noise_model.timestep(sigma);
        Point {
            sigma,
            timestep: match self.timesteps {
                Timesteps::Whole => timestep.round_ties_even(),
                Timesteps::Fractional => timestep,
            },
            level: self.space.level(sigma),
        }
    }

    /// A row of a step that evaluates the network at `point` and has no update yet.
    pub(super) fn evaluation(&self, step: usize, point: Point) -> Row {
        let scalings = self.prediction.scalings(point.level);
        Row {
            step,
            sigma: point.sigma,
            timestep: point.timestep,
            c_in: scalings.c_in,
            c_skip: scalings.c_skip,
            c_out: scalings.c_out,
            guidance_scale: self.guidance_scale,
            guidance_rescale: 0.0,
            entry: Entry::DENOISED,
            remembered: true,
            next: Combination::default(),
            keep: None,
            noise_interval: [0.0; 2],
        }
    }

    /// The one row of a step, with its update.
    pub(super) fn row(&self, step: &Step, update: Update) -> Row {
        let level = step.point.level;
        Row {
            next: update.between(level, level, step.end),
            noise_interval: [step.from, step.to],
            ..self.evaluation(step.index, step.point)
        }
    }

    /// The rows of a step that is taken through a point within it: `first` leads there, `second`
    /// from there to the end, with the step's start as the saved latent.
    pub(super) fn rows_through(
        &self,
        step: &Step,
        middle: Point,
        first: Update,
        second: Update,
    ) -> [Row; 2] {
        let from = step.point.level;
        let start = Row {
            next: first.between(from, from, middle.level),
            keep: Some(Combination {
                x: 1.0,
                ..Combination::default()
            }),
            noise_interval: [step.from, ratio(middle.level)],
            ..self.evaluation(step.index, step.point)
        };
        let finish = Row {
            next: second.between(middle.level, from, step.end),
            noise_interval: [step.from, step.to],
            ..self.evaluation(step.index, middle)
        };
        [start, finish]
    }

    /// What makes a row's entry the noise that is in its latent, `(x − signal · D) / noise`.
    pub(super) fn noise_entry(point: Point) -> Entry {
        let Level { signal, noise } = point.level;
        Entry {
            x: 1.0 / noise,
            denoised: -signal / noise,
        }
    }

    /// The rows of a sampler that takes every step to the first order.
    pub(super) fn first_order_rows(&self) -> Vec<Row> {
        self.steps().map(|step| self.first_order(&step)).collect()
    }

    /// The row of a step to the first order.
    pub(super) fn first_order(&self, step: &Step) -> Row {
        self.first_order_with(step, self.eta)
    }

    /// The same with another eta.
    pub(super) fn first_order_with(&self, step: &Step, eta: f64) -> Row {
        let update = FirstOrder::between(step.point.level, step.end, eta);
        Row {
            noise_interval: [step.from, step.to],
            ..update.apply_to(self.evaluation(step.index, step.point))
        }
    }
}

/// How a step of an ancestral sampler is divided: down to a lower level, and up again by noise.
/// k-diffusion's `get_ancestral_step`.
pub(super) fn ancestral(from: f64, to: f64, eta: f64) -> (f64, f64) {
    let up = (eta
        * (to * to * (from * from - to * to) / (from * from))
            .max(0.0)
            .sqrt())
    .min(to);
    ((to * to - up * up).max(0.0).sqrt(), up)
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
        row.next.x = self.x;
        row.next.past[0] = self.denoised;
        row.next.noise = self.noise;
        row
    }
}
