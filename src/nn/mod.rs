//! Layers that own weights.
//!
//! Each has a `load`, which finds its weights under a [`Scope`](crate::weights::Scope) and checks
//! their shapes, and a `forward`, which records its arithmetic. Widths coming in are given by the
//! caller, who knows what flows there; widths going out are read from the file, so that networks
//! of any width load. A weight that contradicts a given width is an error of the file, found here
//! and not during recording.

mod attention;
mod conv2d;
mod embedding;
mod linear;
mod norm;

pub(crate) use attention::{Attention, AttentionSpec, Heads, ProjectionNames};
pub(crate) use conv2d::Conv2d;
pub(crate) use embedding::Embedding;
pub(crate) use linear::Linear;
pub(crate) use norm::{GroupNorm, GroupNormSpec, LayerNorm};
