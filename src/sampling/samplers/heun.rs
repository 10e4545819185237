//! Heun's method along the probability flow: Karras et al. 2022 (arXiv 2206.00364), algorithm 2
//! without churn. Checked against k-diffusion's `sample_heun` and diffusers'
//! `HeunDiscreteScheduler`.

use super::table::Combination;
use super::{Grid, HISTORY, Level, Networks, Point, Row, Sampler, Space, Step, Trajectory};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "heun",
    aliases: &["k_heun", "HeunDiscreteScheduler"],
    summary: "Euler with a correction: two evaluations a step, deterministic",
    reference: "Karras et al. 2022, arXiv 2206.00364",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::All,
    eta: None,
    rows,
};

fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    let steps = trajectory.steps();
    steps
        .flat_map(|step| {
            let next = trajectory.points.get(step.index + 1);
            step_rows(trajectory, &step, next.copied())
        })
        .collect()
}

/// A step with its correction at `next`, where it ends; without one where there is no noise left.
pub(super) fn step_rows(trajectory: &Trajectory<'_>, step: &Step, next: Option<Point>) -> Vec<Row> {
    let euler = trajectory.first_order(step);
    let Some(next) = next else {
        return vec![euler];
    };
    let start = Row {
        keep: Some(Combination {
            x: 1.0,
            ..Combination::default()
        }),
        ..euler
    };
    let next = Row {
        noise_interval: start.noise_interval,
        ..trajectory.evaluation(step.index, next)
    };
    vec![start, correction(step.point.level, step.end, next)]
}

/// `x' = x_saved + (σ' − σ)·(d + d')/2` with the slopes `d = (x_saved − D_1)/σ`, `d' = (x − D_0)/σ'`.
///
/// `x − D` is σ times the slope where signal changes with σ not at all or linearly to 1 at σ = 0:
/// in the variance-exploding and the flow space, which are the two that Heun's latents live in.
fn correction(from: Level, to: Level, row: Row) -> Row {
    let half = (to.noise - from.noise) / 2.0;
    let mut past = [0.0; HISTORY];
    past[0] = -half / to.noise;
    past[1] = -half / from.noise;
    Row {
        next: Combination {
            x: half / to.noise,
            saved: 1.0 + half / from.noise,
            past,
            noise: 0.0,
        },
        ..row
    }
}
