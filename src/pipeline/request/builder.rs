//! A request from its defaults, one setting after the other.

use super::{
    BatchNoise, Hires, Noise, Precision, Preset, Request, ResizeMode, Seamless, StepNoise, Task,
    TileLatents,
};
use crate::sampling::{NoisePath, Prediction, SigmaRules};
use crate::text::PromptStyle;

impl Request {
    /// A request for one picture of `prompt`, everything else as the model's family has it.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            ..Self::default()
        }
    }

    /// Sets what kind of picture is made, and from which.
    pub fn task(mut self, task: Task) -> Self {
        self.task = task;
        self
    }

    /// Sets how a task's picture comes to a size of another shape.
    pub fn resize_mode(mut self, mode: ResizeMode) -> Self {
        self.resize_mode = mode;
        self
    }

    /// Sets what is not to be seen.
    pub fn negative(mut self, prompt: impl Into<String>) -> Self {
        self.negative_prompt = prompt.into();
        self
    }

    /// Sets what the second text encoder is told is to be seen.
    pub fn prompt_2(mut self, prompt: impl Into<String>) -> Self {
        self.prompt_2 = Some(prompt.into());
        self
    }

    /// Sets what the second text encoder is told is not to be seen.
    pub fn negative_2(mut self, prompt: impl Into<String>) -> Self {
        self.negative_prompt_2 = Some(prompt.into());
        self
    }

    /// Sets what brackets and weights in the prompts mean.
    pub fn prompt_style(mut self, style: PromptStyle) -> Self {
        self.prompt_style = Some(style);
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

    /// Sets the noise levels themselves, the last being where the run ends.
    pub fn sigmas(mut self, sigmas: impl Into<Vec<f64>>) -> Self {
        self.sigmas = Some(sigmas.into());
        self
    }

    /// Sets whose habits decide where programs differ over the same sampler and schedule.
    pub fn sigma_rules(mut self, rules: SigmaRules) -> Self {
        self.sigma_rules = Some(rules);
        self
    }

    /// Sets how much of the conditional prediction's spread is restored after guidance, 0 to 1.
    pub fn guidance_rescale(mut self, share: f64) -> Self {
        self.guidance_rescale = share;
        self
    }

    /// Sets which share of a picture's values dynamic thresholding leaves as it is, over 0 and up to 1.
    pub fn dynamic_thresholding(mut self, ratio: f64) -> Self {
        self.dynamic_thresholding = Some(ratio);
        self
    }

    /// Sets the most that dynamic thresholding divides by, from 1.
    pub fn threshold_max(mut self, max: f64) -> Self {
        self.threshold_max = Some(max);
        self
    }

    /// Sets between which shares of the steps there is guidance, 0 to 1.
    pub fn guidance_interval(mut self, start: f64, end: f64) -> Self {
        (self.guidance_start, self.guidance_end) = (start, end);
        self
    }

    /// Sets after which share of the noise a refiner takes over, between 0 and 1.
    pub fn refiner_start(mut self, share: f64) -> Self {
        self.refiner_start = Some(share);
        self
    }

    /// Sets the text encoders' layer whose vectors are taken, 1 for the last.
    pub fn clip_skip(mut self, layer: usize) -> Self {
        self.clip_skip = Some(layer);
        self
    }

    /// Sets how much of the removed noise is replaced each step, 0 to 1.
    pub fn eta(mut self, eta: f64) -> Self {
        self.eta = Some(eta);
        self
    }

    /// Sets how the noise of one step and that of another belong together.
    pub fn noise_path(mut self, path: NoisePath) -> Self {
        self.noise_path = Some(path);
        self
    }

    /// Sets what the network predicts, whatever its file says.
    pub fn prediction(mut self, prediction: Prediction) -> Self {
        self.prediction = Some(prediction);
        self
    }

    /// Sets the seed of the first picture.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets how far the noise is from the seed's to the variation seed's, 0 to 1.
    pub fn variation_strength(mut self, strength: f64) -> Self {
        self.variation_strength = Some(strength);
        self
    }

    /// Sets the seed of the first picture's other noise.
    pub fn variation_seed(mut self, seed: u64) -> Self {
        self.variation_seed = Some(seed);
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

    /// Sets the program whose habits fill in what is not set otherwise.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
        self
    }

    /// Sets where the noise comes from.
    pub fn noise(mut self, noise: Noise) -> Self {
        self.noise = Some(noise);
        self
    }

    /// Sets how the pictures of a batch come to their noise.
    pub fn batch_noise(mut self, noise: BatchNoise) -> Self {
        self.batch_noise = Some(noise);
        self
    }

    /// Sets where the noise of the steps comes from.
    pub fn step_noise(mut self, noise: StepNoise) -> Self {
        self.step_noise = Some(noise);
        self
    }

    /// Sets the most pixels on a side of what the VAE has at once.
    pub fn vae_tile(mut self, pixels: usize) -> Self {
        self.vae_tile = Some(pixels);
        self
    }

    /// Has the network see the latent in windows.
    pub fn tile_latents(mut self, tile: TileLatents) -> Self {
        self.tile_latents = Some(tile);
        self
    }

    /// Sets which edges of the picture go on at the opposite one.
    pub fn seamless(mut self, seamless: Seamless) -> Self {
        self.seamless = Some(seamless);
        self
    }

    /// Has a second pass at a larger size.
    pub fn hires(mut self, hires: Hires) -> Self {
        self.hires = Some(hires);
        self
    }

    /// Sets how activations are stored.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }
}
