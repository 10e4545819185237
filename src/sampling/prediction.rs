//! What a network predicts, and how the clean latent follows from it.

use serde::{Deserialize, Serialize};

use super::{
    Level,
    registry::{self, Entry},
};
use crate::error::Result;

/// What the network's output `F` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Prediction {
    /// The noise: `F = n`. Ho et al. 2020 (arXiv 2006.11239).
    #[serde(rename = "epsilon")]
    Epsilon,
    /// The velocity of the variance-preserving path: `F = √ᾱ·n − √(1 − ᾱ)·x_0`.
    /// Salimans & Ho 2022 (arXiv 2202.00512).
    #[serde(rename = "v_prediction", alias = "v")]
    V,
    /// The velocity of the straight path: `F = n − x_0`. Liu et al. 2022 (arXiv 2209.03003).
    #[serde(rename = "flow", alias = "flow_prediction")]
    Flow,
}

/// How the network is asked and its answer read: `D = c_skip·x + c_out·F(c_in·x, timestep)`,
/// with `D` the estimate of the clean latent `x_0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scalings {
    /// The factor that turns `x` into what the network was trained on.
    pub c_in: f64,
    /// How much of `x` itself is in `D`.
    pub c_skip: f64,
    /// The factor of the network's output in `D`.
    pub c_out: f64,
}

/// A prediction by its names.
struct Named {
    prediction: Prediction,
    name: &'static str,
    aliases: &'static [&'static str],
}

/// The names of scheduler configurations first, then those of checkpoints and of sd.cpp.
static PREDICTIONS: &[Named] = &[
    Named {
        prediction: Prediction::Epsilon,
        name: "epsilon",
        aliases: &["eps", "eps_pred", "noise"],
    },
    Named {
        prediction: Prediction::V,
        name: "v_prediction",
        aliases: &["v", "v_pred", "velocity"],
    },
    Named {
        prediction: Prediction::Flow,
        name: "flow",
        aliases: &["flow_prediction", "flow_pred"],
    },
];

impl Entry for Named {
    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }
}

impl Prediction {
    /// The prediction of this name, as configurations, checkpoints and other programs have it:
    /// `epsilon` or `eps`, `v_prediction` or `v`, `flow`.
    ///
    /// # Errors
    ///
    /// [`Error::Request`](crate::error::Error::Request) with the known names, the nearest first.
    pub fn find(name: &str) -> Result<Self> {
        registry::find("prediction", PREDICTIONS, name).map(|named| named.prediction)
    }

    /// The scalings for a latent at `level`, in whatever space that is.
    ///
    /// An epsilon prediction needs some signal: at `level.signal` = 0 its scalings are infinite.
    #[must_use]
    pub fn scalings(self, level: Level) -> Scalings {
        let Level { signal, noise } = level;
        match self {
            Self::Epsilon => Scalings {
                c_in: 1.0 / signal.hypot(noise),
                c_skip: 1.0 / signal,
                c_out: -noise / signal,
            },
            Self::V => {
                let norm = signal.hypot(noise);
                Scalings {
                    c_in: 1.0 / norm,
                    c_skip: signal / (norm * norm),
                    c_out: -noise / norm,
                }
            }
            // The network sees a latent whose signal and noise add up to 1.
            Self::Flow => {
                let sum = signal + noise;
                Scalings {
                    c_in: 1.0 / sum,
                    c_skip: 1.0 / sum,
                    c_out: -noise / sum,
                }
            }
        }
    }
}
