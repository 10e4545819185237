//! Tables executed on the CPU in f64 against diffusers' schedulers and k-diffusion's samplers.

use super::*;

/// diffusers computes latents of up to about 40 in f32 (ε = 6e-8), over up to 40 evaluations, and
/// takes its noise levels from f32 cumulative products: σ of timestep 0 is off by 2e-5 of itself.
const F32_TOLERANCE: f64 = 1e-5;
/// k-diffusion ran in f64 on the same noise levels and was recorded with 14 digits.
const F64_TOLERANCE: f64 = 1e-9;
/// Karras timesteps come from logarithms of σ in f32, where neighbours differ by 0.3 % only.
const TIMESTEP_TOLERANCE: f64 = 1e-5;

#[derive(Debug, Deserialize)]
pub(super) struct Run {
    sampler: String,
    schedule: String,
    prediction: Prediction,
    steps: usize,
    eta: Option<f64>,
    shift: Option<f64>,
    initial_scale: Option<f64>,
    timesteps: Option<Vec<f64>>,
    sigmas: Option<Vec<f64>>,
    states: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
pub(super) struct TimestepHash {
    sampler: String,
    schedule: String,
    hash: u64,
}

/// The toy network of sampling.py: x [n] → [n].
fn network(x: &[f64], timestep: f64) -> Vec<f64> {
    (0..x.len())
        .map(|i| {
            let next = x[(i + 1) % x.len()];
            (0.8 * x[i] + 0.3 * next).tanh() + 0.1 * (0.01 * timestep + i as f64).cos()
        })
        .collect()
}

/// The latent at the start and after every row. Draw k of the run is `noise[k]`, the start draw 0.
fn execute(table: &Table, noise: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut draws = noise.iter();
    let mut x: Vec<f64> = draws
        .next()
        .unwrap()
        .iter()
        .map(|n| n * table.initial_scale)
        .collect();
    let mut saved = vec![f64::NAN; x.len()];
    let mut history: Vec<Vec<f64>> = Vec::new();
    let mut states = vec![x.clone()];
    for row in &table.rows {
        let input: Vec<f64> = x.iter().map(|x| row.c_in * x).collect();
        let output = network(&input, row.timestep);
        let denoised = x
            .iter()
            .zip(&output)
            .map(|(x, f)| row.c_skip * x + row.c_out * f);
        history.insert(0, denoised.collect());
        if row.entry != Entry::DENOISED {
            for (entry, x) in history[0].iter_mut().zip(&x) {
                *entry = row.entry.x * x + row.entry.denoised * *entry;
            }
        }
        let fresh = (row.next.noise != 0.0).then(|| draws.next().unwrap());
        let combined = |combination: &Combination| -> Vec<f64> {
            let at = |i: usize| {
                // What has the coefficient 0 is not read, since it need not exist.
                let term = |factor: f64, value: &dyn Fn() -> f64| {
                    if factor == 0.0 { 0.0 } else { factor * value() }
                };
                let past = combination.past.iter().enumerate();
                term(combination.x, &|| x[i])
                    + term(combination.saved, &|| saved[i])
                    + past
                        .map(|(j, &factor)| term(factor, &|| history[j][i]))
                        .sum::<f64>()
                    + term(combination.noise, &|| fresh.unwrap()[i])
            };
            (0..x.len()).map(at).collect()
        };
        let updated = combined(&row.next);
        if let Some(keep) = &row.keep {
            saved = combined(keep);
        }
        if !row.remembered {
            history.remove(0);
        }
        x = updated;
        states.push(x.clone());
    }
    states
}

impl Run {
    fn table(&self) -> Table {
        let model = match self.shift {
            Some(shift) => NoiseModel::flow(shift, 1000).unwrap(),
            None => stable_diffusion(),
        };
        let options = Options {
            eta: self.eta,
            ..Options::default()
        };
        let (sampler, schedule) = (&self.sampler, &self.schedule);
        build(
            &model,
            self.prediction,
            sampler,
            schedule,
            self.steps,
            1.0,
            &options,
        )
        .unwrap()
    }

