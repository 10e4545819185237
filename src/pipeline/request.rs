//! What a user asks for, as plain data.

use super::hires::Hires;
use super::noise::{BatchNoise, StepNoise};
use super::preset::Preset;
use super::tasks::Task;
use super::tiled::TileLatents;
use crate::error::{Error, Result};
use crate::families::Defaults;
use crate::gpu::Device;
use crate::image::ResizeMode;
use crate::sampling::{Choice, NoisePath, Prediction, SigmaRules};
use crate::tensor::DType;
use crate::text::PromptStyle;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

mod builder;
mod check;
mod seamless;

pub use seamless::Seamless;

/// The most pixels that a side may have.
pub const MAX_SIDE_PX: usize = 8192;
/// The most pictures of one request.
pub const MAX_BATCH_SIZE: usize = 64;

/// Where a run's noise comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Noise {
    /// torch's CPU generator, as ComfyUI and diffusers use it.
    #[default]
    TorchCpu,
    /// CUDA's generator, as A1111 and sd.cpp use it.
    Philox,
    /// Recorded noise: `latents_init` and `noise.000`, … of a safetensors file, as a trace has them.
    Recorded(PathBuf),
}

impl Noise {
    /// What A1111 calls the generator in its pictures' `RNG`; `None` for recorded noise.
    pub(super) fn a1111_name(&self) -> Option<&'static str> {
        match self {
            Self::TorchCpu => Some("CPU"),
            Self::Philox => Some("NV"),
            Self::Recorded(_) => None,
        }
    }
}

/// How activations are stored. Sums are in f32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Precision {
    /// f16 on a graphics device that can; elsewhere f32, or f16 where f32 does not fit a binding. A
    /// stage that overflows f16 is run again in f32.
    #[default]
    Auto,
    /// f32.
    F32,
    /// f16.
    F16,
}

impl Precision {
    /// The type in which activations are stored on a device.
    ///
    /// # Errors
    /// [`Error::Request`] if the device cannot store f16 and it is asked for.
    pub(crate) fn compute_on(self, device: &Device) -> Result<DType> {
        let caps = device.caps();
        match self {
            Self::F32 => Ok(DType::F32),
            Self::Auto if caps.f16 && !device.info().software => Ok(DType::F16),
            Self::Auto => Ok(DType::F32),
            Self::F16 if caps.f16 => Ok(DType::F16),
            Self::F16 => {
                let reason = format!("{} cannot store f16; use f32 or auto", device.info().name);
                Err(Error::request("precision", reason))
            }
        }
    }
}

