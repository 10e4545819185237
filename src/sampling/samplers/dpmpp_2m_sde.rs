//! DPM-Solver++(2M) SDE: Lu et al. 2022 (arXiv 2211.01095), the stochastic multistep solver, with the
//! correction of the midpoint or of Heun's kind. Checked against k-diffusion's `sample_dpmpp_2m_sde`.

use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "dpmpp_2m_sde",
    aliases: &[
        "DPM++ 2M SDE",
        "k_dpmpp_2m_sde",
        "dpmpp_2m_sde_gpu",
        "dpm++2m_sde",
    ],
    summary: "stochastic, second order from one evaluation a step",
    reference: "Lu et al. 2022, arXiv 2211.01095",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: Some(1.0),
    rows: |trajectory| rows(trajectory, midpoint),
};

pub(super) const HEUN: Sampler = Sampler {
    name: "dpmpp_2m_sde_heun",
    aliases: &[
        "DPM++ 2M SDE Heun",
        "k_dpmpp_2m_sde_heun",
        "dpmpp_2m_sde_heun_gpu",
    ],
    summary: "as dpmpp_2m_sde with the correction of heun: somewhat softer",
    reference: "Lu et al. 2022, arXiv 2211.01095",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: Some(1.0),
    rows: |trajectory| rows(trajectory, heun),
};

/// How much of the change of `D` over the last step, were that as long as this one, is added; of the
/// decay over this step.
type Correction = fn(f64) -> f64;

fn midpoint(decay: f64) -> f64 {
    -0.5 * (-decay).exp_m1()
}

fn heun(decay: f64) -> f64 {
    (-decay).exp_m1() / decay + 1.0
}

fn rows(trajectory: &Trajectory<'_>, correction: Correction) -> Vec<Row> {
    let mut last = None;
    let steps = trajectory.steps();
    steps
        .map(|step| {
            let update = update(&step, last, trajectory.eta, correction);
            last = Some(step.lambda()).filter(|h| h.is_finite() && *h > 0.0);
            trajectory.row(&step, update)
        })
        .collect()
}

/// `last` is the length of the step before in λ.
fn update(step: &Step, last: Option<f64>, eta: f64, correction: Correction) -> Update {
    let h = step.lambda();
    if step.to == 0.0 {
        return Update::of(0.0, 1.0);
    }
    let decay = h * (1.0 + eta);
    let mut update = Update::of((-decay).exp(), -(-decay).exp_m1())
        .with_noise(step.to * (-(-2.0 * eta * h).exp_m1()).max(0.0).sqrt());
    if let Some(last) = last.filter(|_| h > 0.0) {
        let weight = correction(decay) * h / last;
        update.past[0] += weight;
        update.past[1] -= weight;
    }
    update
}
