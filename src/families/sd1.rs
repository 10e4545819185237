//! Stable Diffusion 1.x (Rombach et al. 2022, arXiv 2112.10752): 1.1 to 1.5 and all that was
//! trained on from there.
//!
//! The numbers are those of the original `v1-inference.yaml` and of the `config.json` files that
//! diffusers keeps for v1-5; steps and guidance scale are what peers offer.

use super::{BetaSchedule, Family, SchedulerConfig, context_width, markers, text_width};
use crate::networks::{Activation, ClipConfig, PerLevel, UnetConfig, VaeConfig};
use crate::sampling::Prediction;
use crate::weights::Weights;

/// SD 2.x has the same parts in a diffusers folder; its text encoder (OpenCLIP ViT-H) tells it.
const SD2_CONTEXT_WIDTH: usize = 1024;

pub(super) static SD1: Family = Family {
    name: "sd1",
    title: "Stable Diffusion 1.x",
    looked_for: "a UNet, a VAE and one CLIP text encoder as wide as the UNet's cross attention",
    recognise,
    sample_size: 64,
    steps: 20,
    guidance_scale: 7.0,
    sampler: "euler",
    text_encoder: ClipConfig {
        num_heads: 12,
        activation: Activation::QuickGelu,
        layer_norm_eps: 1e-5,
    },
    unet: UnetConfig {
        in_channels: 4,
        out_channels: 4,
        cross_attention_dim: 768,
        num_heads: PerLevel::Same(8),
        norm_num_groups: 32,
        norm_eps: 1e-5,
        flip_sin_to_cos: true,
        freq_shift: 0.0,
    },
    vae: VaeConfig {
        latent_channels: 4,
        norm_num_groups: 32,
        scaling_factor: 0.18215,
        shift_factor: 0.0,
    },
    scheduler: SchedulerConfig {
        beta_schedule: BetaSchedule::ScaledLinear,
        beta_start: 0.00085,
        beta_end: 0.012,
        train_steps: 1000,
        steps_offset: 1,
        prediction: Prediction::Epsilon,
        spacing: "leading",
    },
};

fn recognise(weights: &Weights) -> bool {
    let has_all_parts = markers::ALL.iter().all(|name| weights.scope("").has(name));
    let adds_conditions = weights.scope("unet").has_scope("add_embedding");
    let width = context_width(weights);
    has_all_parts
        && !adds_conditions
        && width.is_some()
        && width == text_width(weights)
        && width != Some(SD2_CONTEXT_WIDTH)
}