/// All that a user asks for. What is `None` comes from the model's family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// What kind of picture.
    pub task: Task,
    /// What is to be seen.
    pub prompt: String,
    /// What is not to be seen.
    pub negative_prompt: String,
    /// What the second text encoder is told is to be seen, of models that have two; the prompt where
    /// `None`.
    pub prompt_2: Option<String>,
    /// What the second text encoder is told is not to be seen; the negative prompt where `None`.
    pub negative_prompt_2: Option<String>,
    /// What brackets and weights in them mean; nothing if nothing says otherwise.
    pub prompt_style: Option<PromptStyle>,
    /// The text encoders' layer whose vectors are taken: 1 for the last, 2 for the one before it, and
    /// so on. The model's own where `None`: 1 for Stable Diffusion 1.x, 2 for XL.
    pub clip_skip: Option<usize>,
    /// Width in pixels: a multiple of the model's latent factor (8), at most [`MAX_SIDE_PX`].
    pub width: Option<usize>,
    /// Height in pixels, likewise.
    pub height: Option<usize>,
    /// How a task's picture comes to the size, where that has another shape.
    pub resize_mode: ResizeMode,
    /// Steps, from 1 to the model's training steps (1000).
    pub steps: Option<usize>,
    /// How strongly the prompt is followed, from 0; at 1 the negative prompt is not computed.
    pub guidance_scale: Option<f64>,
    /// A name or alias in [`crate::sampling::SAMPLERS`], which may end in a schedule's.
    pub sampler: Option<String>,
    /// A name or alias in [`crate::sampling::SCHEDULES`], or `automatic`; in place of what the
    /// sampler's name says, if it ends in a schedule's.
    pub schedule: Option<String>,
    /// The noise levels themselves, in place of the schedule's, from the noisiest down: where the
    /// network is evaluated, and last the one where the run ends, most often 0.
    pub sigmas: Option<Vec<f64>>,
    /// Whose habits decide where programs differ over the same sampler and schedule; diffusers' if
    /// nothing says otherwise.
    pub sigma_rules: Option<SigmaRules>,
    /// How much of the removed noise is replaced by fresh noise each step, 0 to 1, for samplers that
    /// have one ([`crate::sampling::Sampler::eta`]).
    pub eta: Option<f64>,
    /// How much of the conditional prediction's spread is restored after guidance, 0 to 1: against
    /// washed-out pictures of models with zero terminal SNR, for which 0.7 was proposed.
    pub guidance_rescale: f64,
    /// Which share of a picture's values, over 0 and up to 1, is left as it is by dynamic thresholding:
    /// at each step all are clamped to the magnitude that this share does not exceed, if that is over 1,
    /// and divided by it. For models of pixels; latents are not meant to lie in −1..1. None where `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_thresholding: Option<f64>,
    /// The most that they are divided by, from 1, at which they are clamped to −1..1; without end where
    /// `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold_max: Option<f64>,
    /// The share of the steps after which guidance begins, 0 to 1.
    pub guidance_start: f64,
    /// The share of the steps after which guidance ends, 0 to 1.
    pub guidance_end: f64,
    /// The share of the noise, by training timesteps from the noisiest on, after which a refiner takes
    /// over, between 0 and 1; 0.8 where there is one and this is `None`.
    pub refiner_start: Option<f64>,
    /// How the noise of one step and that of another belong together; as the program whose
    /// `sigma_rules` they are has it for the sampler where `None`.
    pub noise_path: Option<NoisePath>,
    /// What the network predicts, in place of what its file says.
    pub prediction: Option<Prediction>,
    /// The seed of the first picture; picture `i` has `seed + i`. 0 is a seed; `None` draws one.
    pub seed: Option<u64>,
    /// How far the noise that a picture begins with is from its seed's to its variation seed's, 0 to 1.
    /// Over 0, all pictures have the same seed, and picture `i` has `variation_seed + i`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variation_strength: Option<f64>,
    /// The seed of the first picture's other noise; `None` draws one where there is a strength.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variation_seed: Option<u64>,
    /// How many pictures, 1 to [`MAX_BATCH_SIZE`].
    pub batch_size: usize,
    /// Height and width in pixels that models of the SDXL family are told the picture came from;
    /// the picture's own where `None`. Small ones give what small pictures look like.
    pub original_size: Option<[usize; 2]>,
    /// Rows above and columns left of the picture that such models are told were cropped off; none
    /// where `None`.
    pub crop: Option<[usize; 2]>,
    /// Height and width in pixels that such models are told the picture has; its own where `None`.
    pub target_size: Option<[usize; 2]>,
    /// The program whose habits fill in what is `None` of prompt style, sigma rules
    /// and noise.
    pub preset: Option<Preset>,
    /// Where the noise comes from; torch's CPU generator if nothing says otherwise.
    pub noise: Option<Noise>,
    /// How the pictures of a batch come to their noise.
    pub batch_noise: Option<BatchNoise>,
    /// Where the noise of the steps comes from.
    pub step_noise: Option<StepNoise>,
    /// How activations are stored.
    pub precision: Precision,
    /// The most pixels on a side of what the VAE has at once, a multiple of the model's latent factor:
    /// it works in tiles that overlap. Where `None`, it has the whole picture if that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vae_tile: Option<usize>,
    /// That the network sees the latent in windows that overlap, and denoises it by what it predicts of
    /// all of them: memory is a window's, and pictures far larger than a model was made for, panoramas
    /// above all, are of one piece. Where `None`, it sees all at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile_latents: Option<TileLatents>,
    /// Which edges of the picture go on at the opposite one, so that copies of it can be laid side by
    /// side. The picture is decoded whole then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seamless: Option<Seamless>,
    /// A second pass at a larger size, of a picture from the prompt alone. Width and height are the first
    /// one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hires: Option<Hires>,
}

