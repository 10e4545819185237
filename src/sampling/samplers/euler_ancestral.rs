//! Euler's method with fresh noise each step. Checked against k-diffusion's
//! `sample_euler_ancestral` and diffusers' `EulerAncestralDiscreteScheduler`.

use super::{Grid, Networks, Sampler, Space};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "euler_ancestral",
    aliases: &[
        "Euler a",
        "euler_a",
        "k_euler_a",
        "k_euler_ancestral",
        "EulerAncestralDiscreteScheduler",
    ],
    summary: "adds noise each step: the picture keeps changing with the number of steps",
    reference: "k-diffusion, after Song et al. 2021, arXiv 2011.13456",
    space: Space::VarianceExploding,
    grid: Grid::K_DIFFUSION,
    networks: Networks::All,
    eta: Some(1.0),
    rows: |trajectory| trajectory.first_order_rows(),
};
