//! Tables executed on the CPU against other programs, and what every table keeps to.
//!
//! Expected numbers come from `tests/golden/sampling.py`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops where its expectation fails"
)]

mod names;
mod noise;
mod references;
mod schedules;
mod tables;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    noise: Vec<Vec<f64>>,
    train_sigmas: Vec<f64>,
    diffusers: Vec<references::Run>,
    k_diffusion: Vec<references::Run>,
    timestep_hashes: Vec<references::TimestepHash>,
    torch_cpu: Vec<noise::TorchCpuRun>,
    philox: Vec<noise::PhiloxRun>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/golden/data/sampling.json")).unwrap()
}

fn stable_diffusion() -> NoiseModel {
    NoiseModel::scaled_linear(0.00085, 0.012, 1000).unwrap()
}

/// A table with the defaults of Stable Diffusion 1.x.
fn table(sampler: &str, schedule: &str, steps: usize) -> Result<Table> {
    build(
        &stable_diffusion(),
        Prediction::Epsilon,
        sampler,
        schedule,
        steps,
        7.5,
        &Options::default(),
    )
}

fn request_error<T: std::fmt::Debug>(result: Result<T>) -> (&'static str, String) {
    match result.unwrap_err() {
        Error::Request { field, reason } => (field, reason),
        other => panic!("expected a request error, found {other:?}"),
    }
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &dyn std::fmt::Debug) {
    assert_eq!(found.len(), expected.len(), "{what:?}");
    let scale = expected
        .iter()
        .fold(1.0_f64, |most, value| most.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= tolerance * scale,
            "found {found}, expected {expected} in {what:?}"
        );
    }
}
