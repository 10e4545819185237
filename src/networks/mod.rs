//! The networks, each written as its paper draws it.
//!
//! A network is built from a [`Scope`](crate::weights::Scope) of the checkpoint and a
//! configuration that holds what the weights' shapes cannot tell; depth, width and the places of
//! attention are read from the file. Of each kind of block at least one is asked for (`.max(1)`), so
//! that what a file without any lacks is named. No network knows which family it is in.

pub(crate) mod blocks;
pub(crate) mod clip;
mod tiny_decoder;
pub(crate) mod unet;
pub(crate) mod upscaler;
pub(crate) mod vae;

pub(crate) use crate::nn::Heads;
pub(crate) use clip::{Activation, ClipConfig, ClipTextEncoder};
pub(crate) use tiny_decoder::TinyDecoder;
pub(crate) use unet::{
    AddedConfig, AddedInputs, LevelHeads, PerLevel, Unet, UnetConfig, UnetInputs,
};
pub(crate) use upscaler::{InputScaling, Upscaler};
pub(crate) use vae::{VaeConfig, VaeDecoder, VaeEncoder};
