//! Stable Diffusion 1.x (Rombach et al. 2022, arXiv 2112.10752): 1.1 to 1.5 and all that was
//! trained on from there.
//!
//! The numbers are those of the original `v1-inference.yaml` and of the `config.json` files that
//! diffusers keeps for v1-5; steps and guidance scale are what peers offer.

use super::{
    Added, BetaSchedule, EmptyNegative, Family, LatentRgb, SchedulerConfig, TextEncoderSpec,
    context_width, markers, sd2, text_width,
};
use crate::networks::{Activation, ClipConfig, Heads, LevelHeads, PerLevel, UnetConfig, VaeConfig};
use crate::sampling::{AlignYourSteps, Prediction};
use crate::weights::Weights;

/// OpenAI's CLIP ViT-L/14, also the first of SDXL's two.
pub(super) const CLIP_L: ClipConfig = ClipConfig {
    heads: Heads::Width(64),
    activation: Activation::QuickGelu,
    layer_norm_eps: 1e-5,
    skipped_layers: 0,
    normalised: true,
    pooled: false,
};

/// The noise that all families here were trained on, and diffusers' way through it.
pub(super) const SCHEDULER: SchedulerConfig = SchedulerConfig {
    beta_schedule: BetaSchedule::ScaledLinear,
    beta_start: 0.00085,
    beta_end: 0.012,
    train_steps: 1000,
    steps_offset: 1,
    prediction: Prediction::Epsilon,
    zero_terminal_snr: false,
    sigma_range: None,
    spacing: "leading",
};

/// The UNet of all families here, but for what it attends to and in how many heads.
pub(super) const fn unet(cross_attention_dim: usize, heads: LevelHeads) -> UnetConfig {
    UnetConfig {
        in_channels: 4,
        out_channels: 4,
        cross_attention_dim,
        heads,
        norm_num_groups: 32,
        norm_eps: 1e-5,
        flip_sin_to_cos: true,
        freq_shift: 0.0,
        added: None,
    }
}

/// The VAE of all families here, but for the scale of its latents.
pub(super) const fn vae(scaling_factor: f32) -> VaeConfig {
    VaeConfig {
        latent_channels: 4,
        norm_num_groups: 32,
        scaling_factor,
        shift_factor: 0.0,
    }
}

pub(super) static SD1: Family = Family {
    name: "sd1",
    title: "Stable Diffusion 1.x",
    looked_for: "a UNet, a VAE and one CLIP text encoder as wide as the UNet's cross attention",
    recognise,
    sample_size: 64,
    v_sample_size: 64,
    steps: 20,
    guidance_scale: 7.0,
    sampler: "euler",
    text_encoders: &[TextEncoderSpec {
        part: "text_encoder",
        clip: CLIP_L,
        tokenizer: "tokenizer",
        pad_id: None,
    }],
    added: Added::Nothing,
    empty_negative: EmptyNegative::Encoded,
    unet: unet(768, LevelHeads::Count(PerLevel::Same(8))),
    vae: vae(0.18215),
    latent_rgb: LatentRgb::STABLE_DIFFUSION,
    scheduler: SCHEDULER,
    align_your_steps: AlignYourSteps::StableDiffusion,
    read_prediction: |_| None,
};

fn recognise(weights: &Weights) -> bool {
    let has_all_parts = markers::ALL.iter().all(|name| weights.scope("").has(name));
    let adds_conditions = weights.scope("").has(markers::ADD_EMBEDDING);
    let width = context_width(weights);
    has_all_parts
        && !adds_conditions
        && width.is_some()
        && width == text_width(weights, markers::TEXT_ENCODER)
        && !sd2::has_open_clip(weights)
}
