//! Families of models: how to recognise a checkpoint, and what its tensors do not say.
//!
//! A family is data. What differs between two checkpoints of one family comes from their own
//! configuration where they bring one (a folder's `config.json`, a header's `config` entry), else
//! from the family.

mod catalogue;
mod complete;
mod config;
mod foreign;
mod latent_rgb;
mod purpose;
mod sd1;
mod sd2;
mod sdxl;
mod variants;

pub use catalogue::{FamilyInfo, families};
pub(crate) use complete::check_complete;
pub(crate) use latent_rgb::{LATENT_CHANNELS, LatentRgb};
pub use purpose::Purpose;

use crate::error::{Error, Result};
use crate::networks::{AddedConfig, ClipConfig, LevelHeads, PerLevel, UnetConfig, VaeConfig};
use crate::sampling::{AlignYourSteps, NoiseModel, Prediction, SigmaRules};
use crate::weights::Weights;
use serde::Serialize;

/// All families that can draw, in the order in which they are tried.
pub(crate) static FAMILIES: &[&Family] = &[&sdxl::BASE, &sdxl::REFINER, &sd2::SD2, &sd1::SD1];

/// Names of tensors that tell of the parts of a model.
mod markers {
    pub(super) const UNET: &str = "unet.conv_in.weight";
    pub(super) const ADD_EMBEDDING: &str = "unet.add_embedding.linear_1.weight";
    pub(super) const TEXT_ENCODER: &str =
        "text_encoder.text_model.embeddings.token_embedding.weight";
    pub(super) const TEXT_ENCODER_2: &str =
        "text_encoder_2.text_model.embeddings.token_embedding.weight";
    pub(super) const VAE: &str = "vae.decoder.conv_in.weight";
    pub(super) const ALL: [&str; 3] = [UNET, TEXT_ENCODER, VAE];
    pub(super) const REFINER: [&str; 4] = [UNET, ADD_EMBEDDING, TEXT_ENCODER_2, VAE];
    pub(super) const XL: [&str; 5] = [UNET, ADD_EMBEDDING, TEXT_ENCODER, TEXT_ENCODER_2, VAE];
}

/// More pixels than this along one latent's side is no VAE that anybody trained.
const MAX_VAE_SCALE_FACTOR: usize = 64;

/// How to recognise a family's checkpoints, and what holds for them when they do not say.
#[derive(Debug)]
pub(crate) struct Family {
    /// The name in commands and reports: `sd1`.
    pub name: &'static str,
    /// The name in sentences: `Stable Diffusion 1.x`.
    pub title: &'static str,
    /// What its checkpoints are recognised by, as a phrase: `a UNet that …`.
    pub looked_for: &'static str,
    /// Whether a checkpoint is of this family.
    pub recognise: fn(&Weights) -> bool,
    /// Side of the latents that it was trained on, in latents.
    pub sample_size: usize,
    /// The same of its models that predict v.
    pub v_sample_size: usize,
    /// Steps of a picture.
    pub steps: usize,
    /// Scale of the guidance.
    pub guidance_scale: f64,
    /// Name of the sampler.
    pub sampler: &'static str,
    /// The text encoders; their vectors are joined in this order.
    pub text_encoders: &'static [TextEncoderSpec],
    /// What the UNet is told beside the prompt's tokens.
    pub added: Added,
    /// What stands for an empty negative prompt.
    pub empty_negative: EmptyNegative,
    /// The UNet.
    pub unet: UnetConfig,
    /// The VAE.
    pub vae: VaeConfig,
    /// What colours its latents stand for.
    pub latent_rgb: LatentRgb,
    /// The noise that it was trained on, and the schedule through it.
    pub scheduler: SchedulerConfig,
    /// Which of the published sigmas of `align_your_steps` are for it.
    pub align_your_steps: AlignYourSteps,
    /// What its weights' values tell of the prediction, for files that say nothing of it.
    pub read_prediction: fn(&Weights) -> Option<Prediction>,
}

/// A text encoder of a family.
#[derive(Clone, Debug)]
pub(crate) struct TextEncoderSpec {
    /// Its name among the parts: `text_encoder` or `text_encoder_2`.
    pub part: &'static str,
    /// The network.
    pub clip: ClipConfig,
    /// Its tokenizer's folder in a diffusers folder.
    pub tokenizer: &'static str,
    /// The id that fills up a short prompt where its file has no tokenizer; `None` for the end token.
    pub pad_id: Option<u32>,
}

/// What a UNet is told beside the prompt's tokens and the timestep (Podell et al. 2023,
/// arXiv 2307.01952, §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// Nothing.
    Nothing,
    /// The pooled prompt; the original size, the crop's corner and the target size.
    SizeAndCrop,
    /// The pooled prompt; the original size, the crop's corner and an aesthetic score.
    SizeAndScore,
}

impl Added {
    /// How many numbers there are beside the pooled prompt; `None` where nothing is added.
    pub(crate) fn time_ids(self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::SizeAndCrop => Some(6),
            Self::SizeAndScore => Some(5),
        }
    }
}

