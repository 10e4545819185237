//! How much signal and how much noise a latent holds, and in which convention.

use super::schedule::InitialNoise;

/// A latent's composition: `x = signal · x_0 + noise · n`, with `n` a unit normal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The factor of the clean latent.
    pub signal: f64,
    /// The standard deviation of the noise.
    pub noise: f64,
}

impl Level {
    /// Half the logarithm of the signal-to-noise ratio: DPM-Solver's λ.
    #[must_use]
    pub fn log_snr(self) -> f64 {
        self.signal.ln() - self.noise.ln()
    }
}

/// The convention that a latent is kept in between steps.
///
/// The same noise level σ (noise ÷ signal) is `x` in one space and `c·x` in another, so a
/// prediction `D` of `x_0` is the same in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// `x = x_0 + σ·n`: the variance explodes with σ. Karras et al. 2022, k-diffusion.
    VarianceExploding,
    /// `x = √ᾱ·x_0 + √(1 − ᾱ)·n`, where σ² = (1 − ᾱ)/ᾱ: the variance is preserved. Ho et al. 2020.
    VariancePreserving,
    /// `x = (1 − σ)·x_0 + σ·n`, σ in \[0, 1\]. Liu et al. 2022 (arXiv 2209.03003).
    Flow,
}

impl Space {
    /// The composition of a latent at `sigma`. At σ = 0 it is the clean latent in every space.
    #[must_use]
    pub fn level(self, sigma: f64) -> Level {
        let (signal, noise) = match self {
            Self::VarianceExploding => (1.0, sigma),
            Self::VariancePreserving => {
                let signal = 1.0 / sigma.hypot(1.0);
                (signal, sigma * signal)
            }
            Self::Flow => (1.0 - sigma, sigma),
        };
        Level { signal, noise }
    }

    /// What a unit normal is multiplied by to start at `first`.
    pub(super) fn initial_scale(self, initial: InitialNoise, first: Level) -> f64 {
        match (self, initial) {
            (Self::VariancePreserving, InitialNoise::Marginal) => 1.0,
            (Self::VarianceExploding, InitialNoise::Marginal) => first.signal.hypot(first.noise),
            (_, InitialNoise::Noise) | (Self::Flow, _) => first.noise,
        }
    }
}
