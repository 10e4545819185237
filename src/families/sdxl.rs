//! Stable Diffusion XL (Podell et al. 2023, arXiv 2307.01952), base and refiner.
//!
//! The numbers are those of the original `sd_xl_base.yaml` and `sd_xl_refiner.yaml`, and of the
//! `config.json` files that diffusers keeps; steps and guidance scale are what peers offer.

use super::{
    Added, EmptyNegative, Family, LatentRgb, TextEncoderSpec, context_width, markers, sd1,
    text_width,
};
use crate::networks::{Activation, ClipConfig, Heads, LevelHeads};
use crate::sampling::AlignYourSteps;
use crate::weights::Weights;

/// OpenCLIP ViT-bigG/14: tokens as they come out of the last layer but one, and the whole text.
const CLIP_G: ClipConfig = ClipConfig {
    heads: Heads::Width(64),
    activation: Activation::Gelu,
    layer_norm_eps: 1e-5,
    skipped_layers: 1,
    normalised: false,
    pooled: true,
};

/// The scale of the VAE's latents.
const SCALING_FACTOR: f32 = 0.13025;

const TEXT_ENCODER_2: TextEncoderSpec = TextEncoderSpec {
    part: "text_encoder_2",
    clip: CLIP_G,
    tokenizer: "tokenizer_2",
    pad_id: Some(0),
};

pub(super) static BASE: Family = Family {
    name: "sdxl",
    title: "Stable Diffusion XL",
    looked_for: "a UNet with added conditions, a VAE and two text encoders, together as wide as \
                 the UNet's cross attention",
    recognise: recognise_base,
    sample_size: 128,
    v_sample_size: 128,
    steps: 30,
    guidance_scale: 5.0,
    sampler: "euler",
    text_encoders: &[
        TextEncoderSpec {
            part: "text_encoder",
            clip: ClipConfig {
                skipped_layers: 1,
                normalised: false,
                ..sd1::CLIP_L
            },
            tokenizer: "tokenizer",
            pad_id: None,
        },
        TEXT_ENCODER_2,
    ],
    added: Added::SizeAndCrop,
    empty_negative: EmptyNegative::Zeros,
    unet: sd1::unet(2048, LevelHeads::Width(64)),
    vae: sd1::vae(SCALING_FACTOR),
    latent_rgb: LatentRgb::STABLE_DIFFUSION_XL,
    scheduler: sd1::SCHEDULER,
    align_your_steps: AlignYourSteps::StableDiffusionXl,
    read_prediction: |_| None,
};

pub(super) static REFINER: Family = Family {
    name: "sdxl-refiner",
    title: "the refiner of Stable Diffusion XL",
    looked_for: "a UNet with added conditions, a VAE and OpenCLIP ViT-bigG alone",
    recognise: recognise_refiner,
    sample_size: 128,
    v_sample_size: 128,
    steps: 30,
    guidance_scale: 5.0,
    sampler: "euler",
    text_encoders: &[TEXT_ENCODER_2],
    added: Added::SizeAndScore,
    empty_negative: EmptyNegative::Encoded,
    unet: sd1::unet(1280, LevelHeads::Width(64)),
    vae: sd1::vae(SCALING_FACTOR),
    latent_rgb: LatentRgb::STABLE_DIFFUSION_XL,
    scheduler: sd1::SCHEDULER,
    align_your_steps: AlignYourSteps::StableDiffusionXl,
    read_prediction: |_| None,
};

fn recognise_base(weights: &Weights) -> bool {
    let widths =
        [markers::TEXT_ENCODER, markers::TEXT_ENCODER_2].map(|marker| text_width(weights, marker));
    let [Some(first), Some(second)] = widths else {
        return false;
    };
    has_networks(weights) && context_width(weights) == Some(first + second)
}

fn recognise_refiner(weights: &Weights) -> bool {
    let width = text_width(weights, markers::TEXT_ENCODER_2);
    has_networks(weights) && width.is_some() && context_width(weights) == width
}

fn has_networks(weights: &Weights) -> bool {
    let needed = [markers::UNET, markers::ADD_EMBEDDING, markers::VAE];
    needed.iter().all(|name| weights.scope("").has(name))
}
