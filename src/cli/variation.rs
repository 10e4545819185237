//! The flags of variations: pictures that differ a little from the one of a seed.

use aquatint::Request;
use clap::Args;

use super::values::{Seed, finite_number, seed, whole_number};

/// How far variations go where nobody says: what is seen stays, its details change.
const DEFAULT_STRENGTH: f64 = 0.2;

/// How many variations, how far they go and where to.
#[derive(Debug, Args)]
pub(super) struct VariationArgs {
    /// Number of variations of the seed's picture to make, in place of pictures with seeds of their own
    ///
    /// All have the same seed; their noise is mixed with that of the variation seeds V, V+1, …, as
    /// AUTOMATIC1111 does it.
    #[arg(long, value_name = "N", value_parser = whole_number, conflicts_with = "batch_size")]
    #[arg(allow_negative_numbers = true)]
    variations: Option<usize>,

    /// How far variations go from the seed's picture, 0 to 1 [default: 0.2 with --variations]
    #[arg(long, value_name = "SHARE", value_parser = finite_number)]
    #[arg(allow_negative_numbers = true)]
    variation_strength: Option<f64>,

    /// Seed V of the first variation; -1 draws one and the picture names it [default: -1]
    #[arg(long, value_name = "V", value_parser = seed, allow_negative_numbers = true)]
    variation_seed: Option<Seed>,
}

impl VariationArgs {
    /// Puts what was typed into a request.
    pub(super) fn apply(&self, request: &mut Request) {
        let implied = self.variations.map(|_| DEFAULT_STRENGTH);
        request.batch_size = self.variations.unwrap_or(request.batch_size);
        request.variation_strength = self.variation_strength.or(implied);
        request.variation_seed = match self.variation_seed {
            Some(Seed::Fixed(seed)) => Some(seed),
            Some(Seed::Draw) | None => None,
        };
    }
}
