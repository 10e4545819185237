//! Stable Diffusion 2.x: the network of 1.x with a wider text encoder, OpenCLIP ViT-H/14, of which
//! the last layer is left out.
//!
//! The numbers are those of the original `v2-inference.yaml` and `v2-inference-v.yaml`, and of the
//! `config.json` files that diffusers keeps for 2-1.

use super::{
    Added, EmptyNegative, Family, LatentRgb, TextEncoderSpec, context_width, markers, sd1,
    text_width,
};
use crate::networks::{Activation, ClipConfig, Heads, LevelHeads};
use crate::sampling::{AlignYourSteps, Prediction};
use crate::weights::Weights;

/// The width of OpenCLIP ViT-H/14, which tells the family in a diffusers folder.
const CONTEXT_WIDTH: usize = 1024;

/// A weight whose values are spread wider in models that predict v: ComfyUI's `supported_models.py`,
/// `SD20.model_type`.
const SPREAD_TENSOR: &str = "unet.up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias";
/// Its standard deviation is over this in them.
const V_SPREAD: f64 = 0.09;

pub(super) static SD2: Family = Family {
    name: "sd2",
    title: "Stable Diffusion 2.x",
    looked_for: "a UNet, a VAE and one OpenCLIP text encoder as wide as the UNet's cross attention",
    recognise,
    sample_size: 64,
    v_sample_size: 96,
    steps: 20,
    guidance_scale: 7.0,
    sampler: "euler",
    text_encoders: &[TextEncoderSpec {
        part: "text_encoder",
        clip: ClipConfig {
            heads: Heads::Width(64),
            activation: Activation::Gelu,
            layer_norm_eps: 1e-5,
            skipped_layers: 1,
            normalised: true,
            pooled: false,
        },
        tokenizer: "tokenizer",
        pad_id: Some(0),
    }],
    added: Added::Nothing,
    empty_negative: EmptyNegative::Encoded,
    unet: sd1::unet(CONTEXT_WIDTH, LevelHeads::Width(64)),
    vae: sd1::vae(0.18215),
    latent_rgb: LatentRgb::STABLE_DIFFUSION,
    scheduler: sd1::SCHEDULER,
    align_your_steps: AlignYourSteps::StableDiffusion,
    read_prediction,
};

/// Whether the text encoder is an OpenCLIP one: by its width, or by the names in the file.
pub(super) fn has_open_clip(weights: &Weights) -> bool {
    let named = weights.file_name("text_encoder.text_model.encoder.layers.0.layer_norm1.weight");
    text_width(weights, markers::TEXT_ENCODER) == Some(CONTEXT_WIDTH)
        || named.is_some_and(|name| name.contains(".resblocks."))
}

fn recognise(weights: &Weights) -> bool {
    let has_all_parts = markers::ALL.iter().all(|name| weights.scope("").has(name));
    has_all_parts
        && !weights.scope("").has(markers::ADD_EMBEDDING)
        && context_width(weights) == text_width(weights, markers::TEXT_ENCODER)
        && has_open_clip(weights)
}

/// Files of 2.x do not say what they predict, so their values are asked.
fn read_prediction(weights: &Weights) -> Option<Prediction> {
    let values = weights.values(SPREAD_TENSOR)?;
    let count = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let squares = values
        .iter()
        .map(|value| (f64::from(*value) - mean).powi(2));
    let spread = (squares.sum::<f64>() / count).sqrt();
    Some(if spread > V_SPREAD {
        Prediction::V
    } else {
        Prediction::Epsilon
    })
}
