//! RES, the refined exponential solver, as a multistep method: Zhang et al. 2023 (arXiv 2308.02157).
//! Checked against the formulas of ComfyUI's `res_multistep` (comfy/k_diffusion/sampling.py).

use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update, ancestral};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "res_multistep",
    aliases: &[],
    summary: "refined exponential solver: second order from one evaluation a step",
    reference: "Zhang et al. 2023, arXiv 2308.02157",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: None,
    rows,
};

pub(super) const ANCESTRAL: Sampler = Sampler {
    name: "res_multistep_ancestral",
    aliases: &["res_multistep_a"],
    summary: "as res_multistep, with fresh noise each step",
    reference: "Zhang et al. 2023, arXiv 2308.02157",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: Some(1.0),
    rows,
};

fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    // Where the step before began, and how far down it went before its noise.
    let mut before: Option<[f64; 2]> = None;
    let steps = trajectory.steps();
    steps
        .map(|step| {
            let (down, up) = ancestral(step.from, step.to, trajectory.eta);
            let row = match before {
                Some(last) if down > 0.0 => {
                    trajectory.row(&step, update(&step, down, last).with_noise(up))
                }
                _ => trajectory.first_order(&step),
            };
            before = Some([step.from, down]);
            row
        })
        .collect()
}

/// `x' = e^(−h)·x + h·(b_1·D + b_2·D_old)`.
fn update(step: &Step, down: f64, [last_from, last_down]: [f64; 2]) -> Update {
    let h = (step.from / down).ln();
    // The place of the old evaluation in this step, in units of its length.
    let c_2 = (last_down / last_from).ln() / h;
    let phi_1 = -(-h).exp_m1() / h;
    let phi_2 = (1.0 - phi_1) / h;
    let b_2 = if h > 0.0 && c_2 != 0.0 {
        phi_2 / c_2
    } else {
        0.0
    };
    let phi_1 = if h > 0.0 { phi_1 } else { 1.0 };
    let mut update = Update::of((-h).exp(), h * (phi_1 - b_2));
    update.past[1] = h * b_2;
    update
}
