//! What is asked for, and what each task does before the first step: one file a task.

mod enlarged;
mod image_to_image;
mod inpaint;
mod instruct;
mod outpaint;
mod painting;
mod size;
mod text_to_image;
mod windows;

pub(super) use enlarged::Enlarged;
pub use inpaint::{Fill, Inpaint};
pub use outpaint::Outpaint;
pub(super) use painting::Painting;

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
    /// A picture of which a part is repainted.
    Inpaint(Inpaint),
    /// A picture that is drawn on beyond its edges.
    Outpaint(Outpaint),
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
    /// What is put back after each step, if anything is.
    pub(super) known: Option<Known>,
}

/// What is known of the pictures that are made.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Clean latents, `[N, h, w, C]`.
    pub(super) latents: Vec<f32>,
    /// The unit normal that the run began with, `[N, h, w, C]`.
    pub(super) noise: Vec<f32>,
    /// How much of each may change, 0 to 1, `[N, h, w, 1]`.
    pub(super) mask: Vec<f32>,
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
            Self::ImageToImage { strength, .. } => check_strength("strength", *strength),
            Self::Inpaint(inpaint) => inpaint.check(),
            Self::Outpaint(outpaint) => outpaint.check(),
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
            Self::Outpaint(outpaint) => vec![("image", &outpaint.image)],
            Self::Inpaint(inpaint) => {
                let mask = inpaint.mask.iter().map(|mask| ("mask", mask));
                [("image", &inpaint.image)]
                    .into_iter()
                    .chain(mask)
                    .collect()
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
            Self::Outpaint(outpaint) => vec![&mut outpaint.image],
            Self::Inpaint(Inpaint { image, mask, .. }) => [image].into_iter().chain(mask).collect(),
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
            Self::ImageToImage { strength, .. }
            | Self::Inpaint(Inpaint { strength, .. })
            | Self::Outpaint(Outpaint { strength, .. }) => Some(*strength),
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
            (Self::Inpaint(_) | Self::Outpaint(_), Purpose::TextToImage | Purpose::Inpaint)
            | (Self::TextToImage | Self::ImageToImage { .. }, Purpose::TextToImage)
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
                "that needs a picture and a mask: use `aquatint inpaint` or `outpaint`, or a plain \
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
            Self::Instruct { .. } | Self::Inpaint(_) | Self::Outpaint(_) => {
                Err(Error::Unsupported(
                    "a refiner where a picture is edited or filled in; leave it out".into(),
                ))
            }
        }
    }

    /// Whether what is known of the picture is put back after each step: wherever a part of it is
    /// repainted, but with networks that see that part themselves, unless the mask is soft.
    ///
    /// # Errors
    /// As [`Inpaint::free`].
    pub(super) fn keeps_known(&self, model: &Model) -> Result<bool> {
        let is_seen = model.config.purpose == Purpose::Inpaint;
        match self {
            Self::Inpaint(inpaint) => Ok(!is_seen || inpaint.free()?.is_soft()),
            Self::Outpaint(_) => Ok(!is_seen),
            _ => Ok(false),
        }
    }

    /// Whether the network works on all of the picture at once, from edge to edge.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Inpaint(inpaint) => inpaint.only_masked_padding_px.is_none(),
            Self::Outpaint(_) => false,
            Self::TextToImage | Self::ImageToImage { .. } | Self::Instruct { .. } => true,
        }
    }

    /// What a run starts from, or its next round; `encoder` is there where the task has pictures, and
    /// its turn is over then.
    ///
    /// # Errors
    /// As [`Encoder::encode`], and [`Error::Request`] if a picture is not at hand.
    pub(super) async fn prepare(
        &self,
        start: Start<'_>,
        painting: Option<&Painting>,
        encoder: Option<Encoder>,
    ) -> Result<First> {
        let Some(mut encoder) = encoder else {
            return Ok(text_to_image::prepare(start));
        };
        match (self, painting) {
            (_, Some(painting)) => painting.prepare(start, &mut encoder).await,
            (Self::ImageToImage { image, .. }, _) => {
                image_to_image::prepare(start, image, &mut encoder).await
            }
            (Self::Instruct { image, .. }, _) => {
                instruct::prepare(start, image, &mut encoder).await
            }
            _ => Ok(text_to_image::prepare(start)),
        }
    }
}

impl Start<'_> {
    /// Whether latents of pictures are drawn.
    fn draws_the_encoded(&self) -> bool {
        let rules = self.request.sigma_rules.unwrap_or_default();
        rules.draws_the_encoded()
    }
}

/// That a strength is in range, which the field of that name holds.
pub(super) fn check_strength(field: &'static str, strength: f64) -> Result<()> {
    if strength > 0.0 && strength <= 1.0 {
        return Ok(());
    }
    let reason = format!("must be over 0 and at most 1, not {strength}");
    Err(Error::request(field, reason))
}
