//! A picture from the prompt alone: the first latent is scaled noise.

use super::{First, Start};

/// Draws the first latent.
pub(super) fn prepare(start: Start<'_>) -> First {
    let unit_normal = start.noise.initial(start.shape);
    let scale = start.table.initial_scale;
    #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
    let scaled = |value: &f32| (f64::from(*value) * scale) as f32;
    First {
        latents: unit_normal.iter().map(scaled).collect(),
        unit_normal,
        encoder_noise: Vec::new(),
        beside: Vec::new(),
        known: None,
    }
}
