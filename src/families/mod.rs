//! Families of models: how to recognise a checkpoint, and what its tensors do not say.
//!
//! A family is data. What differs between two checkpoints of one family comes from their own
//! configuration where they bring one (a folder's `config.json`, a header's `config` entry), else
//! from the family.

mod complete;
mod config;
mod foreign;
mod sd1;

pub(crate) use complete::check_complete;

use crate::error::{Error, Result};
use crate::networks::{ClipConfig, PerLevel, UnetConfig, VaeConfig};
use crate::sampling::{NoiseModel, Prediction};
use crate::weights::Weights;
use serde::Serialize;

/// All families that can draw, in the order in which they are tried.
pub(crate) static FAMILIES: &[&Family] = &[&sd1::SD1];

/// Names of tensors that tell of the parts of a model.
mod markers {
    pub(super) const UNET: &str = "unet.conv_in.weight";
    pub(super) const TEXT_ENCODER: &str =
        "text_encoder.text_model.embeddings.token_embedding.weight";
    pub(super) const VAE: &str = "vae.decoder.conv_in.weight";
    pub(super) const ALL: [&str; 3] = [UNET, TEXT_ENCODER, VAE];
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
    /// Steps of a picture.
    pub steps: usize,
    /// Scale of the guidance.
    pub guidance_scale: f64,
    /// Name of the sampler.
    pub sampler: &'static str,
    /// The text encoder.
    pub text_encoder: ClipConfig,
    /// The UNet.
    pub unet: UnetConfig,
    /// The VAE.
    pub vae: VaeConfig,
    /// The noise that it was trained on, and the schedule through it.
    pub scheduler: SchedulerConfig,
}

/// The noise of the training, and the way through it.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// The schedule's name: `leading`, `trailing`, `linspace` or `karras`.
    pub spacing: &'static str,
}

impl SchedulerConfig {
    /// The noise levels of the training.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the betas make no noise schedule.
    pub(crate) fn noise_model(&self) -> Result<NoiseModel> {
        let make = match self.beta_schedule {
            BetaSchedule::ScaledLinear => NoiseModel::scaled_linear,
            BetaSchedule::Linear => NoiseModel::linear,
        };
        make(self.beta_start, self.beta_end, self.train_steps)
    }
}

/// How beta grows with the timestep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Its square root grows linearly (Rombach et al. 2022).
    ScaledLinear,
    /// It grows linearly (Ho et al. 2020).
    Linear,
}

/// What a request is filled in with where it says nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// The text encoder.
    pub text_encoder: ClipConfig,
    /// The UNet.
    pub unet: UnetConfig,
    /// The VAE.
    pub vae: VaeConfig,
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
    let family = family.ok_or_else(|| foreign::explain(weights))?;
    foreign::refuse_other_uses(weights, family)?;
    Ok(family)
}

/// Finds the family of a checkpoint and reads its configuration.
///
/// # Errors
/// As [`recognise`]; [`Error::BadFile`] names a field of the wrong type or out of range,
/// [`Error::Unsupported`] a field whose value asks for arithmetic that is not here.
pub(crate) fn configure(weights: &Weights) -> Result<ModelConfig> {
    let family = recognise(weights)?;
    let vae_scale_factor = vae_scale_factor(weights)?;
    let text_encoder = config::text_encoder(weights, &family.text_encoder)?;
    let vae = VaeConfig {
        latent_channels: latent_channels(weights).unwrap_or(family.vae.latent_channels),
        ..family.vae.clone()
    };
    let vae = config::vae(weights, &vae)?;
    let unet = UnetConfig {
        in_channels: vae.latent_channels,
        out_channels: vae.latent_channels,
        cross_attention_dim: context_width(weights).unwrap_or(family.unet.cross_attention_dim),
        ..family.unet.clone()
    };
    let unet = config::unet(weights, &unet)?;
    check_levels(weights, &unet)?;
    let scheduler = config::scheduler(weights, &family.scheduler)?;
    let [height, width] = config::sample_size(weights)?
        .unwrap_or([family.sample_size; 2])
        .map(|latents| latents * vae_scale_factor);
    let defaults = Defaults {
        width,
        height,
        steps: family.steps,
        guidance_scale: family.guidance_scale,
        sampler: family.sampler.to_owned(),
        schedule: scheduler.spacing.to_owned(),
    };
    Ok(ModelConfig {
        family,
        text_encoder,
        unet,
        vae,
        vae_scale_factor,
        scheduler,
        defaults: config::defaults(weights, defaults)?,
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
            path: weights.path().to_owned(),
            reason: format!("a VAE of {levels} levels, where Stable Diffusion's has 4"),
        })
}

/// A list of heads needs one number for each level that the file has.
fn check_levels(weights: &Weights, unet: &UnetConfig) -> Result<()> {
    let levels = weights.scope("unet").count("down_blocks");
    match &unet.num_heads {
        PerLevel::Each(heads) if heads.len() != levels => Err(Error::bad_file(
            weights.path(),
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

/// The width of the text encoder's vectors.
fn text_width(weights: &Weights) -> Option<usize> {
    weights.scope("").axis(markers::TEXT_ENCODER, 1)
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
