//! The levels of every schedule against the programs that named it.
//!
//! Expected numbers come from `tests/golden/schedules.py`.

use super::*;
use crate::sampling::schedule::Layout;

/// Recorded with 15 digits; tangents near a right angle and logarithms lose two.
const F64_TOLERANCE: f64 = 1e-12;
/// diffusers takes its levels from f32 cumulative products, of which the first is 2e-5 off;
/// k-diffusion's timesteps are f32, 3e-5 of a timestep off, over which σ changes by 0.6 % of that.
const F32_TOLERANCE: f64 = 2e-5;
/// diffusers takes the difference of two square roots in f32 that are as little as 3e-4 apart and
/// as large as 0.07.
const ZERO_SNR_F32_TOLERANCE: f64 = 5e-5;

#[derive(Deserialize)]
struct Record {
    cases: Vec<Case>,
    rho: Vec<RhoCase>,
    zero_terminal_snr: ZeroTerminalSnr,
    edm: Edm,
}

#[derive(Debug, Deserialize)]
struct Case {
    rules: SigmaRules,
    schedule: String,
    steps: usize,
    sigmas: Vec<f64>,
    source: String,
    discarded: usize,
    network: String,
}

#[derive(Debug, Deserialize)]
struct RhoCase {
    schedule: String,
    rho: f64,
    sigmas: Vec<f64>,
}

#[derive(Deserialize)]
struct ZeroTerminalSnr {
    timesteps: Vec<f64>,
    comfy: Vec<f64>,
    diffusers: Vec<f64>,
}

#[derive(Deserialize)]
struct Edm {
    timesteps: Vec<f64>,
    sigmas: Vec<f64>,
}

fn record() -> Record {
    serde_json::from_str(include_str!("../../../tests/golden/data/schedules.json")).unwrap()
}

/// The schedule of a name as a sampler of k-diffusion takes it.
fn lay(
    model: &NoiseModel,
    schedule: &str,
    steps: usize,
    discarded: usize,
    options: &Options,
) -> Schedule {
    Spacing::find(schedule).unwrap().lay(&Layout {
        noise_model: model,
        grid: options.rules.grid(Grid::K_DIFFUSION),
        steps,
        options,
        discarded,
    })
}

/// Each level by itself: the small ones at the end matter as much as the great ones before.
fn assert_each_close(found: &[f64], expected: &[f64], tolerance: f64, what: &dyn std::fmt::Debug) {
    assert_eq!(found.len(), expected.len(), "{what:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs(),
            "found {found}, expected {expected} in {what:?}"
        );
    }
}

#[test]
fn every_schedule_is_that_of_the_program_whose_rules_are_asked_for() {
    for case in record().cases {
        let options = Options {
            rules: case.rules,
            align_your_steps: match case.network.as_str() {
                "stable_diffusion_xl" => AlignYourSteps::StableDiffusionXl,
                _ => AlignYourSteps::StableDiffusion,
            },
            ..Options::default()
        };
        let model = stable_diffusion();
        let found = lay(&model, &case.schedule, case.steps, case.discarded, &options);
        let tolerance = if case.source.ends_with("f32") {
            F32_TOLERANCE
        } else {
            F64_TOLERANCE
        };
        assert_each_close(&found.sigmas, &case.sigmas, tolerance, &case);
    }
}

#[test]
fn rho_bends_karras_and_polyexponential_as_in_k_diffusion() {
    for case in record().rho {
        let options = Options {
            rho: Some(case.rho),
            ..Options::default()
        };
        let found = lay(&stable_diffusion(), &case.schedule, 7, 0, &options);
        assert_each_close(&found.sigmas, &case.sigmas, F64_TOLERANCE, &case);
    }
    for rho in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let options = Options {
            rho: Some(rho),
            ..Options::default()
        };
        assert_eq!(request_error(euler("karras", 4, &options)).0, "rho");
    }
}

#[test]
fn zero_terminal_snr_is_rescaled_as_in_diffusers_and_in_comfyui() {
    let expected = record().zero_terminal_snr;
    for (rules, sigmas, tolerance) in [
        (SigmaRules::Comfy, &expected.comfy, F64_TOLERANCE * 1e3),
        (SigmaRules::KDiffusion, &expected.comfy, F64_TOLERANCE * 1e3),
        (
            SigmaRules::Diffusers,
            &expected.diffusers,
            ZERO_SNR_F32_TOLERANCE,
        ),
    ] {
        let model = stable_diffusion().with_zero_terminal_snr(rules).unwrap();
        let timesteps = expected.timesteps.iter();
        let found: Vec<f64> = timesteps.map(|&timestep| model.sigma(timestep)).collect();
        assert_each_close(&found, sigmas, tolerance, &rules);
    }
    let flow = NoiseModel::flow(1.0, 1000).unwrap();
    let refused = flow.with_zero_terminal_snr(SigmaRules::Diffusers);
    assert!(matches!(refused, Err(Error::Unsupported(_))));
}

