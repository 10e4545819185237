//! A picture from the prompt alone: the first latent is scaled noise.

use crate::pipeline::latent::LatentShape;
use crate::pipeline::noise::RunNoise;
use crate::pipeline::run::First;
use crate::sampling::Table;

/// Draws the first latent.
pub(in crate::pipeline) fn prepare(
    table: &Table,
    noise: &mut RunNoise,
    shape: LatentShape,
) -> First {
    let unit_normal = noise.initial(shape);
    let scale = table.initial_scale;
    #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
    let scaled = |value: &f32| (f64::from(*value) * scale) as f32;
    First {
        latents: unit_normal.iter().map(scaled).collect(),
        unit_normal,
    }
}