/// What stands for an empty negative prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmptyNegative {
    /// What the text encoders say of it.
    Encoded,
    /// Zeros (diffusers' `force_zeros_for_empty_prompt`; A1111 does the same with SDXL).
    Zeros,
}

/// The noise of the training, and the way through it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SchedulerConfig {
    /// How beta grows with the timestep.
    pub beta_schedule: BetaSchedule,
    /// Beta at the first timestep.
    pub beta_start: f64,
    /// Beta at the last timestep.
    pub beta_end: f64,
    /// The number of timesteps in training.
    pub train_steps: usize,
    /// Added to the timesteps of the `leading` schedule.
    pub steps_offset: usize,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Whether next to no signal is left at the last timestep (Lin et al. 2024, arXiv 2305.08891).
    pub zero_terminal_snr: bool,
    /// The least and the greatest noise level, of networks that know any between them and no betas.
    pub sigma_range: Option<[f64; 2]>,
    /// The schedule's name: `leading`, `trailing`, `linspace` or `karras`.
    pub spacing: &'static str,
}

impl SchedulerConfig {
    /// The noise levels of the training, their end as `rules` have it where there is no signal.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the betas make no noise schedule, or the range is none.
    pub(crate) fn noise_model(&self, rules: SigmaRules) -> Result<NoiseModel> {
        if let Some([sigma_min, sigma_max]) = self.sigma_range {
            return NoiseModel::edm(sigma_min, sigma_max);
        }
        let make = match self.beta_schedule {
            BetaSchedule::ScaledLinear => NoiseModel::scaled_linear,
            BetaSchedule::Linear => NoiseModel::linear,
        };
        let model = make(self.beta_start, self.beta_end, self.train_steps)?;
        if self.zero_terminal_snr {
            model.with_zero_terminal_snr(rules)
        } else {
            Ok(model)
        }
    }
}

/// How beta grows with the timestep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BetaSchedule {
    /// Its square root grows linearly (Rombach et al. 2022).
    ScaledLinear,
    /// It grows linearly (Ho et al. 2020).
    Linear,
}

/// What a request is filled in with where it says nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Defaults {
    /// Width of the picture, in pixels.
    pub width: usize,
    /// Height of the picture, in pixels.
    pub height: usize,
    /// Steps of a picture.
    pub steps: usize,
    /// Scale of the guidance; 1 is none.
    pub guidance_scale: f64,
    /// Name of the sampler.
    pub sampler: String,
    /// Name of the schedule.
    pub schedule: String,
}

/// All that the tensors of one checkpoint do not say.
#[derive(Clone, Debug)]
pub(crate) struct ModelConfig {
    /// The family it is of.
    pub family: &'static Family,
    /// What its UNet was trained for.
    pub purpose: Purpose,
    /// The text encoders; their vectors are joined in this order.
    pub text_encoders: Vec<TextEncoderSpec>,
    /// What the UNet is told beside the prompt's tokens.
    pub added: Added,
    /// What stands for an empty negative prompt.
    pub empty_negative: EmptyNegative,
    /// The UNet.
    pub unet: UnetConfig,
    /// The VAE.
    pub vae: VaeConfig,
    /// What colours its latents stand for.
    pub latent_rgb: LatentRgb,
    /// Pixels along one side of a latent: 2^(levels of the VAE − 1).
    pub vae_scale_factor: usize,
    /// The noise that it was trained on, and the schedule through it.
    pub scheduler: SchedulerConfig,
    /// What a request is filled in with.
    pub defaults: Defaults,
}

/// Finds the family of a checkpoint.
///
/// # Errors
/// [`Error::UnknownModel`] says what the file looks like instead, [`Error::MissingTensor`] which
/// part of a model is missing, [`Error::Unsupported`] what a known model of another use is.
pub(crate) fn recognise(weights: &Weights) -> Result<&'static Family> {
    let family = FAMILIES.iter().find(|family| (family.recognise)(weights));
    family.copied().ok_or_else(|| foreign::explain(weights))
}

/// The family whose UNet attends to vectors so wide, for what adds to its checkpoints.
pub(crate) fn of_context_width(width: usize) -> Option<&'static Family> {
    let mut families = FAMILIES.iter().copied();
    families.find(|family| family.unet.cross_attention_dim == width)
}

/// Finds the family of a checkpoint and what its UNet was trained for, by its tensors alone.
///
/// # Errors
/// As [`recognise`]; [`Error::Unsupported`] if the UNet takes channels of another use.
pub(crate) fn identify(weights: &Weights) -> Result<(&'static Family, Purpose)> {
    let family = recognise(weights)?;
    let latent_channels = latent_channels(weights).unwrap_or(family.vae.latent_channels);
    Ok((family, Purpose::of(weights, family, latent_channels)?))
}

