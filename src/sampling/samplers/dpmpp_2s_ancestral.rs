//! DPM-Solver++(2S) with fresh noise each step: Lu et al. 2022 (arXiv 2211.01095), algorithm 1 with
//! r = 1/2. Checked against k-diffusion's `sample_dpmpp_2s_ancestral`.

use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update, ancestral};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "dpmpp_2s_ancestral",
    aliases: &[
        "DPM++ 2S a",
        "k_dpmpp_2s_a",
        "dpm++2s_a",
        "dpmpp_2s",
        "DPMSolverSinglestepScheduler",
    ],
    summary: "second order through the middle of each step, with fresh noise: two evaluations",
    reference: "Lu et al. 2022, arXiv 2211.01095",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: Some(1.0),
    rows: |trajectory| trajectory.rows_of_steps(step_rows),
};

fn step_rows(trajectory: &Trajectory<'_>, step: &Step) -> Vec<Row> {
    let (down, up) = ancestral(step.from, step.to, trajectory.eta);
    if down == 0.0 {
        return vec![trajectory.first_order(step)];
    }
    // `x' = (σ'/σ)·x + (1 − σ'/σ)·D`, exact for a `D` that stays.
    let middle = (step.from * down).sqrt();
    let (to_middle, to_end) = (middle / step.from, down / step.from);
    let second = Update {
        saved: to_end,
        ..Update::of(0.0, 1.0 - to_end)
    };
    let rows = trajectory.rows_through(
        step,
        trajectory.at(middle),
        Update::of(to_middle, 1.0 - to_middle),
        second.with_noise(up),
    );
    rows.to_vec()
}
