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
mod names;
mod noise;
mod noise_model;
mod own_sigmas;
mod prediction;
mod registry;
mod rules;
mod samplers;
mod schedule;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use self::noise::slerp;
pub(crate) use self::own_sigmas::check_order as check_sigma_order;
pub use self::{
    level::{Level, Space},
    names::Choice,
    noise::{BrownianTree, NoiseGenerator, NoisePath, NoiseSource},
    noise_model::NoiseModel,
    prediction::{Prediction, Scalings},
    rules::SigmaRules,
    samplers::{Networks, SAMPLERS, Sampler},
    schedule::{
        AlignYourSteps, Grid, InitialNoise, PointCount, SCHEDULES, Schedule, Spacing, StepEnd,
        Timesteps,
    },
    table::{Combination, Entry, HISTORY, Row, Table},
};
use self::{own_sigmas::check_sigmas, samplers::Trajectory, schedule::Layout};
use crate::error::{Error, Result};
use std::ops::Range;

/// What few samplers and schedules need beyond their names; the default suits Stable Diffusion 1.x.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How much of the removed noise is replaced by fresh noise each step, 0 to 1; `None` is the
    /// sampler's own default. Only for samplers that have one ([`Sampler::eta`]).
    pub eta: Option<f64>,
    /// Added to the timesteps of the `leading` schedule. 1 in the scheduler configurations of
    /// Stable Diffusion 1.x, 2.x and SDXL, so that timestep 0 is never asked of the network.
    pub steps_offset: usize,
    /// Whose habits decide where programs differ.
    pub rules: SigmaRules,
    /// The noise levels themselves, in place of the schedule's: where the network is evaluated, from
    /// the noisiest down, and last the one where the run ends, most often 0.
    pub sigmas: Option<Vec<f64>>,
    /// Which of the steps are taken, by the timesteps at which they begin: those after the first share
    /// of the training's timesteps, from the noisiest on, and up to the second; 0 and 1 for all. What
    /// a sampler remembers begins anew with the first of them.
    pub stretch: [f64; 2],
    /// How much of the noise a run begins with that starts from a picture, over 0 and up to 1: below 1
    /// it is fewer steps, or steps of a finer schedule, as the rules have it. Own sigmas say
    /// themselves where a run begins.
    pub strength: f64,
    /// Whether as many steps are done as there are at any strength, over that share of the noise; else the
    /// rules decide.
    pub does_all_steps: bool,
    /// Between which shares of the steps there is guidance: 0 and 1 for all.
    pub guidance_interval: [f64; 2],
    /// How much of the conditional prediction's spread is restored after guidance, 0 to 1.
    pub guidance_rescale: f64,
    /// How the noise of one step and that of another belong together; `None` is as the program whose
    /// rules are asked for has it for the sampler.
    pub noise_path: Option<NoisePath>,
    /// The exponent ρ of `karras` (7 unless given) and `polyexponential` (1 unless given), over 0.
    pub rho: Option<f64>,
    /// For which network `align_your_steps` is to be optimised.
    pub align_your_steps: AlignYourSteps,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            eta: None,
            steps_offset: 1,
            rules: SigmaRules::default(),
            sigmas: None,
            stretch: [0.0, 1.0],
            strength: 1.0,
            does_all_steps: false,
            guidance_interval: [0.0, 1.0],
            guidance_rescale: 0.0,
            noise_path: None,
            rho: None,
            align_your_steps: AlignYourSteps::default(),
        }
    }
}

