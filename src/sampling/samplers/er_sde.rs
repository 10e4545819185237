//! ER-SDE-Solver-3: Cui et al. 2023 (arXiv 2309.06169), a stochastic solver with its own measure of
//! noise. Checked against the formulas of ComfyUI's `er_sde` (comfy/k_diffusion/sampling.py).

use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "er_sde",
    aliases: &[],
    summary: "stochastic and third order from one evaluation a step: much detail in few steps",
    reference: "Cui et al. 2023, arXiv 2309.06169",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: None,
    rows,
};

/// How many pieces the integrals are summed from.
const PIECES: usize = 200;

/// The measure of noise at a level: the paper's `ER-SDE 5` (its table 3).
fn measure(sigma: f64) -> f64 {
    sigma * (sigma.powf(0.3).exp() + 10.0)
}

fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    let levels: Vec<f64> = trajectory.steps().map(|step| step.from).collect();
    let steps = trajectory.steps();
    steps
        .map(|step| trajectory.row(&step, update(&step, &levels[..step.index])))
        .collect()
}

/// `before` are the levels of the steps so far.
fn update(step: &Step, before: &[f64]) -> Update {
    if step.to == 0.0 {
        return Update::of(0.0, 1.0);
    }
    let r = measure(step.to) / measure(step.from);
    let noise = (step.to.powi(2) - (step.from * r).powi(2)).max(0.0).sqrt();
    let mut update = Update::of(r, 1.0 - r).with_noise(noise);
    let (one, two) = (before.last(), before.iter().rev().nth(1));
    let Some(&last) = one.filter(|last| **last > step.from && step.from > step.to) else {
        return update;
    };
    // The slope of D in σ, (D_0 − D_1)/(σ − σ_1).
    let change = step.to - step.from;
    let [plain, weighted] = integrals(step);
    let slope = change + plain * measure(step.to);
    add(&mut update, 0, slope / (step.from - last));
    if let Some(&older) = two.filter(|older| **older > last) {
        // The change of the slope, over half of the way from σ_2 to σ.
        let bend = change * change / 2.0 + weighted * measure(step.to);
        let bend = bend / ((step.from - older) / 2.0);
        add(&mut update, 0, bend / (step.from - last));
        add(&mut update, 1, -bend / (last - older));
    }
    update
}

/// Adds a multiple of `D_j − D_(j+1)`.
fn add(update: &mut Update, j: usize, factor: f64) {
    update.past[j] += factor;
    update.past[j + 1] -= factor;
}

/// ∫ 1/measure and ∫ (λ − σ)/measure from the step's end up to its start, in left sums.
fn integrals(step: &Step) -> [f64; 2] {
    let piece = (step.from - step.to) / PIECES as f64;
    let places = (0..PIECES).map(|i| step.to + i as f64 * piece);
    places.fold([0.0; 2], |[plain, weighted], place| {
        let share = piece / measure(place);
        [plain + share, weighted + (place - step.from) * share]
    })
}
