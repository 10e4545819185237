//! Programs whose pictures can be made again: what each does where they differ.

use super::noise::{BatchNoise, StepNoise};
use super::request::{Noise, Request};
use crate::sampling::{NoiseSource, SigmaRules};
use crate::text::PromptStyle;
use serde::{Deserialize, Serialize};

/// A program whose habits fill in what a request does not say.
///
/// They are those of the program's defaults on a CUDA device, which is what most of its pictures
/// were made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Preset {
    /// AUTOMATIC1111's web UI, version 1.10, and its descendants.
    A1111,
    /// ComfyUI with its own nodes.
    ComfyUi,
    /// diffusers' pipelines with a generator on the CPU, as its documentation recommends.
    Diffusers,
}

/// What a program does where programs differ.
#[derive(Debug)]
struct Habits {
    prompt_style: PromptStyle,
    sigma_rules: SigmaRules,
    noise: Noise,
    batch_noise: BatchNoise,
    step_noise: StepNoise,
}

impl Preset {
    /// Every preset, with the name that users type.
    pub const ALL: [(&'static str, Self); 3] = [
        ("a1111", Self::A1111),
        ("comfyui", Self::ComfyUi),
        ("diffusers", Self::Diffusers),
    ];

    fn habits(self) -> Habits {
        match self {
            // As A1111's modules/rng.py: `ImageRNG` has a generator for each picture's own seed, on
            // the device, and the steps go on drawing from it.
            Self::A1111 => Habits {
                prompt_style: PromptStyle::A1111,
                sigma_rules: SigmaRules::KDiffusion,
                noise: Noise::Philox,
                batch_noise: BatchNoise::Each,
                step_noise: StepNoise::Continued,
            },
            // As ComfyUI's comfy/sample.py: `prepare_noise` draws the batch with one generator on
            // the CPU; and its comfy/k_diffusion/sampling.py: `default_noise_sampler` begins one on
            // the device at the same seed.
            Self::ComfyUi => Habits {
                prompt_style: PromptStyle::Comfy,
                sigma_rules: SigmaRules::Comfy,
                noise: Noise::TorchCpu,
                batch_noise: BatchNoise::Together,
                step_noise: StepNoise::Anew {
                    source: NoiseSource::Philox,
                    seed_offset: 0,
                },
            },
            // As diffusers' utils/torch_utils.py: `randn_tensor` draws a batch at once unless it is
            // given a list of generators, and the schedulers draw from the same one.
            Self::Diffusers => Habits {
                prompt_style: PromptStyle::Plain,
                sigma_rules: SigmaRules::Diffusers,
                noise: Noise::TorchCpu,
                batch_noise: BatchNoise::Together,
                step_noise: StepNoise::Continued,
            },
        }
    }
}

impl Request {
    /// The request with its preset's habits where it says nothing, so that it means the same
    /// without the preset.
    pub(super) fn with_habits(&self) -> Self {
        let Some(preset) = self.preset else {
            return self.clone();
        };
        let habits = preset.habits();
        let given = self.clone();
        Self {
            prompt_style: given.prompt_style.or(Some(habits.prompt_style)),
            sigma_rules: given.sigma_rules.or(Some(habits.sigma_rules)),
            noise: given.noise.or(Some(habits.noise)),
            batch_noise: given.batch_noise.or(Some(habits.batch_noise)),
            step_noise: given.step_noise.or(Some(habits.step_noise)),
            ..given
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_wins_over_the_preset() {
        let request = Request::new("a cat").preset(Preset::A1111);
        assert_eq!(request.with_habits().noise, Some(Noise::Philox));
        let rules = Some(SigmaRules::KDiffusion);
        assert_eq!(request.with_habits().sigma_rules, rules);
        let said = request.noise(Noise::TorchCpu).with_habits();
        assert_eq!(said.noise, Some(Noise::TorchCpu));
        assert_eq!(said.batch_noise, Some(BatchNoise::Each));
    }

    #[test]
    fn without_a_preset_nothing_is_filled_in() {
        let request = Request::new("a cat");
        assert_eq!(request.with_habits(), request);
    }

    #[test]
    fn presets_have_the_names_that_users_type() {
        for (name, preset) in Preset::ALL {
            let json = serde_json::to_string(&preset).expect("it is a word");
            assert_eq!(json, format!("{name:?}"));
        }
    }
}
