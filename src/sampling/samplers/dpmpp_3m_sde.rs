//! DPM-Solver++(3M) SDE: the stochastic multistep solver to the third order. Checked against
//! k-diffusion's `sample_dpmpp_3m_sde`, where it was published.

use super::{Grid, Networks, Row, Sampler, Space, Step, Trajectory, Update};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "dpmpp_3m_sde",
    aliases: &[
        "DPM++ 3M SDE",
        "k_dpmpp_3m_sde",
        "dpmpp_3m_sde_gpu",
        "dpmpp_3m",
    ],
    summary: "stochastic, third order from one evaluation a step: for many steps",
    reference: "Katherine Crowson's k-diffusion, after Lu et al. 2022",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::Betas,
    eta: Some(1.0),
    rows,
};

fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    let mut before: Vec<f64> = Vec::new();
    let steps = trajectory.steps();
    steps
        .map(|step| {
            let update = update(&step, &before, trajectory.eta);
            before.push(step.lambda());
            trajectory.row(&step, update)
        })
        .collect()
}

/// `before` are the lengths in λ of the steps so far.
fn update(step: &Step, before: &[f64], eta: f64) -> Update {
    if step.to == 0.0 {
        return Update::of(0.0, 1.0);
    }
    let h = step.lambda();
    let decay = h * (1.0 + eta);
    let mut update = Update::of((-decay).exp(), -(-decay).exp_m1())
        .with_noise(step.to * (-(-2.0 * eta * h).exp_m1()).max(0.0).sqrt());
    // Steps that went nowhere (as many as timesteps leave some) tell nothing of the slope.
    let known = before
        .iter()
        .rev()
        .take_while(|last| **last > 0.0 && h > 0.0);
    let known: Vec<f64> = known.take(2).map(|last| last / h).collect();
    let phi_2 = (-decay).exp_m1() / decay + 1.0;
    match known[..] {
        [] => {}
        [r] => add_differences(&mut update, [phi_2 / r, 0.0]),
        [r_0, r_1, ..] => {
            // Divided differences d1_0 = (D_0 − D_1)/r_0 and d1_1 = (D_1 − D_2)/r_1.
            let phi_3 = phi_2 / decay - 0.5;
            let bend = (phi_2 * r_0 - phi_3) / (r_0 + r_1);
            add_differences(&mut update, [(phi_2 + bend) / r_0, -bend / r_1]);
        }
    }
    update
}

/// Adds multiples of `D_0 − D_1` and of `D_1 − D_2`.
fn add_differences(update: &mut Update, [first, second]: [f64; 2]) {
    update.past[0] += first;
    update.past[1] += second - first;
    update.past[2] -= second;
}
