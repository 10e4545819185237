//! DDIM: Song, Meng & Ermon 2021 (arXiv 2010.02502). Checked against diffusers' `DDIMScheduler`
//! with `set_alpha_to_one = false` and `clip_sample = false`, as Stable Diffusion has it.

use super::{Grid, Networks, Sampler, Space};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "ddim",
    aliases: &["k_ddim", "DDIMScheduler"],
    summary: "the classic: deterministic, and ancestral as eta goes to 1",
    reference: "Song et al. 2021, arXiv 2010.02502",
    space: Space::VariancePreserving,
    grid: Grid::DDIM,
    networks: Networks::All,
    eta: Some(0.0),
    rows: |trajectory| trajectory.first_order_rows(),
};
