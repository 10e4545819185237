//! Latent consistency models: Luo et al. 2023 (arXiv 2310.04378). Checked against diffusers'
//! `LCMScheduler`.

use super::table;
use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update};
use crate::sampling::Timesteps;

pub(super) const SAMPLER: Sampler = Sampler {
    name: "lcm",
    aliases: &["LCMScheduler"],
    summary: "for latent consistency models: to the clean latent and back up, in 2 to 8 steps",
    reference: "Luo et al. 2023, arXiv 2310.04378",
    space: Space::VariancePreserving,
    grid: Grid {
        timesteps: Timesteps::Whole,
        ..Grid::K_DIFFUSION
    },
    networks: Networks::Betas,
    eta: None,
    rows,
};

/// diffusers `scheduling_lcm.py`: `sigma_data` and `timestep_scaling`.
const SIGMA_DATA: f64 = 0.5;
const TIMESTEP_SCALING: f64 = 10.0;

/// `x' = signal'·D + noise'·n`, with `D` drawn to `x` near timestep 0.
fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    let steps = trajectory.steps();
    steps
        .map(|step| Row {
            entry: boundary(&step),
            ..trajectory.row(&step, Update::of(0.0, 1.0).with_noise(step.to))
        })
        .collect()
}

/// What makes the network the identity at timestep 0: the paper's `c_skip` and `c_out`.
fn boundary(step: &Step) -> table::Entry {
    let t = step.point.timestep * TIMESTEP_SCALING;
    let norm = t.hypot(SIGMA_DATA);
    table::Entry {
        x: (SIGMA_DATA / norm).powi(2),
        denoised: t / norm,
    }
}
