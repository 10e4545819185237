//! PNDM without its Runge-Kutta start (PLMS): Liu et al. 2022 (arXiv 2202.09778). Checked against
//! diffusers' `PNDMScheduler` with `skip_prk_steps = true` and `set_alpha_to_one = false`.

use super::adams_bashforth::equal_weights;
use super::{Grid, Networks, Point, Row, Sampler, Space, Step, Trajectory, Update};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "pndm",
    aliases: &["PLMS", "k_plms", "PNDMScheduler"],
    summary: "the first fast one: multistep over the noise, deterministic",
    reference: "Liu et al. 2022, arXiv 2202.09778",
    space: Space::VariancePreserving,
    grid: Grid::DDIM,
    networks: Networks::Betas,
    eta: None,
    rows,
};

/// The first step is taken twice: once to see the slope at its end, then with the mean of both.
fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    let levels: Vec<f64> = trajectory.steps().map(|step| step.from).collect();
    let mut rows = Vec::with_capacity(levels.len() + 1);
    for step in trajectory.steps() {
        let update = Update {
            x: 1.0,
            past: equal_weights(&levels[..=step.index], &step),
            ..Update::default()
        };
        let row = Row {
            entry: Trajectory::noise_entry(step.point),
            ..trajectory.row(&step, update)
        };
        match trajectory.points.get(1) {
            Some(next) if step.index == 0 => rows.extend(start(trajectory, &step, row, next)),
            _ => rows.push(row),
        }
    }
    rows
}

/// The first step: `first` to its end, and from its start again with half of either slope. Later
/// rows do not see the slope at the end, since the one of the next step is at the same place.
fn start(trajectory: &Trajectory<'_>, step: &Step, first: Row, next: &Point) -> [Row; 2] {
    let end = Point {
        level: step.end,
        ..*next
    };
    let half = (step.to - step.from) / 2.0;
    let second = Update {
        saved: 1.0,
        past: [half, half, 0.0, 0.0],
        ..Update::default()
    };
    let [start, finish] = trajectory.rows_through(step, end, Update::default(), second);
    [
        Row {
            keep: start.keep,
            ..first
        },
        Row {
            entry: Trajectory::noise_entry(end),
            remembered: false,
            ..finish
        },
    ]
}
