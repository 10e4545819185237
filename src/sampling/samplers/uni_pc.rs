//! UniPC: Zhao et al. 2023 (arXiv 2302.04867), a predictor and a corrector that share evaluations.
//! Checked against diffusers' `UniPCMultistepScheduler` (order 2, `bh1` and `bh2`, predicting x_0).

use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "uni_pc",
    aliases: &["UniPC", "unipc"],
    summary: "corrects each step with the next evaluation: good pictures in 10 to 20 steps",
    reference: "Zhao et al. 2023, arXiv 2302.04867",
    space: Space::VariancePreserving,
    grid: Grid::DPM_SOLVER,
    networks: Networks::Betas,
    eta: None,
    rows: |trajectory| rows(trajectory, bh1),
};

pub(super) const BH2: Sampler = Sampler {
    name: "uni_pc_bh2",
    aliases: &["unipc_bh2", "UniPCMultistepScheduler"],
    summary: "as uni_pc, weighted for guidance",
    reference: "Zhao et al. 2023, arXiv 2302.04867",
    space: Space::VariancePreserving,
    grid: Grid::DPM_SOLVER,
    networks: Networks::Betas,
    eta: None,
    rows: |trajectory| rows(trajectory, bh2),
};

/// `B(h)` of the paper, of h with its sign turned.
type Weight = fn(f64) -> f64;

fn bh1(hh: f64) -> f64 {
    hh
}

fn bh2(hh: f64) -> f64 {
    hh.exp_m1()
}

fn rows(trajectory: &Trajectory<'_>, weight: Weight) -> Vec<Row> {
    let steps: Vec<Step> = trajectory.steps().collect();
    let mut rows = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        let corrected = corrected(&steps[..=i], weight);
        let is_last = i + 1 == steps.len();
        let update = predicted(&steps[..=i], weight, corrected, is_last);
        let level = step.point.level;
        let before = steps[i.saturating_sub(1)].point.level;
        rows.push(Row {
            next: update.between(level, before, step.end),
            keep: Some(corrected.between(level, before, level)),
            ..trajectory.row(step, update)
        });
    }
    rows
}

/// The latent where a step begins, corrected with the evaluation there: from the step before, whose
/// own corrected start is the saved latent.
fn corrected(steps: &[Step], weight: Weight) -> Update {
    let unchanged = Update::of(1.0, 0.0);
    let [.., last, _] = steps else {
        return unchanged;
    };
    let h = last.lambda();
    if h <= 0.0 {
        return unchanged;
    }
    let (hh, big_b) = (-h, weight(-h));
    let phi_1 = hh.exp_m1();
    let mut update = Update {
        saved: last.to / last.from,
        ..Update::default()
    };
    update.past[1] = -phi_1;
    let older = steps
        .len()
        .checked_sub(3)
        .map(|older| steps[older].lambda());
    let rho_new = match older.filter(|older| *older > 0.0) {
        None => 0.5,
        Some(older) => {
            let r = -older / h;
            let phi_2 = phi_1 / hh - 1.0;
            let (b_1, b_2) = (phi_2 / big_b, 2.0 * (phi_2 / hh - 0.5) / big_b);
            let rho = (b_1 - b_2) / (1.0 - r);
            let factor = big_b * rho / r;
            update.past[2] -= factor;
            update.past[1] += factor;
            b_1 - rho
        }
    };
    update.past[0] -= big_b * rho_new;
    update.past[1] += big_b * rho_new;
    update
}

/// The latent where the step ends, from its corrected start.
fn predicted(steps: &[Step], weight: Weight, start: Update, is_last: bool) -> Update {
    let step = steps[steps.len() - 1];
    let h = step.lambda();
    if step.to == 0.0 {
        return Update::of(0.0, 1.0);
    }
    let keep = step.to / step.from;
    let mut update = Update {
        x: keep * start.x,
        saved: keep * start.saved,
        past: start.past.map(|factor| keep * factor),
        noise: 0.0,
    };
    update.past[0] -= (-h).exp_m1();
    let last = steps.len().checked_sub(2).map(|last| steps[last].lambda());
    if let Some(last) = last.filter(|last| *last > 0.0 && h > 0.0 && !is_last) {
        let factor = 0.5 * weight(-h) / (-last / h);
        update.past[1] -= factor;
        update.past[0] += factor;
    }
    update
}
