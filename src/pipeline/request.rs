//! What a user asks for, as plain data.

use crate::error::{Error, Result};
use crate::families::Defaults;
use crate::gpu::Device;
use crate::sampling::{Sampler, Spacing};
use crate::tensor::DType;
use crate::text::MAX_PROMPT_BYTES;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The most pixels that a side may have.
pub const MAX_SIDE_PX: usize = 8192;
/// The most pictures of one request.
pub const MAX_BATCH_SIZE: usize = 64;
/// The largest guidance scale: far beyond what any model answers sensibly.
const MAX_GUIDANCE_SCALE: f64 = 1000.0;

/// What kind of picture is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Task {
    /// A picture from the prompt alone.
    #[default]
    TextToImage,
}

/// Where a run's noise comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// Width in pixels: a multiple of the model's latent factor (8), at most [`MAX_SIDE_PX`].
    pub width: Option<usize>,
    /// Height in pixels, likewise.
    pub height: Option<usize>,
    /// Steps, from 1 to the model's training steps (1000).
    pub steps: Option<usize>,
    /// How strongly the prompt is followed, from 0; at 1 the negative prompt is not computed.
    pub guidance_scale: Option<f64>,
    /// A name or alias in [`crate::sampling::SAMPLERS`].
    pub sampler: Option<String>,
    /// A name or alias in [`crate::sampling::SCHEDULES`].
    pub schedule: Option<String>,
    /// The seed of the first picture; picture `i` has `seed + i`. 0 is a seed; `None` draws one.
    pub seed: Option<u64>,
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
    /// Where the noise comes from.
    pub noise: Noise,
    /// How activations are stored.
    pub precision: Precision,
}

impl Default for Request {
    /// One picture of nothing in particular.
    fn default() -> Self {
        Self {
            task: Task::default(),
            prompt: String::new(),
            negative_prompt: String::new(),
            width: None,
            height: None,
            steps: None,
            guidance_scale: None,
            sampler: None,
            schedule: None,
            seed: None,
            batch_size: 1,
            original_size: None,
            crop: None,
            target_size: None,
            noise: Noise::default(),
            precision: Precision::default(),
        }
    }
}