/// Finds the family of a checkpoint and reads its configuration.
///
/// # Errors
/// As [`recognise`]; [`Error::BadFile`] names a field of the wrong type or out of range,
/// [`Error::Unsupported`] a field whose value asks for arithmetic that is not here.
pub(crate) fn configure(weights: &Weights) -> Result<ModelConfig> {
    let family = recognise(weights)?;
    let vae_scale_factor = vae_scale_factor(weights)?;
    let text_encoders = family.text_encoders.iter();
    let text_encoders = text_encoders
        .map(|spec| config::text_encoder(weights, spec))
        .collect::<Result<Vec<_>>>()?;
    let vae = VaeConfig {
        latent_channels: latent_channels(weights).unwrap_or(family.vae.latent_channels),
        ..family.vae.clone()
    };
    let vae = config::vae(weights, &vae)?;
    let purpose = Purpose::of(weights, family, vae.latent_channels)?;
    let unet = UnetConfig {
        in_channels: purpose.unet_channels(vae.latent_channels),
        out_channels: vae.latent_channels,
        cross_attention_dim: context_width(weights).unwrap_or(family.unet.cross_attention_dim),
        added: added_config(weights, family),
        ..family.unet.clone()
    };
    let unet = config::unet(weights, &unet)?;
    check_levels(weights, &unet)?;
    let scheduler = config::scheduler(weights, family)?;
    let family_size = match scheduler.prediction {
        Prediction::V => family.v_sample_size,
        _ => family.sample_size,
    };
    let [height, width] = config::sample_size(weights)?
        .unwrap_or([family_size; 2])
        .map(|latents| latents * vae_scale_factor);
    let defaults = Defaults {
        width,
        height,
        steps: family.steps,
        guidance_scale: family.guidance_scale,
        sampler: family.sampler.to_owned(),
        schedule: scheduler.spacing.to_owned(),
    };
    let defaults = variants::defaults(weights, defaults);
    Ok(ModelConfig {
        family,
        purpose,
        text_encoders,
        added: family.added,
        empty_negative: config::empty_negative(weights, family)?,
        unet,
        latent_rgb: config::latent_rgb(weights, family.latent_rgb)?,
        vae,
        vae_scale_factor,
        scheduler,
        defaults: config::defaults(weights, defaults)?,
    })
}

/// What the UNet is told beside the prompt's tokens, in numbers.
fn added_config(weights: &Weights, family: &Family) -> Option<AddedConfig> {
    let time_ids = family.added.time_ids()?;
    let pooled = |spec: &TextEncoderSpec| {
        let projection = format!("{}.text_projection.weight", spec.part);
        weights.scope("").axis(&projection, 0)
    };
    let pooled_width = family.text_encoders.iter().rev().find_map(pooled)?;
    // The width of the sinusoids is what the pooled prompt leaves of the first map's.
    let joined = weights.scope("").axis(markers::ADD_EMBEDDING, 1)?;
    Some(AddedConfig {
        pooled_width,
        time_ids,
        time_embed_dim: joined.checked_sub(pooled_width)? / time_ids,
    })
}

/// Pixels along one side of a latent: each level of the decoder but the last doubles the size.
fn vae_scale_factor(weights: &Weights) -> Result<usize> {
    let levels = weights.scope("vae").scope("decoder").count("up_blocks");
    let doublings = u32::try_from(levels.saturating_sub(1)).unwrap_or(u32::MAX);
    2usize
        .checked_pow(doublings)
        .filter(|&factor| factor <= MAX_VAE_SCALE_FACTOR)
        .ok_or_else(|| Error::UnknownModel {
            path: weights.path_of("vae").to_owned(),
            reason: format!("a VAE of {levels} levels, where Stable Diffusion's has 4"),
        })
}

/// A list of heads needs one number for each level that the file has.
fn check_levels(weights: &Weights, unet: &UnetConfig) -> Result<()> {
    let levels = weights.scope("unet").count("down_blocks");
    match &unet.heads {
        LevelHeads::Count(PerLevel::Each(heads)) if heads.len() != levels => Err(Error::bad_file(
            weights.path_of("unet"),
            format!(
                "unet configuration: the number of heads is given for {} levels, but the file \
                 has {levels}; give one number, or one for each level",
                heads.len()
            ),
        )),
        _ => Ok(()),
    }
}

/// The channels of the latents that the decoder takes.
fn latent_channels(weights: &Weights) -> Option<usize> {
    weights.scope("").axis(markers::VAE, 1)
}

/// The width of a text encoder's vectors, by its token embedding.
fn text_width(weights: &Weights, marker: &str) -> Option<usize> {
    weights.scope("").axis(marker, 1)
}

/// The width of the vectors that the UNet attends to.
fn context_width(weights: &Weights) -> Option<usize> {
    let name = weights
        .names()
        .find(|name| name.starts_with("unet.") && name.ends_with(".attn2.to_k.weight"))?;
    weights.scope("").axis(name, 1)
}

#[cfg(test)]
mod tests;