    fn name(&self) -> String {
        let Self {
            sampler,
            schedule,
            prediction,
            steps,
            eta,
            shift,
            ..
        } = self;
        format!("{sampler} {schedule} {prediction:?} {steps} eta {eta:?} shift {shift:?}")
    }
}

#[test]
fn every_sampler_follows_diffusers_after_every_evaluation() {
    let golden = golden();
    for run in &golden.diffusers {
        let table = run.table();
        let timesteps: Vec<f64> = table.rows.iter().map(|row| row.timestep).collect();
        assert_close(
            &timesteps,
            run.timesteps.as_ref().unwrap(),
            TIMESTEP_TOLERANCE,
            &run.name(),
        );
        let initial = [table.initial_scale];
        assert_close(
            &initial,
            &[run.initial_scale.unwrap()],
            F32_TOLERANCE,
            &run.name(),
        );
        let mut states = execute(&table, &golden.noise);
        if ["deis", "uni_pc"].contains(&run.sampler.as_str()) {
            // diffusers goes to the noise level of timestep 0 there; its last latent was left out.
            states.pop();
        }
        assert_eq!(states.len(), run.states.len(), "{}", run.name());
        for (row, (found, expected)) in states.iter().zip(&run.states).enumerate() {
            assert_close(found, expected, F32_TOLERANCE, &(run.name(), row));
        }
    }
}

#[test]
fn every_sampler_follows_k_diffusion_after_every_step() {
    let golden = golden();
    for run in &golden.k_diffusion {
        let mut table = run.table();
        let space = Sampler::find(&run.sampler).unwrap().space;
        let sigmas = run.sigmas.as_ref().unwrap();
        // k-diffusion takes the first latent for noise alone, and keeps all in the
        // variance-exploding space.
        table.initial_scale = space.level(sigmas[0]).noise;
        let mut states = execute(&table, &golden.noise);
        // The latent at the start of each step, then the last one.
        let mut at_steps: Vec<Vec<f64>> = Vec::new();
        for (i, row) in table.rows.iter().enumerate() {
            if i == 0 || table.rows[i - 1].step < row.step {
                assert_close(
                    &[row.sigma],
                    &sigmas[row.step..=row.step],
                    F64_TOLERANCE,
                    &run.name(),
                );
                at_steps.push(std::mem::take(&mut states[i]));
            }
        }
        at_steps.extend(states.pop());
        for (step, (found, expected)) in at_steps.iter().zip(&run.states).enumerate() {
            let scale = space.level(sigmas[step]).signal;
            let expected: Vec<f64> = expected.iter().map(|x| x * scale).collect();
            assert_close(found, &expected, F64_TOLERANCE, &(run.name(), step));
        }
    }
}

#[test]
fn timesteps_are_those_of_diffusers_for_every_number_of_steps() {
    for TimestepHash {
        sampler,
        schedule,
        hash,
    } in golden().timestep_hashes
    {
        let mut found = 0_u64;
        for steps in 1..1000 {
            for row in table(&sampler, &schedule, steps).unwrap().rows {
                let next = u128::from(found) * 1_000_003 + row.timestep as u128;
                found = u64::try_from(next % ((1 << 61) - 1)).unwrap();
            }
        }
        assert_eq!(found, hash, "{sampler} {schedule}");
    }
}

#[test]
fn noise_levels_of_stable_diffusion_are_those_of_its_betas() {
    let model = stable_diffusion();
    let found = [0.0, 1.0, 500.0, 998.0, 999.0].map(|timestep| model.sigma(timestep));
    assert_close(&found, &golden().train_sigmas, 1e-12, &"sigmas");
    assert_eq!((model.sigma_min(), model.sigma_max()), (found[0], found[4]));
}
