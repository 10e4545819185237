//! Linear multistep methods over the noise in the latent: Adams-Bashforth along σ.
//!
//! `lms` and `ipndm_v` integrate a polynomial through the last slopes, whatever the steps' lengths;
//! `ipndm` takes the weights of equal steps. Checked against k-diffusion's `sample_lms` and, for
//! `ipndm`, against the weights of Liu et al. 2022 (arXiv 2202.09778), eq. 9.

use super::{Grid, HISTORY, Networks, Row, Sampler, Space, Step, Trajectory, Update};

pub(super) const LMS: Sampler = Sampler {
    name: "lms",
    aliases: &["k_lms", "LMSDiscreteScheduler"],
    summary: "a polynomial through the last four slopes: one evaluation a step, deterministic",
    reference: "Katherine Crowson's k-diffusion",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: None,
    rows: |trajectory| rows(trajectory, lagrange_weights),
};

pub(super) const IPNDM: Sampler = Sampler {
    name: "ipndm",
    aliases: &["iPNDM", "IPNDMScheduler"],
    summary: "the last four slopes with the weights of equal steps",
    reference: "Zhang & Chen 2022, arXiv 2204.13902",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: None,
    rows: |trajectory| rows_to_denoised(trajectory, equal_weights),
};

pub(super) const IPNDM_V: Sampler = Sampler {
    name: "ipndm_v",
    aliases: &["iPNDM_v"],
    summary: "as ipndm, with weights for steps of any length",
    reference: "Zhang & Chen 2022, arXiv 2204.13902",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: None,
    rows: |trajectory| rows_to_denoised(trajectory, lagrange_weights),
};

/// The weights of the slopes for a step, the newest first, given all noise levels so far.
type Weights = fn(&[f64], &Step) -> [f64; HISTORY];

/// `x' = x + Σ_j w_j·d_j` with the slopes `d = (x − D)/σ`, which are the history.
fn rows(trajectory: &Trajectory<'_>, weights: Weights) -> Vec<Row> {
    let levels: Vec<f64> = trajectory.steps().map(|step| step.from).collect();
    let steps = trajectory.steps();
    steps
        .map(|step| {
            let update = Update {
                x: 1.0,
                past: weights(&levels[..=step.index], &step),
                ..Update::default()
            };
            Row {
                entry: Trajectory::noise_entry(step.point),
                ..trajectory.row(&step, update)
            }
        })
        .collect()
}

/// The same, but for a step to the clean latent, which takes `D` for it.
fn rows_to_denoised(trajectory: &Trajectory<'_>, weights: Weights) -> Vec<Row> {
    let mut rows = rows(trajectory, weights);
    for step in trajectory.steps().filter(|step| step.to == 0.0) {
        rows[step.index] = trajectory.first_order(&step);
    }
    rows
}

/// ∫ over the step of the polynomial that is 1 at one level and 0 at the others.
fn lagrange_weights(levels: &[f64], step: &Step) -> [f64; HISTORY] {
    let nodes: Vec<f64> = levels.iter().rev().take(HISTORY).copied().collect();
    let mut weights = [0.0; HISTORY];
    for (j, (weight, node)) in weights.iter_mut().zip(&nodes).enumerate() {
        let others = || {
            nodes
                .iter()
                .enumerate()
                .filter(|(k, _)| *k != j)
                .map(|(_, other)| *other)
        };
        // Duplicate levels, which as many steps as timesteps leave, have no polynomial of their own.
        if others().any(|other| other == *node) {
            return equal_weights(&levels[levels.len() - 1..], step);
        }
        let basis = |sigma: f64| -> f64 {
            others()
                .map(|other| (sigma - other) / (node - other))
                .product()
        };
        *weight = integral(basis, step.from, step.to);
    }
    weights
}

/// Adams-Bashforth of equal steps, of the order that there are slopes for.
pub(super) fn equal_weights(levels: &[f64], step: &Step) -> [f64; HISTORY] {
    let weights = match levels.len() {
        1 => [1.0, 0.0, 0.0, 0.0],
        2 => [3.0, -1.0, 0.0, 0.0].map(|weight| weight / 2.0),
        3 => [23.0, -16.0, 5.0, 0.0].map(|weight| weight / 12.0),
        _ => [55.0, -59.0, 37.0, -9.0].map(|weight| weight / 24.0),
    };
    weights.map(|weight| weight * (step.to - step.from))
}

/// The integral of a polynomial of degree 3 or less: Simpson's rule is exact.
fn integral(polynomial: impl Fn(f64) -> f64, from: f64, to: f64) -> f64 {
    let middle = polynomial((from + to) / 2.0);
    (to - from) / 6.0 * (polynomial(from) + 4.0 * middle + polynomial(to))
}
