//! What a file is that no family knows: the sentence that saves its owner an evening.

use super::sdxl::REFINER;
use super::{FAMILIES, context_width, markers};
use crate::error::Error;
use crate::weights::Weights;

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
    let has = |name: &&str| weights.scope("").has(name);
    // SDXL's or its refiner's parts, where anything is of them; else those of Stable Diffusion 1.x.
    let is_xl = [markers::ADD_EMBEDDING, markers::TEXT_ENCODER_2]
        .iter()
        .any(has);
    let is_refiner = context == Some(REFINER.unet.cross_attention_dim);
    let wanted: &[&str] = match (is_xl, is_refiner) {
        (true, true) => &markers::REFINER,
        (true, false) => &markers::XL,
        (false, _) => &markers::ALL,
    };
    let mut missing = wanted.iter().filter(|name| !has(name)).peekable();
    if missing.peek().is_some() {
        return weights.missing(missing.copied());
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
