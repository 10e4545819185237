//! Trajectory consistency distillation: Zheng et al. 2024 (arXiv 2402.19159), strategic stochastic
//! sampling. Checked against diffusers' `TCDScheduler`.

use super::{Grid, Level, Networks, Row, Sampler, Space, Step, Trajectory, Update, ratio};
use crate::sampling::Timesteps;

pub(super) const SAMPLER: Sampler = Sampler {
    name: "tcd",
    aliases: &["TCDScheduler"],
    summary: "for trajectory consistency models: eta says how much is noised anew",
    reference: "Zheng et al. 2024, arXiv 2402.19159",
    space: Space::VariancePreserving,
    grid: Grid {
        timesteps: Timesteps::Whole,
        ..Grid::K_DIFFUSION
    },
    networks: Networks::Betas,
    eta: Some(0.3),
    rows,
};

/// A step goes down to a share `1 − eta` of the next timestep, and up to it by noise. The last one
/// goes down to timestep 0, as diffusers' does.
fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    let steps = trajectory.steps();
    steps
        .map(|step| match trajectory.points.get(step.index + 1) {
            Some(next) => trajectory.row(&step, update(trajectory, &step, next.timestep)),
            None => {
                let end = level_at(trajectory, 0.0);
                let keep = ratio(end) / step.from;
                trajectory.row(&Step { end, ..step }, Update::of(keep, 1.0 - keep))
            }
        })
        .collect()
}

fn update(trajectory: &Trajectory<'_>, step: &Step, next: f64) -> Update {
    let below = ((1.0 - trajectory.eta) * next).floor();
    let down = ratio(level_at(trajectory, below)).min(step.to);
    let keep = down / step.from;
    let up = (step.to.powi(2) - down.powi(2)).max(0.0).sqrt();
    Update::of(keep, 1.0 - keep).with_noise(up)
}

fn level_at(trajectory: &Trajectory<'_>, timestep: f64) -> Level {
    trajectory
        .space
        .level(trajectory.noise_model.sigma(timestep))
}