/// Makes the table of a run: `steps` steps of `sampler` along `schedule`.
///
/// `sampler` and `schedule` may be any names that [`Choice::find`] takes. `ddim_uniform`, and `beta`
/// under ComfyUI's rules, may come out at other than `steps` steps, as they do in other programs.
///
/// # Errors
///
/// [`Error::Request`] if a name is unknown, if `steps` is 0 or more than the model has timesteps,
/// if `guidance_scale` is not finite, if `eta` or `rho` is out of range or `eta` means nothing to
/// the sampler, or if own sigmas do not fall or are not `steps` + 1;
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
    let Choice { sampler, schedule } = Choice::find(sampler, Some(schedule), schedule)?;
    check_steps(steps, noise_model)?;
    if !(options.strength > 0.0 && options.strength <= 1.0) {
        let reason = format!("must be over 0 and at most 1, not {}", options.strength);
        return Err(Error::request("strength", reason));
    }
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

    if sampler.networks == Networks::Betas && space == Space::Flow {
        return Err(Error::Unsupported(format!(
            "the sampler {} with a flow model, which starts from noise alone; use euler or heun",
            sampler.name
        )));
    }

    let [laid_steps, left_out] = match options.sigmas {
        Some(_) => [steps, 0],
        // ComfyUI's are those that are done.
        None if options.does_all_steps => {
            SigmaRules::Comfy.portion(sampler.grid, steps, options.strength)
        }
        None => options.rules.portion(sampler.grid, steps, options.strength),
    };
    check_steps(laid_steps, noise_model)?;
    let laid = lay(noise_model, sampler, schedule, laid_steps, options)?;
    let left_out = left_out.min(laid.timesteps.len());
    let mut taken = steps_within(&laid.timesteps, options.stretch, noise_model);
    taken = taken.start.max(left_out)..taken.end.max(left_out);
    if taken.len() < laid.timesteps.len() && sampler.name == "restart" {
        return Err(Error::Unsupported(
            "a part of the steps of the sampler restart, which goes back; use another".into(),
        ));
    }
    let points = laid.points(space);
    let first = points[0];
    // Where nothing is left, nothing is begun.
    let begun = points
        .get(taken.start)
        .map_or(first.level, |point| point.level);
    let ends = laid.ends.iter().map(|&sigma| space.level(sigma));
    let trajectory = Trajectory {
        ends: ends.skip(taken.start).collect(),
        points: points[taken.start..].to_vec(),
        run_steps: laid.timesteps.len(),
        prediction,
        guidance_scale,
        eta,
        noise_model,
        space,
        timesteps: options.rules.grid(sampler.grid).timesteps,
    };
    let initial = match options.sigmas {
        Some(_) => InitialNoise::Noise,
        None => schedule.initial,
    };
    let initial =
        options
            .rules
            .initial_noise(sampler.grid, space, initial, first.sigma, noise_model);
    let mut rows = match taken.is_empty() {
        true => Vec::new(),
        false => sampler.rows(&trajectory),
    };
    rows.retain(|row| row.step < taken.len());
    rows.iter_mut()
        .for_each(|row| row.step += taken.start - left_out);
    guide(&mut rows, laid.timesteps.len() - left_out, options);
    let initial_scale = space.initial_scale(initial, first.level);
    Ok(Table {
        initial_scale,
        first: match (options.rules, taken.start) {
            (SigmaRules::Comfy, 0) => Level {
                noise: initial_scale,
                ..begun
            },
            _ => begun,
        },
        space,
        rows,
        noise_path: options
            .noise_path
            .unwrap_or_else(|| rules::noise_path(sampler.name)),
    })
}

/// Takes guidance from the steps outside of its interval, and says how it is rescaled.
///
/// Kynkäänniemi et al. 2024 (arXiv 2404.07724) limit it to noise levels; by shares of the steps it is
/// diffusers' `guidance_start` and `guidance_stop`.
fn guide(rows: &mut [Row], steps: usize, options: &Options) {
    let [start, end] = options.guidance_interval;
    for row in rows {
        row.guidance_rescale = options.guidance_rescale;
        let share = row.step as f64 / steps as f64;
        if !(start..end).contains(&share) {
            row.guidance_scale = 1.0;
        }
    }
}

/// The steps of a stretch. As diffusers' `denoising_start` and `denoising_end` have it: a step belongs
/// to the second part if its timestep is below the cut.
fn steps_within(timesteps: &[f64], stretch: [f64; 2], noise_model: &NoiseModel) -> Range<usize> {
    let train_steps = noise_model.train_steps() as f64;
    let [start, end] = stretch.map(|share| {
        let cut = (train_steps - share * train_steps).round_ties_even();
        timesteps
            .iter()
            .filter(|timestep| **timestep >= cut)
            .count()
    });
    let start = if stretch[0] > 0.0 { start } else { 0 };
    let end = if stretch[1] < 1.0 {
        end
    } else {
        timesteps.len()
    };
    start..end.max(start)
}

/// The noise levels of a run: the user's own, or those of `schedule`.
fn lay(
    noise_model: &NoiseModel,
    sampler: &Sampler,
    schedule: &Spacing,
    steps: usize,
    options: &Options,
) -> Result<Schedule> {
    if let Some(rho) = options.rho.filter(|rho| !(*rho > 0.0 && rho.is_finite())) {
        return Err(Error::request(
            "rho",
            format!("expected a number over 0, found {rho}"),
        ));
    }
    let layout = Layout {
        noise_model,
        grid: options.rules.grid(sampler.grid),
        steps,
        options,
        discarded: options.rules.discarded_levels(sampler.name),
    };
    let Some(sigmas) = &options.sigmas else {
        return Ok(schedule.lay(&layout));
    };
    let (end, evaluated) = check_sigmas(sigmas, noise_model)?;
    if evaluated.len() != steps {
        return Err(Error::request(
            "steps",
            format!(
                "the {} sigmas make {} steps, not {steps}; leave steps out",
                sigmas.len(),
                evaluated.len()
            ),
        ));
    }
    Ok(layout.schedule_of_sigmas(evaluated.to_vec(), end))
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
