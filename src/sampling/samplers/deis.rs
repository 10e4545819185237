//! DEIS: Zhang & Chen 2022 (arXiv 2204.13902), the exponential integrator with a polynomial in log ρ.
//! Checked against diffusers' `DEISMultistepScheduler` (order 2, `logrho`).

use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "deis",
    aliases: &["DEISMultistepScheduler"],
    summary: "exponential integrator: second order from one evaluation a step, deterministic",
    reference: "Zhang & Chen 2022, arXiv 2204.13902",
    space: Space::VariancePreserving,
    grid: Grid::DPM_SOLVER,
    networks: Networks::Betas,
    eta: None,
    rows,
};

/// In a run of fewer steps the last one is of the first order: diffusers' `lower_order_final`.
const MANY_STEPS: usize = 15;

fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    let count = trajectory.points.len();
    let mut before = None;
    let steps = trajectory.steps();
    steps
        .map(|step| {
            let is_final = step.index + 1 == count && trajectory.run_steps < MANY_STEPS;
            let last = before.filter(|last| !is_final && step.to > 0.0 && *last > step.from);
            before = Some(step.from);
            let update = Update {
                x: 1.0,
                past: weights(&step, last),
                ..Update::default()
            };
            Row {
                entry: Trajectory::noise_entry(step.point),
                ..trajectory.row(&step, update)
            }
        })
        .collect()
}

/// The weights of this step's noise and of the last one's, at σ = `last`.
fn weights(step: &Step, last: Option<f64>) -> [f64; 4] {
    match last {
        None => [step.to - step.from, 0.0, 0.0, 0.0],
        Some(last) => {
            let over = |here: f64, there: f64| {
                antiderivative(step.to, here, there) - antiderivative(step.from, here, there)
            };
            [over(step.from, last), over(last, step.from), 0.0, 0.0]
        }
    }
}

/// ∫ of the line in ln σ that is 1 at `here` and 0 at `there`.
fn antiderivative(sigma: f64, here: f64, there: f64) -> f64 {
    sigma * (sigma.ln() - there.ln() - 1.0) / (here.ln() - there.ln())
}