#[test]
fn continuous_noise_levels_are_told_the_network_as_a_quarter_of_their_logarithm() {
    let model = NoiseModel::edm(0.002, 120.0).unwrap();
    let expected = record().edm;
    for rules in [SigmaRules::Comfy, SigmaRules::KDiffusion] {
        let options = Options {
            rules,
            ..Options::default()
        };
        let found = lay(&model, "normal", 7, 0, &options);
        assert_each_close(&found.sigmas, &expected.sigmas, F64_TOLERANCE, &rules);
        assert_each_close(&found.timesteps, &expected.timesteps, F64_TOLERANCE, &rules);
    }
    for (low, high) in [
        (0.0, 1.0),
        (2.0, 1.0),
        (0.1, f64::INFINITY),
        (f64::NAN, 1.0),
    ] {
        assert!(matches!(
            NoiseModel::edm(low, high),
            Err(Error::Unsupported(_))
        ));
    }
}

fn euler(schedule: &str, steps: usize, options: &Options) -> Result<Table> {
    let model = stable_diffusion();
    let prediction = Prediction::Epsilon;
    build(&model, prediction, "euler", schedule, steps, 1.0, options)
}

#[test]
fn timesteps_between_the_whole_ones_are_told_under_a1111s_rules_only() {
    let timesteps = |rules| {
        let options = Options {
            rules,
            ..Options::default()
        };
        let rows = euler("karras", 7, &options).unwrap().rows;
        rows.iter().map(|row| row.timestep).collect::<Vec<_>>()
    };
    let whole = timesteps(SigmaRules::Comfy);
    let fractional = timesteps(SigmaRules::KDiffusion);
    assert!(whole.iter().all(|timestep| timestep.fract() == 0.0));
    assert!(
        fractional[1..6]
            .iter()
            .all(|timestep| timestep.fract() != 0.0)
    );
    for (whole, fractional) in whole.iter().zip(&fractional) {
        assert!((whole - fractional).abs() <= 0.5);
    }
}

#[test]
fn the_first_latent_has_as_much_noise_as_each_program_gives_it() {
    let highest = stable_diffusion().sigma_max();
    let second = 1.623_692_081_515_86; // timestep 501
    for (rules, sampler, schedule, expected) in [
        // comfy/samplers.py, `max_denoise`: √(1 + σ²) from the noisiest level, σ from another.
        (SigmaRules::Comfy, "euler", "normal", highest.hypot(1.0)),
        (SigmaRules::Comfy, "euler", "ddim_uniform", second),
        // A1111's KDiffusionSampler.sample: σ.
        (SigmaRules::KDiffusion, "euler", "normal", highest),
        (SigmaRules::KDiffusion, "euler", "ddim_uniform", second),
        // The same where the latent is kept with its variance preserved: divided by √(1 + σ²).
        (SigmaRules::Comfy, "dpmpp_2m", "normal", 1.0),
        (
            SigmaRules::KDiffusion,
            "dpmpp_2m",
            "normal",
            highest / highest.hypot(1.0),
        ),
        // A1111's CompVisSampler.sample: unit noise.
        (SigmaRules::KDiffusion, "ddim", "ddim_uniform", 1.0),
        (SigmaRules::Diffusers, "dpmpp_2m", "karras", 1.0),
        (SigmaRules::Diffusers, "euler", "karras", highest),
    ] {
        let options = Options {
            rules,
            ..Options::default()
        };
        let (model, prediction) = (stable_diffusion(), Prediction::Epsilon);
        let table = build(&model, prediction, sampler, schedule, 2, 1.0, &options).unwrap();
        assert_each_close(
            &[table.initial_scale],
            &[expected],
            F64_TOLERANCE,
            &(rules, sampler, schedule),
        );
    }
}

#[test]
fn ddim_under_a1111s_rules_ends_at_the_level_of_timestep_0() {
    // sd_samplers_timesteps_impl.py: `alphas_prev` begins with the first of the training.
    let options = Options {
        rules: SigmaRules::KDiffusion,
        ..Options::default()
    };
    let model = stable_diffusion();
    let found = Spacing::find("ddim_uniform").unwrap().lay(&Layout {
        noise_model: &model,
        grid: options.rules.grid(Grid::DDIM),
        steps: 7,
        options: &options,
        discarded: 0,
    });
    assert_eq!(
        found.timesteps,
        [995.0, 853.0, 711.0, 569.0, 427.0, 285.0, 143.0, 1.0]
    );
    assert_eq!(found.ends[..7], found.sigmas[1..8]);
    assert_eq!(found.ends[7], model.sigma_min());
}

