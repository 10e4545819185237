//! What each task does before the first step: one file a task.

pub(super) mod text_to_image;
