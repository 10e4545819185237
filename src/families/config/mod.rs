//! Reads the configuration that a checkpoint brings.
//!
//! Fields that say what the shapes say already are not read; unknown fields are let be; a field of
//! the wrong type is an error, and so is one that asks for arithmetic that is not here.

mod part;

pub(super) use self::part::Part;
use self::part::{Supported, single, unknown_choice};
use super::{
    BetaSchedule, Defaults, EmptyNegative, Family, LatentRgb, SchedulerConfig, TextEncoderSpec,
};
use crate::error::Result;
use crate::networks::{Activation, ClipConfig, Heads, LevelHeads, PerLevel, UnetConfig, VaeConfig};
use crate::sampling::{Prediction, SigmaRules};
use crate::weights::Weights;

const SILU: &[&str] = &[r#""silu""#, r#""swish""#];
const ONE: &[&str] = &["1", "1.0"];
const NO: &[&str] = &["false"];
const ABSENT: &[&str] = &[];

/// Of diffusers' `UNet2DConditionModel`.
const UNET: Supported = &[
    ("act_fn", SILU),
    ("addition_embed_type", &[r#""text_time""#]),
    ("attention_type", &[r#""default""#]),
    ("center_input_sample", NO),
    ("class_embed_type", ABSENT),
    ("class_embeddings_concat", NO),
    ("cross_attention_norm", ABSENT),
    (
        "down_block_types",
        &[r#""CrossAttnDownBlock2D""#, r#""DownBlock2D""#],
    ),
    ("downsample_padding", &["1"]),
    ("dual_cross_attention", NO),
    ("encoder_hid_dim", ABSENT),
    ("encoder_hid_dim_type", ABSENT),
    ("mid_block_only_cross_attention", NO),
    ("mid_block_scale_factor", ONE),
    (
        "mid_block_type",
        &[r#""UNetMidBlock2DCrossAttn""#, r#""UNetMidBlock2D""#],
    ),
    ("num_class_embeds", ABSENT),
    ("only_cross_attention", NO),
    ("resnet_out_scale_factor", ONE),
    ("resnet_skip_time_act", NO),
    ("resnet_time_scale_shift", &[r#""default""#]),
    ("time_embedding_act_fn", ABSENT),
    ("time_embedding_type", &[r#""positional""#]),
    ("timestep_post_act", ABSENT),
    (
        "up_block_types",
        &[r#""CrossAttnUpBlock2D""#, r#""UpBlock2D""#],
    ),
];

/// Of diffusers' `AutoencoderKL`.
const VAE: Supported = &[
    ("act_fn", SILU),
    ("down_block_types", &[r#""DownEncoderBlock2D""#]),
    ("latents_mean", ABSENT),
    ("latents_std", ABSENT),
    ("up_block_types", &[r#""UpDecoderBlock2D""#]),
];

/// Of diffusers' schedulers.
const SCHEDULER: Supported = &[
    ("clip_sample", NO),
    ("thresholding", NO),
    ("trained_betas", ABSENT),
    ("use_beta_sigmas", NO),
    ("use_exponential_sigmas", NO),
];

pub(super) fn text_encoder(weights: &Weights, family: &TextEncoderSpec) -> Result<TextEncoderSpec> {
    let part = Part::of(weights, family.part)?;
    let skipped_layers = skipped_layers(weights, family)?;
    let family_clip = &family.clip;
    let activations = [
        ("quick_gelu", Activation::QuickGelu),
        ("gelu", Activation::Gelu),
    ];
    let clip = ClipConfig {
        heads: part
            .count("num_attention_heads")?
            .map_or(family_clip.heads, Heads::Count),
        activation: part
            .choice("hidden_act", &activations)?
            .unwrap_or(family_clip.activation),
        layer_norm_eps: part
            .positive("layer_norm_eps")?
            .map_or(family_clip.layer_norm_eps, single),
        skipped_layers,
        ..*family_clip
    };
    Ok(TextEncoderSpec {
        clip,
        ..family.clone()
    })
}

/// How many layers at the end the result leaves out. diffusers stores Stable Diffusion 2's text
/// encoder without them, and says so by the number of layers; its original file has them all.
fn skipped_layers(weights: &Weights, family: &TextEncoderSpec) -> Result<usize> {
    let part = Part::of(weights, family.part)?;
    let cut_to = part.count("num_hidden_layers")?;
    let stored = weights
        .scope(family.part)
        .scope("text_model.encoder")
        .count("layers");
    let is_cut = family.clip.normalised && cut_to == Some(stored);
    Ok(if is_cut {
        0
    } else {
        family.clip.skipped_layers
    })
}

/// What stands for an empty negative prompt: the folder's own word before the family's.
pub(super) fn empty_negative(weights: &Weights, family: &Family) -> Result<EmptyNegative> {
    let index = Part::of(weights, "model_index")?;
    Ok(match index.flag("force_zeros_for_empty_prompt")? {
        Some(true) => EmptyNegative::Zeros,
        Some(false) => EmptyNegative::Encoded,
        None => family.empty_negative,
    })
}

pub(super) fn unet(weights: &Weights, family: &UnetConfig) -> Result<UnetConfig> {
    let part = Part::of(weights, "unet")?;
    part.check(UNET)?;
    // In diffusers' UNets `attention_head_dim` is the number of heads, by an old mistake.
    let num_heads = match part.per_level("num_attention_heads")? {
        Some(heads) => Some(heads),
        None => part.per_level("attention_head_dim")?,
    };
    Ok(UnetConfig {
        heads: num_heads.map_or_else(|| family.heads.clone(), LevelHeads::Count),
        norm_num_groups: part
            .count("norm_num_groups")?
            .unwrap_or(family.norm_num_groups),
        norm_eps: part.positive("norm_eps")?.map_or(family.norm_eps, single),
        flip_sin_to_cos: part
            .flag("flip_sin_to_cos")?
            .unwrap_or(family.flip_sin_to_cos),
        freq_shift: part.number("freq_shift")?.map_or(family.freq_shift, single),
        ..family.clone()
    })
}

/// Height and width of the latents that the UNet was trained on, in latents.
pub(super) fn sample_size(weights: &Weights) -> Result<Option<[usize; 2]>> {
    let part = Part::of(weights, "unet")?;
    match part.per_level("sample_size")? {
        None => Ok(None),
        Some(PerLevel::Same(side)) => Ok(Some([side; 2])),
        Some(PerLevel::Each(sides)) => match sides.as_slice() {
            &[height, width] => Ok(Some([height, width])),
            _ => Err(part.bad("sample_size", "one number, or a height and a width")),
        },
    }
}

pub(super) fn vae(weights: &Weights, family: &VaeConfig) -> Result<VaeConfig> {
    let part = Part::of(weights, "vae")?;
    part.check(VAE)?;
    Ok(VaeConfig {
        latent_channels: family.latent_channels,
        norm_num_groups: part
            .count("norm_num_groups")?
            .unwrap_or(family.norm_num_groups),
        scaling_factor: part
            .positive("scaling_factor")?
            .map_or(family.scaling_factor, single),
        shift_factor: part
            .number("shift_factor")?
            .map_or(family.shift_factor, single),
    })
}

/// What colours latents stand for, of a VAE that says it: fields of aquatint's own, `latent_rgb_factors` with
/// one colour for each channel, and `latent_rgb_bias`.
pub(super) fn latent_rgb(weights: &Weights, family: LatentRgb) -> Result<LatentRgb> {
    let part = Part::of(weights, "vae")?;
    let factors = part.colours("latent_rgb_factors")?;
    let bias = part.colours("latent_rgb_bias")?;
    Ok(match (factors, bias) {
        (None, _) => family,
        (Some(factors), bias) => LatentRgb {
            factors,
            bias: bias.map_or([0.0; 3], |[bias]| bias),
        },
    })
}

pub(super) fn scheduler(weights: &Weights, model_family: &Family) -> Result<SchedulerConfig> {
    let family = &model_family.scheduler;
    let part = Part::of(weights, "scheduler")?;
    part.check(SCHEDULER)?;
    let beta_schedules = [
        ("scaled_linear", BetaSchedule::ScaledLinear),
        ("linear", BetaSchedule::Linear),
    ];
    let spacings = [
        ("leading", "leading"),
        ("trailing", "trailing"),
        ("linspace", "linspace"),
    ];
    let spacing = match part.flag("use_karras_sigmas")? {
        Some(true) => Some("karras"),
        _ => part.choice("timestep_spacing", &spacings)?,
    };
    let prediction = match part.choice("prediction_type", PREDICTIONS)? {
        Some(prediction) => Some(prediction),
        None => prediction_in_metadata(weights)?,
    };
    let marked = || {
        let markers = ["v_pred", "edm_vpred.sigma_max"];
        let is_marked = markers.iter().any(|name| weights.marker(name).is_some());
        is_marked.then_some(Prediction::V)
    };
    let prediction = prediction
        .or_else(marked)
        .or_else(|| (model_family.read_prediction)(weights));
    let zero_terminal_snr = part.flag("rescale_betas_zero_snr")?;
    let zero_terminal_snr = zero_terminal_snr.unwrap_or_else(|| weights.marker("ztsnr").is_some());
    let config = SchedulerConfig {
        beta_schedule: part
            .choice("beta_schedule", &beta_schedules)?
            .unwrap_or(family.beta_schedule),
        beta_start: part.positive("beta_start")?.unwrap_or(family.beta_start),
        beta_end: part.positive("beta_end")?.unwrap_or(family.beta_end),
        train_steps: part
            .count("num_train_timesteps")?
            .unwrap_or(family.train_steps),
        steps_offset: part
            .count_or_zero("steps_offset")?
            .unwrap_or(family.steps_offset),
        prediction: prediction.unwrap_or(family.prediction),
        zero_terminal_snr,
        sigma_range: sigma_range(weights),
        spacing: spacing.unwrap_or(family.spacing),
    };
    let grows = config.beta_start <= config.beta_end && config.beta_end < 1.0;
    if !grows {
        return Err(part.bad("beta_end", "a number from beta_start to below 1"));
    }
    if config.noise_model(SigmaRules::default()).is_err() {
        let expected = "a whole number from 2 to 100000 that leaves some signal at the end";
        return Err(part.bad("num_train_timesteps", expected));
    }
    Ok(config)
}

/// The noise levels of a network after Karras et al. 2022 (arXiv 2206.00364), such as CosXL, by the
/// tensors that its file has for them. ComfyUI's least is 0.002 where the file says none.
fn sigma_range(weights: &Weights) -> Option<[f64; 2]> {
    const SIGMA_MIN: f64 = 0.002;
    let level = |name| weights.marker(name)?.first().map(|&level| f64::from(level));
    let greatest = level("edm_vpred.sigma_max")?;
    Some([level("edm_vpred.sigma_min").unwrap_or(SIGMA_MIN), greatest])
}

/// What a network may predict, as diffusers and the model specification write it.
const PREDICTIONS: &[(&str, Prediction)] = &[
    ("epsilon", Prediction::Epsilon),
    ("v_prediction", Prediction::V),
    ("v", Prediction::V),
];

/// `modelspec.prediction_type` of the header (Stability-AI/ModelSpec 1.0.0: `epsilon` or `v`).
fn prediction_in_metadata(weights: &Weights) -> Result<Option<Prediction>> {
    let key = "modelspec.prediction_type";
    let Some(given) = weights.metadata().get(key) else {
        return Ok(None);
    };
    let known = PREDICTIONS.iter().find(|(name, _)| name == given);
    match known {
        Some((_, prediction)) => Ok(Some(*prediction)),
        None => Err(unknown_choice(
            weights.path_of("unet"),
            key,
            given,
            PREDICTIONS,
        )),
    }
}

/// What the model's makers recommend, over what its family does.
pub(super) fn defaults(weights: &Weights, family: Defaults) -> Result<Defaults> {
    let part = Part::of(weights, "defaults")?;
    Ok(Defaults {
        width: part.count("width")?.unwrap_or(family.width),
        height: part.count("height")?.unwrap_or(family.height),
        steps: part.count("steps")?.unwrap_or(family.steps),
        guidance_scale: part
            .positive("guidance_scale")?
            .unwrap_or(family.guidance_scale),
        sampler: part.text("sampler")?.unwrap_or(family.sampler),
        schedule: part.text("schedule")?.unwrap_or(family.schedule),
    })
}
