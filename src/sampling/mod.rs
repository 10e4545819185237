//! Samplers, schedules, predictions and noise: everything about a run that is known before it.
//!
//! A sampler is a [`Table`]: a list of [`Row`]s of scalars, made here in f64 and executed by
//! whoever holds the latents. Four axes combine freely: the [`NoiseModel`] and [`Prediction`] of
//! the network, the schedule ([`SCHEDULES`]: which noise levels are visited) and the sampler
//! ([`SAMPLERS`]: how to go from one to the next). [`build`] joins them.
//!
//! ```
//! use aquatint::sampling::{NoiseModel, Options, Prediction, build};
//!
//! let model = NoiseModel::scaled_linear(0.00085, 0.012, 1000)?;
//! let table = build(&model, Prediction::Epsilon, "euler_a", "karras", 20, 7.5, &Options::default())?;
//! assert_eq!((table.step_count(), table.noise_count()), (20, 19));
//! # Ok::<(), aquatint::Error>(())
//! ```
//!
//! Nothing here knows tensors or the GPU.

mod level;
mod noise;
mod noise_model;
mod prediction;
mod registry;
mod samplers;
mod schedule;
mod table;
#[cfg(test)]
mod tests;

pub use self::{
    level::{Level, Space},
    noise::{NoiseGenerator, NoiseSource},
    noise_model::NoiseModel,
    prediction::{Prediction, Scalings},
    samplers::{SAMPLERS, Sampler},
    schedule::{Grid, InitialNoise, PointCount, SCHEDULES, Schedule, Spacing, StepEnd, Timesteps},
    table::{HISTORY, Row, Table},
};
use self::{samplers::Trajectory, schedule::Layout};
use crate::error::{Error, Result};

/// What few samplers and schedules need beyond their names; the default suits Stable Diffusion 1.x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How much of the removed noise is replaced by fresh noise each step, 0 to 1; `None` is the
    /// sampler's own default. Only for samplers that have one ([`Sampler::eta`]).
    pub eta: Option<f64>,
    /// Added to the timesteps of the `leading` schedule. 1 in the scheduler configurations of
    /// Stable Diffusion 1.x, 2.x and SDXL, so that timestep 0 is never asked of the network.
    pub steps_offset: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            eta: None,
            steps_offset: 1,
        }
    }
}

/// Makes the table of a run: `steps` steps of `sampler` along `schedule`.
///
/// `sampler` and `schedule` may be any name or alias in [`SAMPLERS`] and [`SCHEDULES`], however
/// capitalised and spaced.
///
/// # Errors
///
/// [`Error::Request`] if a name is unknown, if `steps` is 0 or more than the model has timesteps,
/// if `guidance_scale` is not finite, or if `eta` is out of range or means nothing to the sampler;
/// [`Error::Unsupported`] if the prediction is not defined at the model's noise levels.
pub fn build(
    noise_model: &NoiseModel,
    prediction: Prediction,
    sampler: &str,
    schedule: &str,
    steps: usize,
    guidance_scale: f64,
    options: &Options,
) -> Result<Table> {
    let sampler = Sampler::find(sampler)?;
    let spacing = Spacing::find(schedule)?;
    check_steps(steps, noise_model)?;
    if !guidance_scale.is_finite() {
        return Err(Error::request(
            "guidance_scale",
            format!("expected a number, found {guidance_scale}"),
        ));
    }
    let eta = resolve_eta(options.eta, sampler)?;
    let space = noise_model.space().unwrap_or(sampler.space);
    if prediction == Prediction::Epsilon && space == Space::Flow {
        return Err(Error::Unsupported(
            "an epsilon prediction with a flow model, which starts from noise alone; \
             expected a flow prediction"
                .into(),
        ));
    }

    let schedule = spacing.lay(&Layout {
        noise_model,
        grid: sampler.grid,
        steps,
        steps_offset: options.steps_offset,
    });
    let trajectory = Trajectory {
        points: schedule.points(space),
        ends: schedule
            .ends
            .iter()
            .map(|&sigma| space.level(sigma))
            .collect(),
        prediction,
        guidance_scale,
        eta,
    };
    Ok(Table {
        initial_scale: space.initial_scale(spacing.initial, trajectory.points[0].level),
        rows: sampler.rows(&trajectory),
    })
}

fn check_steps(steps: usize, noise_model: &NoiseModel) -> Result<()> {
    let most = noise_model.train_steps();
    if (1..=most).contains(&steps) {
        return Ok(());
    }
    Err(Error::request(
        "steps",
        format!("expected 1 to {most} (the timesteps the model was trained on), found {steps}"),
    ))
}

fn resolve_eta(asked: Option<f64>, sampler: &Sampler) -> Result<f64> {
    match (asked, sampler.eta) {
        (None, default) => Ok(default.unwrap_or(0.0)),
        (Some(eta), Some(_)) if (0.0..=1.0).contains(&eta) => Ok(eta),
        (Some(eta), Some(_)) => Err(Error::request(
            "eta",
            format!("expected 0 to 1, found {eta}"),
        )),
        (Some(_), None) => {
            let takers: Vec<_> = SAMPLERS
                .iter()
                .filter(|sampler| sampler.eta.is_some())
                .collect();
            Err(Error::request(
                "eta",
                format!(
                    "the sampler {} adds no noise and takes no eta; leave it out, or use {}",
                    sampler.name,
                    takers
                        .iter()
                        .map(|taker| taker.name)
                        .collect::<Vec<_>>()
                        .join(" or ")
                ),
            ))
        }
    }
}
