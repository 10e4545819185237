//! What a UNet was trained for, read from the channels that it takes.

use super::{Family, markers};
use crate::error::{Error, Result};
use crate::weights::Weights;
use serde::Serialize;
use std::fmt;

/// What a checkpoint's UNet was trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Purpose {
    /// Pictures from text: the UNet takes the latent alone.
    TextToImage,
    /// Filling in: the latent, the mask and the latent of the masked picture
    /// (Rombach et al. 2022, arXiv 2112.10752, §4.5).
    Inpaint,
    /// Editing by instruction: the latent and the picture's latent
    /// (Brooks et al. 2023, arXiv 2211.09800).
    Instruct,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::TextToImage, Self::Inpaint, Self::Instruct];

    /// What a checkpoint was trained for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the UNet takes another number of channels.
    pub(super) fn of(weights: &Weights, family: &Family, latent_channels: usize) -> Result<Self> {
        let taken = weights.scope("").axis(markers::UNET, 1);
        let taken = taken.unwrap_or(latent_channels);
        let fits = |purpose: &Self| purpose.unet_channels(latent_channels) == taken;
        Self::ALL.into_iter().find(fits).ok_or_else(|| {
            Error::Unsupported(format!(
                "{}: a UNet of {} that takes {taken} channels, beside a VAE whose latents have \
                 {latent_channels}; known are {}",
                weights.path_of("unet").display(),
                family.title,
                Self::ALL
                    .map(|purpose| format!(
                        "{} ({purpose})",
                        purpose.unet_channels(latent_channels)
                    ))
                    .join(", ")
            ))
        })
    }

    /// The channels that such a UNet takes.
    pub(super) fn unet_channels(self, latent_channels: usize) -> usize {
        match self {
            Self::TextToImage => latent_channels,
            Self::Inpaint => 2 * latent_channels + 1,
            Self::Instruct => 2 * latent_channels,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TextToImage => "makes pictures from text",
            Self::Inpaint => "fills in parts of pictures",
            Self::Instruct => "edits pictures by instruction",
        })
    }
}
