//! DDPM: Ho et al. 2020 (arXiv 2006.11239), algorithm 2 with the smaller variance, over as few steps
//! as asked. Checked against diffusers' `DDPMScheduler` (`fixed_small`, `clip_sample = false`).

use super::{Grid, Networks, Sampler, Space, Trajectory};
use crate::sampling::Timesteps;

pub(super) const SAMPLER: Sampler = Sampler {
    name: "ddpm",
    aliases: &["k_ddpm", "DDPMScheduler"],
    summary: "the diffusion run backwards as it was trained: much fresh noise each step",
    reference: "Ho et al. 2020, arXiv 2006.11239",
    space: Space::VariancePreserving,
    grid: Grid {
        timesteps: Timesteps::Whole,
        ..Grid::K_DIFFUSION
    },
    networks: Networks::Betas,
    eta: None,
    rows,
};

/// The posterior of the diffusion, which is DDIM's step at eta 1.
fn rows(trajectory: &Trajectory<'_>) -> Vec<super::Row> {
    let steps = trajectory.steps();
    steps
        .map(|step| trajectory.first_order_with(&step, 1.0))
        .collect()
}
