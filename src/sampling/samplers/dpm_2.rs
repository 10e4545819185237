//! DPM-Solver-2: Karras et al. 2022 (arXiv 2206.00364), algorithm 2 with the middle of log σ, and the
//! same with fresh noise each step. Checked against k-diffusion's `sample_dpm_2` and
//! `sample_dpm_2_ancestral`.

use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update, ancestral};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "dpm_2",
    aliases: &[
        "DPM2",
        "k_dpm_2",
        "kdpm_2",
        "dpm2",
        "KDPM2DiscreteScheduler",
    ],
    summary: "second order through the middle of each step: two evaluations, deterministic",
    reference: "Karras et al. 2022, arXiv 2206.00364",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: None,
    rows: |trajectory| trajectory.rows_of_steps(step_rows),
};

pub(super) const ANCESTRAL: Sampler = Sampler {
    name: "dpm_2_ancestral",
    aliases: &[
        "DPM2 a",
        "k_dpm_2_a",
        "k_dpm_2_ancestral",
        "kdpm_2_a",
        "KDPM2AncestralDiscreteScheduler",
    ],
    summary: "as dpm_2, with fresh noise each step",
    reference: "Karras et al. 2022, arXiv 2206.00364",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: Some(1.0),
    rows: |trajectory| trajectory.rows_of_steps(step_rows),
};

/// `x_mid = x + d·(σ_mid − σ)`, `x' = x + d_mid·(σ_down − σ) + σ_up·n`, with `d = (x − D)/σ`.
fn step_rows(trajectory: &Trajectory<'_>, step: &Step) -> Vec<Row> {
    let (down, up) = ancestral(step.from, step.to, trajectory.eta);
    if down == 0.0 {
        return vec![trajectory.first_order(step)];
    }
    let middle = (step.from * down).sqrt();
    let to_middle = (middle - step.from) / step.from;
    let to_end = (down - step.from) / middle;
    let second = Update {
        saved: 1.0,
        ..Update::of(to_end, -to_end)
    };
    let first = Update::of(1.0 + to_middle, -to_middle);
    let rows = trajectory.rows_through(step, trajectory.at(middle), first, second.with_noise(up));
    rows.to_vec()
}
