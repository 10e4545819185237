//! Whose habits decide where programs differ over the same sampler and schedule.

use serde::{Deserialize, Serialize};

use super::{Grid, InitialNoise, NoiseModel, NoisePath, Space, StepEnd, Timesteps};

/// Whose habits decide what programs do differently with the same sampler and schedule: which
/// levels a name stands for, how the network is told fractions of timesteps, and how much noise
/// there is at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigmaRules {
    /// diffusers' scheduler of the sampler's name.
    #[default]
    Diffusers,
    /// k-diffusion as A1111 and its descendants use it: n levels and 0, timesteps between the whole
    /// ones, noise alone at first.
    #[serde(alias = "a1111")]
    KDiffusion,
    /// ComfyUI: n levels and 0, the nearest whole timesteps, a noised picture at first where the
    /// first level is the model's noisiest.
    #[serde(alias = "comfyui")]
    Comfy,
}

/// The samplers that lay out one step more and leave out the level before the last, the smallest
/// over 0, at which they would be unstable. A1111: `discard_next_to_last_sigma` in
/// sd_samplers_kdiffusion.py.
const A1111_DISCARDING: &[&str] = &["dpm_2", "dpm_2_ancestral", "dpmpp_3m_sde"];
/// ComfyUI: `DISCARD_PENULTIMATE_SIGMA_SAMPLERS` in comfy/samplers.py.
const COMFY_DISCARDING: &[&str] = &["dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"];

/// The samplers that draw from a Brownian motion. A1111: `brownian_noise` in
/// sd_samplers_kdiffusion.py; ComfyUI: `BrownianTreeNoiseSampler` in comfy/k_diffusion/sampling.py.
const BROWNIAN: &[&str] = &[
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde",
];

/// How a sampler's noise of one step and of another belong together.
pub(super) fn noise_path(sampler: &str) -> NoisePath {
    if BROWNIAN.contains(&sampler) {
        NoisePath::Brownian
    } else {
        NoisePath::Independent
    }
}

impl SigmaRules {
    /// How a sampler takes a schedule, which under diffusers' rules is its own affair.
    ///
    /// A1111 runs DDIM and its kin on whole timesteps, a stride apart, as diffusers does.
    pub(super) fn grid(self, own: Grid) -> Grid {
        let timesteps = match self {
            Self::Diffusers => return own,
            Self::KDiffusion if own.step_end == StepEnd::Stride => return own,
            Self::KDiffusion => Timesteps::Fractional,
            Self::Comfy => Timesteps::Whole,
        };
        Grid {
            timesteps,
            ..Grid::K_DIFFUSION
        }
    }

    /// How many steps are laid out for a run from a picture, and how many of the first of them are left
    /// out.
    ///
    /// diffusers: `get_timesteps` in pipeline_stable_diffusion_img2img.py leaves out what is beyond
    /// `int(steps · strength)`. A1111: `setup_img2img_steps` in sd_samplers_common.py, after which
    /// k-diffusion's samplers take one step more and DDIM and its kin do not. ComfyUI:
    /// `KSampler.set_steps` in comfy/samplers.py stretches the schedule, so that `steps` are left.
    pub(super) fn portion(self, own: Grid, steps: usize, strength: f64) -> [usize; 2] {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "steps are few, and no strength is negative"
        )]
        let whole = |count: f64| count as usize;
        let count = steps as f64;
        match self {
            Self::Diffusers => [steps, steps - whole(count * strength).min(steps)],
            Self::KDiffusion => {
                let encoded = whole(count * strength.min(0.999));
                let taken = match own.step_end {
                    StepEnd::Stride => encoded,
                    StepEnd::NextPoint => encoded + 1,
                };
                [steps, steps - taken.min(steps)]
            }
            Self::Comfy if strength > 0.9999 => [steps, 0],
            Self::Comfy => {
                let laid = whole(count / strength).max(steps);
                [laid, laid - steps]
            }
        }
    }

    /// Whether a run from a picture starts from a latent that is drawn from what the VAE's encoder
    /// says, or from the likeliest.
    ///
    /// diffusers: `retrieve_latents` in pipeline_stable_diffusion_img2img.py. ComfyUI:
    /// `DiagonalGaussianRegularizer` in comfy/ldm/models/autoencoder.py, `sample=False`. A1111 draws it
    /// from a generator that nobody seeds, so that no picture comes again.
    #[must_use]
    pub fn draws_the_encoded(self) -> bool {
        self == Self::Diffusers
    }

    /// How many of the last levels over 0 a sampler leaves out.
    pub(super) fn discarded_levels(self, sampler: &str) -> usize {
        let discarding = match self {
            Self::Diffusers => &[],
            Self::KDiffusion => A1111_DISCARDING,
            Self::Comfy => COMFY_DISCARDING,
        };
        usize::from(discarding.contains(&sampler))
    }

    /// What the first latent, at `sigma`, is taken for; `initial` is what diffusers takes it for.
    ///
    /// ComfyUI: `Sampler.max_denoise` in comfy/samplers.py and `noise_scaling` in
    /// comfy/model_sampling.py. A1111: `KDiffusionSampler.sample`, and `CompVisSampler.sample`, where
    /// DDIM and its kin start from unit noise.
    pub(super) fn initial_noise(
        self,
        own: Grid,
        space: Space,
        initial: InitialNoise,
        sigma: f64,
        noise_model: &NoiseModel,
    ) -> InitialNoise {
        /// As Python's `math.isclose` is asked there.
        const CLOSE: f64 = 1e-5;
        let is_marginal = match self {
            Self::Diffusers if space == Space::VarianceExploding => return initial,
            Self::Diffusers => true,
            Self::KDiffusion => own.step_end == StepEnd::Stride,
            Self::Comfy => sigma >= noise_model.sigma_max() * (1.0 - CLOSE),
        };
        if is_marginal {
            InitialNoise::Marginal
        } else {
            InitialNoise::Noise
        }
    }
}
