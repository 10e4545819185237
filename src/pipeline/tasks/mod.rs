//! What is asked for, and what each task does before the first step: one file a task.

mod image_to_image;
mod instruct;
mod size;
mod text_to_image;

use super::latent::LatentShape;
use super::model::Model;
use super::noise::RunNoise;
use super::request::Request;
use super::vae::Encoder;
use crate::error::{Error, Result};
use crate::families::Purpose;
use crate::image::InputImage;
use crate::sampling::Table;
use serde::{Deserialize, Serialize};

/// The largest image guidance scale: far beyond what any model answers sensibly.
const MAX_IMAGE_GUIDANCE_SCALE: f64 = 100.0;

/// What kind of picture is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Task {
    /// A picture from the prompt alone.
    #[default]
    TextToImage,
    /// A picture from a picture and the prompt (Meng et al. 2022, arXiv 2108.01073).
    ImageToImage {
        /// What it starts from.
        image: InputImage,
        /// How much of it may change, over 0 and up to 1: the share of the noise, and by the rules of
        /// most programs of the steps, that the run begins with.
        strength: f64,
    },
    /// A picture edited as the prompt says, by networks that were trained for it (Brooks et al. 2023,
    /// arXiv 2211.09800).
    Instruct {
        /// What is edited.
        image: InputImage,
        /// How strongly the picture is kept, from 0: 1.5 is usual, and 1 is no guidance by it.
        image_guidance_scale: f64,
    },
}

/// What a run starts from.
#[derive(Debug)]
pub(super) struct First {
    /// The latents as the sampler starts from them, `[N, C, h, w]`.
    pub(super) latents: Vec<f32>,
    /// The unit normal that they were made of, `[N, C, h, w]`.
    pub(super) unit_normal: Vec<f32>,
    /// The unit normals that latents of pictures were drawn from, each `[N, C, h, w]`.
    pub(super) encoder_noise: Vec<Vec<f32>>,
    /// What the network is told beside the latents, `[N, h, w, C']`; or nothing.
    pub(super) beside: Vec<f32>,
}

/// What the start of a run has at hand.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) model: &'a Model,
    pub(super) request: &'a Request,
    pub(super) table: &'a Table,
    pub(super) shape: LatentShape,
    pub(super) noise: &'a mut RunNoise,
}

impl Task {
    /// That the numbers are in range.
    ///
    /// # Errors
    /// [`Error::Request`] with the field, what is allowed and what was given.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::TextToImage => Ok(()),
            Self::ImageToImage { strength, .. } => check_strength(*strength),
            Self::Instruct {
                image_guidance_scale: scale,
                ..
            } => {
                if (0.0..=MAX_IMAGE_GUIDANCE_SCALE).contains(scale) {
                    return Ok(());
                }
                let reason = format!("must be 0 to {MAX_IMAGE_GUIDANCE_SCALE}, not {scale}");
                Err(Error::request("image_guidance_scale", reason))
            }
        }
    }

    /// The pictures that it starts from, by what they are.
    pub fn images(&self) -> Vec<(&'static str, &InputImage)> {
        match self {
            Self::TextToImage => Vec::new(),
            Self::ImageToImage { image, .. } | Self::Instruct { image, .. } => {
                vec![("image", image)]
            }
        }
    }

    /// The same with pictures in the place of those that are named and not carried.
    ///
    /// # Errors
    /// As [`InputImage::with`], with the picture's field.
    pub fn with_images(mut self, given: &[InputImage]) -> Result<Self> {
        let images: Vec<&mut InputImage> = match &mut self {
            Self::TextToImage => Vec::new(),
            Self::ImageToImage { image, .. } | Self::Instruct { image, .. } => vec![image],
        };
        for image in images {
            if image.image().is_ok() {
                continue;
            }
            let same = given.iter().find(|given| given.sha256() == image.sha256());
            match (same, given) {
                (Some(given), _) | (None, [given]) => *image = image.with(given)?,
                (None, _) => drop(image.image()?),
            }
        }
        Ok(self)
    }

    /// What the user should know of how the pictures were read.
    pub(super) fn warnings(&self) -> Vec<String> {
        let images = self.images();
        let images = images.iter().filter_map(|(_, image)| image.image().ok());
        images.flat_map(|image| image.warnings().to_vec()).collect()
    }

    /// The share of the noise that a run begins with, where the task has one.
    pub(super) fn said_strength(&self) -> Option<f64> {
        match self {
            Self::ImageToImage { strength, .. } => Some(*strength),
            Self::TextToImage | Self::Instruct { .. } => None,
        }
    }

    /// The share of the noise that a run begins with.
    pub(super) fn strength(&self) -> f64 {
        self.said_strength().unwrap_or(1.0)
    }

    /// How strongly a picture that the network sees is followed, where it sees one.
    pub(super) fn image_guidance_scale(&self) -> Option<f64> {
        match self {
            Self::Instruct {
                image_guidance_scale,
                ..
            } => Some(*image_guidance_scale),
            _ => None,
        }
    }

    /// That a checkpoint was trained for it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with what the checkpoint is for.
    pub(super) fn check_purpose(&self, model: &Model) -> Result<()> {
        let purpose = model.config.purpose;
        let advice = match (self, purpose) {
            (Self::TextToImage | Self::ImageToImage { .. }, Purpose::TextToImage)
            | (Self::Instruct { .. }, Purpose::Instruct) => return Ok(()),
            (Self::Instruct { .. }, _) => {
                "editing by instruction needs a checkpoint that was trained for it, such as \
                 InstructPix2Pix, whose UNet takes 8 channels; to change a picture with this one, \
                 describe the result and use `aquatint transform`"
            }
            (_, Purpose::Instruct) => {
                "that needs a picture and an instruction: use `aquatint edit`, or a plain checkpoint"
            }
            (_, _) => {
                "that needs a picture and a mask, which cannot be given so far; use a plain \
                       checkpoint"
            }
        };
        Err(Error::Unsupported(format!(
            "{} {purpose}; {advice}",
            model.weights.path_of("unet").display()
        )))
    }

    /// That a refiner can do the last steps.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the refiner lacks what the task needs.
    pub(super) fn check_refinable(&self) -> Result<()> {
        match self {
            Self::TextToImage | Self::ImageToImage { .. } => Ok(()),
            Self::Instruct { .. } => Err(Error::Unsupported(
                "a refiner after editing by instruction, since it does not see the picture; leave \
                 it out"
                    .into(),
            )),
        }
    }

    /// What a run starts from; `encoder` is there where the task has pictures.
    ///
    /// # Errors
    /// As [`Encoder::encode`], and [`Error::Request`] if a picture is not at hand.
    pub(super) async fn prepare(
        &self,
        start: Start<'_>,
        encoder: Option<&mut Encoder>,
    ) -> Result<First> {
        match (self, encoder) {
            (Self::ImageToImage { image, .. }, Some(encoder)) => {
                image_to_image::prepare(start, image, encoder).await
            }
            (Self::Instruct { image, .. }, Some(encoder)) => {
                instruct::prepare(start, image, encoder).await
            }
            _ => Ok(text_to_image::prepare(start)),
        }
    }
}

fn check_strength(strength: f64) -> Result<()> {
    if strength > 0.0 && strength <= 1.0 {
        return Ok(());
    }
    let reason = format!("must be over 0 and at most 1, not {strength}");
    Err(Error::request("strength", reason))
}
