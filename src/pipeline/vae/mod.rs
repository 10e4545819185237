//! The VAE of a pipeline at work: latents become pictures, and pictures latents.

mod decoder;
mod encoder;
mod plans;
mod shared;
mod tiles;

use super::plans::Placement;
use crate::error::{Error, Result};
use crate::tensor::Wrap;
pub(super) use decoder::{Decoder, rgba8};
pub(super) use encoder::{Encoder, Moments};
use tiles::Tiles;

impl Placement {
    /// The tiles of a picture of so many latents; `None` where it is decoded and encoded whole.
    fn tiles(self, latent: [usize; 2]) -> Option<Tiles> {
        Tiles::of(latent, self.vae_tile)
    }

    /// The same with smaller tiles, by about a half, if there are any; none of pictures whose edges join.
    pub(super) fn with_smaller_tiles(self, latent: [usize; 2]) -> Option<Self> {
        if self.wrap != Wrap::NONE {
            return None;
        }
        let before = self.vae_tile.unwrap_or(usize::MAX);
        let mut smaller = tiles::sides(latent)
            .into_iter()
            .filter(|side| *side < before);
        let vae_tile = smaller
            .clone()
            .find(|side| *side <= before / 2)
            .or(smaller.next_back())?;
        Some(Self {
            vae_tile: Some(vae_tile),
            ..self
        })
    }
}

/// What `fit` makes of the largest tiles of a picture that it does not refuse; `refusal` of the whole
/// picture where there are no tiles, and that of the smallest ones where it refuses all.
///
/// # Errors
/// As said.
pub(super) fn with_largest_tiles<T>(
    latent: [usize; 2],
    refusal: Error,
    mut fit: impl FnMut(usize) -> Result<T>,
) -> Result<T> {
    let sides = tiles::sides(latent);
    let Some(&least) = sides.last() else {
        return Err(refusal);
    };
    fit(least)?;
    let largest = sides.partition_point(|side| fit(*side).is_err());
    fit(sides[largest])
}

#[cfg(test)]
mod tests;