impl Request {
    /// A request for one picture of `prompt`, everything else as the model's family has it.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            ..Self::default()
        }
    }

    /// Sets what is not to be seen.
    pub fn negative(mut self, prompt: impl Into<String>) -> Self {
        self.negative_prompt = prompt.into();
        self
    }

    /// Sets width and height in pixels.
    pub fn size(mut self, width: usize, height: usize) -> Self {
        (self.width, self.height) = (Some(width), Some(height));
        self
    }

    /// Sets the number of steps.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Sets how strongly the prompt is followed.
    pub fn guidance_scale(mut self, scale: f64) -> Self {
        self.guidance_scale = Some(scale);
        self
    }

    /// Sets the sampler, by name or alias.
    pub fn sampler(mut self, name: impl Into<String>) -> Self {
        self.sampler = Some(name.into());
        self
    }

    /// Sets the schedule, by name or alias.
    pub fn schedule(mut self, name: impl Into<String>) -> Self {
        self.schedule = Some(name.into());
        self
    }

    /// Sets the seed of the first picture.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets how many pictures are made.
    pub fn batch_size(mut self, count: usize) -> Self {
        self.batch_size = count;
        self
    }

    /// Sets the height and width that the picture is said to have come from.
    pub fn original_size(mut self, height: usize, width: usize) -> Self {
        self.original_size = Some([height, width]);
        self
    }

    /// Sets how many rows above and columns left of the picture are said to have been cropped off.
    pub fn crop(mut self, top: usize, left: usize) -> Self {
        self.crop = Some([top, left]);
        self
    }

    /// Sets the height and width that the picture is said to have.
    pub fn target_size(mut self, height: usize, width: usize) -> Self {
        self.target_size = Some([height, width]);
        self
    }

    /// Sets where the noise comes from.
    pub fn noise(mut self, noise: Noise) -> Self {
        self.noise = noise;
        self
    }

    /// Sets how activations are stored.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Checks all that can be checked without a model.
    ///
    /// # Errors
    /// [`Error::Request`] with the field, what is allowed and what was given.
    pub fn check(&self) -> Result<()> {
        for (field, text) in [
            ("prompt", &self.prompt),
            ("negative_prompt", &self.negative_prompt),
        ] {
            if text.len() > MAX_PROMPT_BYTES {
                let reason = format!(
                    "must be at most {MAX_PROMPT_BYTES} bytes, not {}; shorten it",
                    text.len()
                );
                return Err(Error::request(field, reason));
            }
        }
        for (field, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| !(1..=MAX_SIDE_PX).contains(&side)) {
                let found = side.unwrap_or_default();
                return Err(Error::request(
                    field,
                    format!("must be 1 to {MAX_SIDE_PX} pixels, not {found}"),
                ));
            }
        }
        self.check_told_sizes()?;
        if self.steps == Some(0) {
            return Err(Error::request("steps", "must be at least 1, not 0"));
        }
        if let Some(scale) = self
            .guidance_scale
            .filter(|scale| !(0.0..=MAX_GUIDANCE_SCALE).contains(scale))
        {
            let reason = format!("must be 0 to {MAX_GUIDANCE_SCALE}, not {scale}");
            return Err(Error::request("guidance_scale", reason));
        }
        if !(1..=MAX_BATCH_SIZE).contains(&self.batch_size) {
            let reason = format!("must be 1 to {MAX_BATCH_SIZE}, not {}", self.batch_size);
            return Err(Error::request("batch_size", reason));
        }
        self.sampler.as_deref().map(Sampler::find).transpose()?;
        self.schedule.as_deref().map(Spacing::find).transpose()?;
        Ok(())
    }

    /// That what the network is told of sizes is in the range that it can tell apart.
    fn check_told_sizes(&self) -> Result<()> {
        let told = [
            ("original_size", self.original_size, 1),
            ("crop", self.crop, 0),
            ("target_size", self.target_size, 1),
        ];
        for (field, pair, least) in told {
            let wrong = pair
                .into_iter()
                .flatten()
                .find(|side| !(least..=MAX_SIDE_PX).contains(side));
            if let Some(side) = wrong {
                let reason = format!("must be {least} to {MAX_SIDE_PX} pixels, not {side}");
                return Err(Error::request(field, reason));
            }
        }
        Ok(())
    }

    /// The width of a resolved request.
    pub(super) fn width(&self) -> usize {
        self.width.unwrap_or_default()
    }

    /// The height of a resolved request.
    pub(super) fn height(&self) -> usize {
        self.height.unwrap_or_default()
    }

    /// The request as JSON: what a PNG and a trace carry.
    ///
    /// # Errors
    /// [`Error::Request`] if the recorded noise's path is not Unicode.
    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::request("noise", error.to_string()))
    }

    /// The request with every `None` filled in and names in their canonical form.
    pub(super) fn resolved(&self, defaults: &Defaults) -> Result<Self> {
        self.check()?;
        let sampler = self.sampler.as_deref().unwrap_or(&defaults.sampler);
        let schedule = self.schedule.as_deref().unwrap_or(&defaults.schedule);
        Ok(Self {
            width: self.width.or(Some(defaults.width)),
            height: self.height.or(Some(defaults.height)),
            steps: self.steps.or(Some(defaults.steps)),
            guidance_scale: self.guidance_scale.or(Some(defaults.guidance_scale)),
            sampler: Some(Sampler::find(sampler)?.name.to_owned()),
            schedule: Some(Spacing::find(schedule)?.name.to_owned()),
            seed: self.seed.or_else(|| Some(drawn_seed())),
            ..self.clone()
        })
    }
}

/// A seed that nobody chose, in the 32 bits that every generator and user interface takes.
fn drawn_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds each of these from the system's entropy.
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
        >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(request: &Request) -> &'static str {
        match request.check() {
            Err(Error::Request { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_field_out_of_range_is_named() {
        let request = || Request::new("a cat");
        assert_eq!(refused(&request().size(0, 512)), "width");
        assert_eq!(refused(&request().size(512, 1_000_000_000)), "height");
        assert_eq!(refused(&request().steps(0)), "steps");
        assert_eq!(
            refused(&request().guidance_scale(f64::NAN)),
            "guidance_scale"
        );
        assert_eq!(
            refused(&request().guidance_scale(f64::INFINITY)),
            "guidance_scale"
        );
        assert_eq!(refused(&request().guidance_scale(-1.0)), "guidance_scale");
        assert_eq!(refused(&request().batch_size(0)), "batch_size");
        assert_eq!(refused(&request().batch_size(1_000_000)), "batch_size");
        assert_eq!(refused(&request().sampler("euler_x")), "sampler");
        assert_eq!(refused(&request().schedule("")), "schedule");
        assert_eq!(refused(&Request::new("a".repeat(10 << 20))), "prompt");
        assert_eq!(
            refused(&request().negative("a".repeat(10 << 20))),
            "negative_prompt"
        );
    }

    #[test]
    fn a_request_survives_json() {
        let request = Request::new("a cat")
            .size(512, 768)
            .seed(0)
            .noise(Noise::Recorded("n.safetensors".into()));
        let json = serde_json::to_string(&request).expect("it is plain data");
        assert_eq!(
            serde_json::from_str::<Request>(&json).expect("it was written here"),
            request
        );
        assert!(serde_json::from_str::<Request>(r#"{"promt": "a cat"}"#).is_err());
        let short: Request =
            serde_json::from_str(r#"{"prompt": "a cat"}"#).expect("the rest has defaults");
        assert_eq!(short, Request::new("a cat"));
    }
}
