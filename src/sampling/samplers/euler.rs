//! Euler's method along the probability flow: Karras et al. 2022 (arXiv 2206.00364), algorithm 2
//! without churn. Checked against k-diffusion's `sample_euler` and diffusers'
//! `EulerDiscreteScheduler`.

use super::{Grid, Networks, Sampler, Space};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "euler",
    aliases: &[
        "k_euler",
        "EulerDiscreteScheduler",
        "FlowMatchEulerDiscreteScheduler",
    ],
    summary: "the simplest: one evaluation a step, deterministic",
    reference: "Karras et al. 2022, arXiv 2206.00364",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::All,
    eta: None,
    rows: |trajectory| trajectory.first_order_rows(),
};
