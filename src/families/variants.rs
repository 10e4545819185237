//! Relatives of a family: the same network, distilled to need fewer steps and no guidance.
//!
//! Nothing in their weights tells them from the family's other checkpoints but for the embedding of
//! the guidance scale, so the rest is recognised by name, as users do it.

use super::{Defaults, FamilyInfo};
use crate::weights::Weights;

/// What is recommended for a relative.
struct Variant {
    title: &'static str,
    /// A word in the name of the file or in its title, in lower case.
    word: &'static str,
    steps: usize,
    guidance_scale: f64,
    sampler: &'static str,
    schedule: &'static str,
    /// The side that it was trained on, in pixels, where it is not the family's.
    side_px: Option<usize>,
}

/// The relatives, the first whose word occurs counts.
const VARIANTS: &[Variant] = &[
    // Sauer et al. 2023 (arXiv 2311.17042); stabilityai/sd-turbo and sdxl-turbo: both make 512².
    Variant {
        title: "Turbo",
        word: "turbo",
        steps: 1,
        guidance_scale: 1.0,
        sampler: "euler_ancestral",
        schedule: "trailing",
        side_px: Some(512),
    },
    // Lin et al. 2024 (arXiv 2402.13929): "trailing" timesteps, no guidance, 2, 4 or 8 steps.
    Variant {
        title: "Lightning",
        word: "lightning",
        steps: 4,
        guidance_scale: 1.0,
        sampler: "euler",
        schedule: "trailing",
        side_px: None,
    },
    // Ren et al. 2024 (arXiv 2404.13686).
    Variant {
        title: "Hyper",
        word: "hyper",
        steps: 8,
        guidance_scale: 1.0,
        sampler: "ddim",
        schedule: "trailing",
        side_px: None,
    },
];

/// Steps of a latent consistency model, and the guidance scale that it embeds
/// (Luo et al. 2023, arXiv 2310.04378).
const LCM_STEPS: usize = 4;
const LCM_GUIDANCE: f64 = 8.0;
/// Its sampler and its schedule.
const LCM: &str = "lcm";

/// The most steps that a name is believed to speak of.
const MAX_NAMED_STEPS: usize = 64;

/// The family's defaults, or what suits the relative that the checkpoint is.
pub(super) fn defaults(weights: &Weights, family: Defaults) -> Defaults {
    if weights.scope("unet.time_embedding").has_scope("cond_proj") {
        return Defaults {
            steps: LCM_STEPS,
            guidance_scale: LCM_GUIDANCE,
            sampler: LCM.into(),
            schedule: LCM.into(),
            ..family
        };
    }
    let name = names(weights);
    let Some(variant) = VARIANTS.iter().find(|variant| name.contains(variant.word)) else {
        return family;
    };
    Defaults {
        width: variant.side_px.unwrap_or(family.width),
        height: variant.side_px.unwrap_or(family.height),
        steps: named_steps(&name).unwrap_or(variant.steps),
        guidance_scale: variant.guidance_scale,
        sampler: variant.sampler.into(),
        schedule: variant.schedule.into(),
    }
}

/// The relatives, as users are told of them.
pub(super) fn relatives() -> impl Iterator<Item = FamilyInfo> {
    let lcm = FamilyInfo {
        title: "LCM",
        known_by: "a UNet that embeds the guidance scale".to_owned(),
        side_px: None,
        steps: LCM_STEPS,
        guidance_scale: LCM_GUIDANCE,
        sampler: LCM,
        schedule: LCM,
    };
    let by_name = VARIANTS.iter().map(|variant| FamilyInfo {
        title: variant.title,
        known_by: format!("\"{}\" in its name or title", variant.word),
        side_px: variant.side_px,
        steps: variant.steps,
        guidance_scale: variant.guidance_scale,
        sampler: variant.sampler,
        schedule: variant.schedule,
    });
    by_name.chain([lcm])
}

/// The file's name and title, in lower case.
fn names(weights: &Weights) -> String {
    let file = weights.path_of("unet").file_name().unwrap_or_default();
    let title = weights.metadata().get("modelspec.title");
    let title = title.map(String::as_str).unwrap_or_default();
    format!("{} {title}", file.to_string_lossy()).to_lowercase()
}

/// The steps that a name such as `sdxl_lightning_4step` speaks of.
fn named_steps(name: &str) -> Option<usize> {
    let before = name
        .split("step")
        .next()
        .filter(|before| before.len() < name.len())?;
    let before = before.trim_end_matches(['-', '_', ' ']);
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let steps = before[before.len() - digits..].parse().ok()?;
    (1..=MAX_NAMED_STEPS).contains(&steps).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_from_a_name() {
        assert_eq!(named_steps("sdxl_lightning_4step.safetensors"), Some(4));
        assert_eq!(named_steps("hyper-sdxl-8steps-cfg"), Some(8));
        assert_eq!(named_steps("lightning 12 step"), Some(12));
        assert_eq!(named_steps("stepless"), None);
        assert_eq!(named_steps("lightning"), None);
        assert_eq!(named_steps("999999999999999999999step"), None);
    }
}