impl Default for Request {
    /// One picture of nothing in particular.
    fn default() -> Self {
        Self {
            task: Task::default(),
            prompt: String::new(),
            negative_prompt: String::new(),
            prompt_2: None,
            negative_prompt_2: None,
            prompt_style: None,
            clip_skip: None,
            width: None,
            height: None,
            resize_mode: ResizeMode::default(),
            steps: None,
            guidance_scale: None,
            sampler: None,
            schedule: None,
            sigmas: None,
            sigma_rules: None,
            eta: None,
            guidance_rescale: 0.0,
            dynamic_thresholding: None,
            threshold_max: None,
            guidance_start: 0.0,
            guidance_end: 1.0,
            refiner_start: None,
            noise_path: None,
            prediction: None,
            seed: None,
            variation_strength: None,
            variation_seed: None,
            batch_size: 1,
            original_size: None,
            crop: None,
            target_size: None,
            preset: None,
            noise: None,
            batch_noise: None,
            step_noise: None,
            precision: Precision::default(),
            vae_tile: None,
            tile_latents: None,
            seamless: None,
            hires: None,
        }
    }
}

impl Request {
    /// The first picture's variation seed and the strength, where the pictures are variations of one.
    pub(super) fn variation(&self) -> Option<(u64, f64)> {
        let strength = self.variation_strength.filter(|strength| *strength > 0.0)?;
        Some((self.variation_seed.unwrap_or_default(), strength))
    }

    /// Ratio and largest threshold of dynamic thresholding, where there is one.
    pub(super) fn threshold(&self) -> [f64; 2] {
        let max = self.threshold_max.unwrap_or(f64::from(f32::MAX));
        [self.dynamic_thresholding.unwrap_or(1.0), max]
    }

    /// The width of a resolved request.
    pub(super) fn width(&self) -> usize {
        self.width.unwrap_or_default()
    }

    /// The height of a resolved request.
    pub(super) fn height(&self) -> usize {
        self.height.unwrap_or_default()
    }

    /// The request for one picture of the batch alone.
    pub(super) fn alone(&self, picture: usize) -> Self {
        if let Some((seed, _)) = self.variation() {
            return Self {
                variation_seed: Some(seed.wrapping_add(picture as u64)),
                batch_size: 1,
                ..self.clone()
            };
        }
        let seed = self.seed.unwrap_or_default();
        let (seed, batch_noise) = match self.batch_noise {
            Some(BatchNoise::Together) => {
                let (index, count) = (picture, self.batch_size);
                (seed, Some(BatchNoise::PictureOf { index, count }))
            }
            other => (seed.wrapping_add(picture as u64), other),
        };
        Self {
            seed: Some(seed),
            batch_size: 1,
            batch_noise,
            ..self.clone()
        }
    }

    /// The request as JSON: what a PNG and a trace carry.
    ///
    /// # Errors
    /// [`Error::Request`] if the recorded noise's path is not Unicode.
    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::request("noise", error.to_string()))
    }

    /// The request with every `None` filled in and names in their canonical form. The preset is gone
    /// then: what it filled in stands there, and means the same in all versions.
    pub(super) fn resolved(&self, defaults: &Defaults) -> Result<Self> {
        self.check()?;
        let said = self.with_habits();
        let sampler = self.sampler.as_deref().unwrap_or(&defaults.sampler);
        let choice = Choice::find(sampler, self.schedule.as_deref(), &defaults.schedule)?;
        let own_steps = self.sigmas.as_ref().map(|sigmas| sigmas.len() - 1);
        Ok(Self {
            width: self.width.or(Some(defaults.width)),
            height: self.height.or(Some(defaults.height)),
            steps: self.steps.or(own_steps).or(Some(defaults.steps)),
            guidance_scale: self.guidance_scale.or(Some(defaults.guidance_scale)),
            sampler: Some(choice.sampler.name.to_owned()),
            schedule: Some(choice.schedule.name.to_owned()),
            seed: self.seed.or_else(|| Some(drawn_seed())),
            variation_seed: self
                .variation_seed
                .or_else(|| self.variation_strength.map(|_| drawn_seed())),
            preset: None,
            tile_latents: self.tile_latents.map(|tile| tile.resolved(defaults)),
            prompt_style: Some(said.prompt_style.unwrap_or_default()),
            sigma_rules: Some(said.sigma_rules.unwrap_or_default()),
            noise: Some(said.noise.unwrap_or_default()),
            batch_noise: Some(said.batch_noise.unwrap_or_default()),
            step_noise: Some(said.step_noise.unwrap_or_default()),
            ..said
        })
    }
}

/// A seed that nobody chose, in the 32 bits that every generator and user interface takes.
pub(super) fn drawn_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds each of these from the system's entropy.
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
        >> 32
}

#[cfg(test)]
mod tests;
