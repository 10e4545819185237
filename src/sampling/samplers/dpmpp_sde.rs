//! DPM-Solver++(SDE): Lu et al. 2022 (arXiv 2211.01095) through the middle of each step, with noise at
//! both stages. Checked against k-diffusion's `sample_dpmpp_sde` with r = 1/2.

use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update, ancestral};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "dpmpp_sde",
    aliases: &[
        "DPM++ SDE",
        "k_dpmpp_sde",
        "dpmpp_sde_gpu",
        "DPMSolverSDEScheduler",
    ],
    summary: "stochastic and second order: fine detail in few steps, two evaluations each",
    reference: "Lu et al. 2022, arXiv 2211.01095",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: Some(1.0),
    rows: |trajectory| trajectory.rows_of_steps(step_rows),
};

/// With r = 1/2 the end takes all of the middle's `D`.
fn step_rows(trajectory: &Trajectory<'_>, step: &Step) -> Vec<Row> {
    if step.to == 0.0 {
        return vec![trajectory.first_order(step)];
    }
    let middle = (step.from * step.to).sqrt();
    let (down, up) = ancestral(step.from, middle, trajectory.eta);
    let to_middle = down / step.from;
    let first = Update::of(to_middle, 1.0 - to_middle).with_noise(up);
    let (down, up) = ancestral(step.from, step.to, trajectory.eta);
    let to_end = down / step.from;
    let second = Update {
        saved: to_end,
        ..Update::of(0.0, 1.0 - to_end)
    };
    let rows = trajectory.rows_through(step, trajectory.at(middle), first, second.with_noise(up));
    rows.to_vec()
}
