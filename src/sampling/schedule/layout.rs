//! From points, as a schedule gives them, to the noise levels and timesteps of a run.

use super::{Grid, PointCount, Schedule, StepEnd, Timesteps};
use crate::sampling::{NoiseModel, Options};

/// What a schedule returns, noisiest first.
pub(super) enum Points {
    /// Places on the training grid. They may lie above its top, where the top is meant.
    Places(Vec<f64>),
    /// Noise levels, and the one where the run ends.
    Sigmas { evaluated: Vec<f64>, end: f64 },
}

impl Points {
    /// Noise levels of a run that ends at the clean latent.
    pub(super) fn to_zero(evaluated: Vec<f64>) -> Self {
        Self::Sigmas {
            evaluated,
            end: 0.0,
        }
    }
}

/// What a schedule is laid out for.
pub(in crate::sampling) struct Layout<'a> {
    pub(in crate::sampling) noise_model: &'a NoiseModel,
    pub(in crate::sampling) grid: Grid,
    pub(in crate::sampling) steps: usize,
    pub(in crate::sampling) options: &'a Options,
    /// How many of the last points are laid out and then left out.
    pub(in crate::sampling) discarded: usize,
}

impl Layout<'_> {
    /// How many points are laid out to be evaluated.
    pub(super) fn count(&self) -> usize {
        self.steps + self.discarded
    }

    /// How many points come after those that are evaluated.
    pub(super) fn extra_points(&self) -> usize {
        match self.grid.points {
            PointCount::Steps => 0,
            PointCount::StepsAndEnd => 1,
        }
    }

    /// A timestep or place as the sampler would have it.
    pub(super) fn round(&self, timestep: f64) -> f64 {
        match self.grid.timesteps {
            Timesteps::Whole if self.noise_model.is_discrete() => timestep.round_ties_even(),
            _ => timestep,
        }
    }

    pub(super) fn schedule(&self, points: Points) -> Schedule {
        match points {
            Points::Places(mut places) => {
                places.truncate(places.len() - self.discarded);
                self.schedule_of_places(&places)
            }
            Points::Sigmas { mut evaluated, end } => {
                evaluated.truncate(evaluated.len() - self.discarded);
                self.schedule_of_sigmas(evaluated, end)
            }
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
            _ => next_points(&sigmas, 0.0),
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

    /// The schedule of a run through `sigmas`, which are evaluated, to `end`.
    pub(in crate::sampling) fn schedule_of_sigmas(
        &self,
        mut sigmas: Vec<f64>,
        end: f64,
    ) -> Schedule {
        let timesteps = sigmas.iter().map(|&sigma| self.noise_model.timestep(sigma));
        let timesteps = timesteps.map(|timestep| self.round(timestep)).collect();
        let ends = next_points(&sigmas, end);
        sigmas.push(end);
        Schedule {
            sigmas,
            timesteps,
            ends,
        }
    }
}

/// Each step's end where that is the next point; the last one's is `end`.
fn next_points(sigmas: &[f64], end: f64) -> Vec<f64> {
    sigmas.iter().skip(1).copied().chain([end]).collect()
}