#[test]
fn the_level_before_the_last_is_left_out_for_the_samplers_that_each_program_lists() {
    for (sampler, comfy, a1111) in [
        ("dpm_2", 1, 1),
        ("dpm_2_ancestral", 1, 1),
        ("uni_pc", 1, 0),
        ("dpmpp_3m_sde", 0, 1),
        ("euler", 0, 0),
    ] {
        assert_eq!(SigmaRules::Diffusers.discarded_levels(sampler), 0);
        assert_eq!(
            SigmaRules::Comfy.discarded_levels(sampler),
            comfy,
            "{sampler}"
        );
        assert_eq!(
            SigmaRules::KDiffusion.discarded_levels(sampler),
            a1111,
            "{sampler}"
        );
    }
}

fn with_sigmas(sigmas: &[f64]) -> Options {
    Options {
        sigmas: Some(sigmas.to_vec()),
        ..Options::default()
    }
}

#[test]
fn own_sigmas_are_the_levels_of_the_run() {
    let rows = euler("karras", 3, &with_sigmas(&[14.6, 3.0, 0.5, 0.0]))
        .unwrap()
        .rows;
    let found: Vec<f64> = rows.iter().map(|row| row.sigma).collect();
    assert_eq!(found, [14.6, 3.0, 0.5]);
    assert_eq!((rows[2].next.x, rows[2].next.past[0]), (0.0, 1.0));
    // Where the last is not 0 the run ends with that much noise left.
    let rows = euler("karras", 1, &with_sigmas(&[14.6, 7.3])).unwrap().rows;
    assert_eq!((rows[0].next.x, rows[0].next.past[0]), (0.5, 0.5));
}

#[test]
fn own_sigmas_that_make_no_run_are_refused() {
    for (sigmas, part) in [
        (&[][..], "two or more"),
        (&[14.6], "two or more"),
        (&[14.6, f64::NAN, 0.0], "from 0"),
        (&[f64::INFINITY, 0.0], "from 0"),
        (&[14.6, -1.0], "from 0"),
        (&[3.0, 3.0, 0.0], "lower than the one before"),
        (&[0.0, 14.6], "lower than the one before"),
        (&[80.0, 1.0, 0.0], "at most 14.615"),
    ] {
        let (field, reason) = request_error(euler("karras", 2, &with_sigmas(sigmas)));
        assert_eq!(field, "sigmas");
        assert!(reason.contains(part), "{reason}");
    }
    let many: Vec<f64> = (0..1002).rev().map(|i| f64::from(i) / 100.0).collect();
    assert_eq!(
        request_error(euler("karras", 2, &with_sigmas(&many))).0,
        "sigmas"
    );
    let (field, reason) = request_error(euler("karras", 20, &with_sigmas(&[14.6, 3.0, 0.0])));
    assert_eq!(field, "steps");
    assert!(reason.contains("make 2 steps, not 20"), "{reason}");
}

#[test]
fn stochastic_solvers_draw_from_a_brownian_motion() {
    use NoisePath::{Brownian, Independent};
    for (sampler, path) in [
        ("dpmpp_sde", Brownian),
        ("dpmpp_2m_sde", Brownian),
        ("dpmpp_2m_sde_heun", Brownian),
        ("dpmpp_3m_sde", Brownian),
        ("euler_ancestral", Independent),
        ("er_sde", Independent),
    ] {
        assert_eq!(table(sampler, "karras", 3).unwrap().noise_path, path);
    }
    let options = Options {
        noise_path: Some(Brownian),
        ..Options::default()
    };
    let asked = euler("karras", 3, &options).unwrap().noise_path;
    assert_eq!(asked, Brownian);
}

#[test]
fn noise_lies_between_the_levels_of_its_step() {
    let (model, options) = (stable_diffusion(), with_sigmas(&[14.6, 3.0, 0.5, 0.0]));
    let (prediction, sampler) = (Prediction::Epsilon, "euler_ancestral");
    let table = build(&model, prediction, sampler, "karras", 3, 1.0, &options).unwrap();
    let intervals: Vec<_> = table.rows.iter().map(|row| row.noise_interval).collect();
    assert_eq!(intervals, [[14.6, 3.0], [3.0, 0.5], [0.5, 0.0]]);
    assert_eq!(table.sigma_range(), [0.5, 14.6]);
}
