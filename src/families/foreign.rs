//! What a file is that no family knows: the sentence that saves its owner an evening.

use super::{FAMILIES, Family, context_width, latent_channels, markers};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// The width of the UNet's cross attention, and the family that has it.
const CONTEXT_WIDTHS: &[(usize, &str)] = &[
    (1024, "Stable Diffusion 2.x"),
    (1280, "the refiner of Stable Diffusion XL"),
    (2048, "Stable Diffusion XL"),
];

/// Fails for a checkpoint of a known family that does not draw from text alone: its UNet takes more
/// than a latent.
pub(super) fn refuse_other_uses(weights: &Weights, family: &Family) -> Result<()> {
    let taken = weights.scope("").axis(markers::UNET, 1);
    let (Some(taken), Some(latent)) = (taken, latent_channels(weights)) else {
        return Ok(());
    };
    let kind = match taken {
        _ if taken == latent => return Ok(()),
        _ if taken == 2 * latent => "an InstructPix2Pix checkpoint", // latent, picture
        _ if taken == 2 * latent + 1 => "an inpainting checkpoint",  // latent, mask, masked picture
        _ => "a checkpoint of unknown use",
    };
    Err(Error::Unsupported(format!(
        "{} is {kind} of {}: its UNet takes {taken} channels, where text to image has {latent}; \
         use a plain checkpoint",
        weights.path().display(),
        family.title
    )))
}

/// Says what a file is that no family knows.
pub(super) fn explain(weights: &Weights) -> Error {
    let unknown = |reason: String| Error::UnknownModel {
        path: weights.path().to_owned(),
        reason: format!("{reason}; {}", known_families()),
    };
    if let Some(kind) = weights.looks_like() {
        return unknown(format!("it looks like {kind}"));
    }
    let context = context_width(weights);
    if let Some((width, title)) = CONTEXT_WIDTHS
        .iter()
        .find(|(width, _)| Some(*width) == context)
    {
        return unknown(format!(
            "it looks like {title}, whose cross attention is {width} wide"
        ));
    }
    let mut missing = markers::ALL
        .into_iter()
        .filter(|name| !weights.scope("").has(name))
        .peekable();
    if missing.peek().is_some() {
        return weights.missing(missing);
    }
    unknown(match context {
        Some(width) => format!(
            "its UNet attends to vectors {width} wide, and its text encoder gives others: \
             they are of different models"
        ),
        None => "its UNet attends to no text".to_owned(),
    })
}

/// `known here: sd1 (Stable Diffusion 1.x), which has a UNet, …`
fn known_families() -> String {
    let families = FAMILIES.iter().map(|family| {
        format!(
            "{} ({}), which has {}",
            family.name, family.title, family.looked_for
        )
    });
    format!("known here: {}", families.collect::<Vec<_>>().join("; "))
}
