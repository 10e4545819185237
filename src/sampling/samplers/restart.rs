//! Restart sampling: Xu et al. 2023 (arXiv 2306.14878). Heun's steps along Karras' levels, some of
//! which are gone through again after noise. Checked against the plan of A1111's `restart_sampler`
//! (modules/sd_samplers_extra.py).

use super::heun;
use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory};
use crate::sampling::schedule::karras_levels;

pub(super) const SAMPLER: Sampler = Sampler {
    name: "restart",
    aliases: &["Restart"],
    summary: "steps of heun that climb up again by noise to mend errors; lays its own levels",
    reference: "Xu et al. 2023, arXiv 2306.14878",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: None,
    rows,
};

/// Between which noise levels runs are gone through again, the lowest first.
const RESTART_MIN: f64 = 0.1;
const RESTART_MAX: f64 = 2.0;
/// The exponent of Karras' levels.
const RHO: f64 = 7.0;

/// How many steps are gone through again, and how often, of so many in all.
fn restarts(steps: usize) -> (usize, usize) {
    match steps {
        0..20 => (0, 0),
        20..36 => (9, 1),
        _ => (steps / 4, 2),
    }
}

fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    let pairs = pairs(trajectory);
    let mut rows: Vec<Row> = Vec::new();
    let mut reached = None;
    for (index, &[from, to]) in pairs.iter().enumerate() {
        // A step that begins above where the last one ended is led up to by noise.
        let climb: Option<f64> = reached.filter(|reached| *reached < from);
        if let (Some(low), Some(last)) = (climb, rows.last_mut()) {
            last.next.noise = (from * from - low * low).sqrt();
            last.noise_interval = [from, low];
        }
        let step = Step {
            index,
            point: trajectory.at(from),
            end: trajectory.space.level(to),
            from,
            to,
        };
        let next = (to > 0.0).then(|| trajectory.at(to));
        rows.extend(heun::step_rows(trajectory, &step, next));
        reached = Some(to);
    }
    rows
}

/// The steps in order: from one noise level to another.
fn pairs(trajectory: &Trajectory<'_>) -> Vec<[f64; 2]> {
    let count = trajectory.points.len();
    let (high, low) = (
        trajectory.points[0].sigma,
        trajectory.points[count - 1].sigma,
    );
    let (again, times) = restarts(count);
    let mut levels = karras_levels(count - again * times, high, low, RHO);
    levels.push(0.0);
    let nearest = |wanted: f64| {
        let distance = |i: &usize| (levels[*i] - wanted).abs();
        (0..levels.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
    };
    let turn = nearest(RESTART_MIN).zip(nearest(RESTART_MAX));
    let turn = turn.filter(|(bottom, top)| times > 0 && top < bottom);
    let mut pairs = Vec::with_capacity(count);
    for (i, pair) in levels.windows(2).enumerate() {
        pairs.push([pair[0], pair[1]]);
        if let Some((bottom, top)) = turn.filter(|(bottom, _)| *bottom == i + 1) {
            let again = karras_levels(again + 1, levels[top], levels[bottom], RHO);
            for _ in 0..times {
                pairs.extend(again.windows(2).map(|pair| [pair[0], pair[1]]));
            }
        }
    }
    pairs
}
