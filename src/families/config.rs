//! Reads the configuration that a checkpoint brings.
//!
//! Fields that say what the shapes say already are not read; unknown fields are let be; a field of
//! the wrong type is an error, and so is one that asks for arithmetic that is not here.

use super::{BetaSchedule, Defaults, SchedulerConfig};
use crate::error::{Error, Result};
use crate::networks::{Activation, ClipConfig, PerLevel, UnetConfig, VaeConfig};
use crate::sampling::Prediction;
use crate::weights::Weights;
use serde_json::Value;
use std::path::Path;

/// The most that a count in a configuration can sensibly be.
const MAX_COUNT: u64 = 1 << 20;
/// The range of f32, in which the networks compute.
const SINGLE_MIN: f64 = f32::MIN_POSITIVE as f64;
const SINGLE_MAX: f64 = f32::MAX as f64;
/// How much of a wrong value a message cites.
const CITED_CHARS: usize = 60;

/// Fields, and the values (as JSON) for which the arithmetic here is right. Absent and `null` are
/// always right; a list is if all its members are.
type Supported = &'static [(&'static str, &'static [&'static str])];

const SILU: &[&str] = &[r#""silu""#, r#""swish""#];
const ONE: &[&str] = &["1", "1.0"];
const NO: &[&str] = &["false"];
const ABSENT: &[&str] = &[];

/// Of diffusers' `UNet2DConditionModel`.
const UNET: Supported = &[
    ("act_fn", SILU),
    ("addition_embed_type", ABSENT),
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
    ("time_cond_proj_dim", ABSENT),
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
    ("rescale_betas_zero_snr", NO),
    ("thresholding", NO),
    ("trained_betas", ABSENT),
    ("use_beta_sigmas", NO),
    ("use_exponential_sigmas", NO),
];

pub(super) fn text_encoder(weights: &Weights, family: &ClipConfig) -> Result<ClipConfig> {
    let part = Part::of(weights, "text_encoder")?;
    let activations = [
        ("quick_gelu", Activation::QuickGelu),
        ("gelu", Activation::Gelu),
    ];
    Ok(ClipConfig {
        num_heads: part
            .count("num_attention_heads")?
            .unwrap_or(family.num_heads),
        activation: part
            .choice("hidden_act", &activations)?
            .unwrap_or(family.activation),
        layer_norm_eps: part
            .positive("layer_norm_eps")?
            .map_or(family.layer_norm_eps, single),
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
        num_heads: num_heads.unwrap_or_else(|| family.num_heads.clone()),
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

pub(super) fn scheduler(weights: &Weights, family: &SchedulerConfig) -> Result<SchedulerConfig> {
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
        spacing: spacing.unwrap_or(family.spacing),
    };
    let grows = config.beta_start <= config.beta_end && config.beta_end < 1.0;
    if !grows {
        return Err(part.bad("beta_end", "a number from beta_start to below 1"));
    }
    if config.noise_model().is_err() {
        let expected = "a whole number from 2 to 100000 that leaves some signal at the end";
        return Err(part.bad("num_train_timesteps", expected));
    }
    Ok(config)
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
        None => Err(unknown_choice(weights.path(), key, given, PREDICTIONS)),
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

/// The configuration of one part, whose fields are absent or of their type.
pub(super) struct Part<'w> {
    path: &'w Path,
    name: &'static str,
    json: Option<&'w Value>,
}

impl<'w> Part<'w> {
    pub(super) fn of(weights: &'w Weights, name: &'static str) -> Result<Self> {
        let (path, json) = (weights.path(), weights.config(name));
        match json {
            Some(other) if !other.is_object() => Err(Error::bad_file(
                path,
                format!(
                    "{name} configuration is {}, expected an object; \
                     mend it, or download the model again",
                    cite(other)
                ),
            )),
            json => Ok(Self { path, name, json }),
        }
    }

    /// A field that is there and not `null`.
    fn get(&self, field: &str) -> Option<&'w Value> {
        self.json?.get(field).filter(|value| !value.is_null())
    }

    /// The field as `read` understands it.
    fn read<T>(
        &self,
        field: &str,
        expected: &str,
        read: impl Fn(&'w Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let understood = |value| read(value).ok_or_else(|| self.bad(field, expected));
        self.get(field).map(understood).transpose()
    }

    pub(super) fn bad(&self, field: &str, expected: &str) -> Error {
        let found = self.get(field).map_or_else(|| "absent".to_owned(), cite);
        let name = self.name;
        Error::bad_file(
            self.path,
            format!(
                "{name} configuration: {field} is {found}, expected {expected}; \
                 mend it, or download the model again"
            ),
        )
    }

    pub(super) fn count(&self, field: &str) -> Result<Option<usize>> {
        self.read(field, "a whole number from 1 to 1048576", count)
    }

    fn count_or_zero(&self, field: &str) -> Result<Option<usize>> {
        let read = |value: &Value| {
            if value.as_u64() == Some(0) {
                Some(0)
            } else {
                count(value)
            }
        };
        self.read(field, "a whole number from 0 to 1048576", read)
    }

    fn number(&self, field: &str) -> Result<Option<f64>> {
        self.read(field, "a number", in_range(-SINGLE_MAX..=SINGLE_MAX))
    }

    fn positive(&self, field: &str) -> Result<Option<f64>> {
        self.read(
            field,
            "a positive number",
            in_range(SINGLE_MIN..=SINGLE_MAX),
        )
    }

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>> {
        self.read(field, "true or false", Value::as_bool)
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<String>> {
        self.read(field, "a name", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn per_level(&self, field: &str) -> Result<Option<PerLevel>> {
        self.read(
            field,
            "a whole number from 1 to 1048576, or a list of such",
            |value| match value {
                Value::Array(values) => values
                    .iter()
                    .map(count)
                    .collect::<Option<_>>()
                    .map(PerLevel::Each),
                value => count(value).map(PerLevel::Same),
            },
        )
    }

    fn choice<T: Copy>(&self, field: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(name) = self.text(field)? else {
            return Ok(None);
        };
        match choices.iter().find(|(choice, _)| *choice == name) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => Err(unknown_choice(
                self.path,
                &format!("{}'s {field}", self.name),
                &name,
                choices,
            )),
        }
    }

    /// Fails at the first field whose value asks for arithmetic that is not here.
    fn check(&self, supported: Supported) -> Result<()> {
        for (field, allowed) in supported {
            let Some(value) = self.get(field) else {
                continue;
            };
            if !is_supported(value, allowed) {
                let known = match allowed {
                    [] => "it absent".to_owned(),
                    allowed => allowed.join(" or "),
                };
                return Err(Error::Unsupported(format!(
                    "{}: {} configuration: {field} is {}; this version computes only with {known}",
                    self.path.display(),
                    self.name,
                    cite(value)
                )));
            }
        }
        Ok(())
    }
}

fn is_supported(value: &Value, allowed: &[&str]) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().all(|value| is_supported(value, allowed)),
        value => allowed.contains(&value.to_string().as_str()),
    }
}

fn unknown_choice<T>(path: &Path, what: &str, given: &str, choices: &[(&str, T)]) -> Error {
    let known: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let given: String = given.chars().take(CITED_CHARS).collect();
    Error::Unsupported(format!(
        "{}: {what} \"{given}\"; known are {}",
        path.display(),
        known.join(", ")
    ))
}

fn count(value: &Value) -> Option<usize> {
    let number = value
        .as_u64()
        .filter(|number| (1..=MAX_COUNT).contains(number))?;
    usize::try_from(number).ok()
}

fn in_range(range: std::ops::RangeInclusive<f64>) -> impl Fn(&Value) -> Option<f64> {
    move |value| value.as_f64().filter(|number| range.contains(number))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the networks compute in f32"
)]
fn single(number: f64) -> f32 {
    number as f32
}

/// A value in a message, shortened.
fn cite(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(CITED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
