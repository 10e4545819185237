//! Heun's method along the probability flow: Karras et al. 2022 (arXiv 2206.00364), algorithm 2
//! without churn. Checked against k-diffusion's `sample_heun` and diffusers'
//! `HeunDiscreteScheduler`.

use super::{FirstOrder, Grid, HISTORY, Level, Row, Sampler, Space, Trajectory};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "heun",
    aliases: &["k_heun", "HeunDiscreteScheduler"],
    summary: "Euler with a correction: two evaluations a step, deterministic",
    reference: "Karras et al. 2022, arXiv 2206.00364",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    eta: None,
    rows,
};

fn rows(trajectory: &Trajectory) -> Vec<Row> {
    let mut rows = Vec::with_capacity(2 * trajectory.points.len());
    for (step, point, end) in trajectory.steps() {
        let euler = FirstOrder::between(point.level, end, trajectory.eta);
        let euler = euler.apply_to(trajectory.evaluation(step, point));
        // The last step has no next point to correct with: it ends where there is no noise.
        let Some(&next) = trajectory.points.get(step + 1) else {
            rows.push(euler);
            break;
        };
        rows.push(Row {
            save: true,
            ..euler
        });
        rows.push(correction(
            point.level,
            end,
            trajectory.evaluation(step, next),
        ));
    }
    rows
}

/// `x' = x_saved + (σ' − σ)·(d + d')/2` with the slopes `d = (x_saved − D_1)/σ`, `d' = (x − D_0)/σ'`.
///
/// `x − D` is σ times the slope where signal changes with σ not at all or linearly to 1 at σ = 0:
/// in the variance-exploding and the flow space, which are the two that Heun's latents live in.
fn correction(from: Level, to: Level, row: Row) -> Row {
    let half = (to.noise - from.noise) / 2.0;
    let mut denoised = [0.0; HISTORY];
    denoised[0] = -half / to.noise;
    denoised[1] = -half / from.noise;
    Row {
        x: half / to.noise,
        saved: 1.0 + half / from.noise,
        denoised,
        ..row
    }
}
