//! Euler's method with fresh noise each step. Checked against k-diffusion's
//! `sample_euler_ancestral` and diffusers' `EulerAncestralDiscreteScheduler`.

use super::{Grid, Sampler, Space, Trajectory};

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
    eta: Some(1.0),
    rows: Trajectory::first_order_rows,
};
