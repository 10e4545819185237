//! What each task does before the first step.

mod text_to_image;

pub(super) use text_to_image::prepare;
