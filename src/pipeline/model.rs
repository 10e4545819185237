//! A checkpoint read and understood: configuration, networks and tokeniser, no device.

use super::request::Request;
use crate::error::{Error, Result};
use crate::families::{self, Defaults, ModelConfig};
use crate::networks::{ClipTextEncoder, Unet, VaeDecoder, VaeEncoder};
use crate::sampling::{self, Table};
use crate::text::Tokenizer;
use crate::weights::Weights;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Parts of a checkpoint of which making a picture uses every tensor.
const DRAWING_PARTS: [&str; 4] = [
    "text_encoder.text_model.",
    "unet.",
    "vae.decoder.",
    "vae.post_quant_conv.",
];

/// A model: what a checkpoint is, ready to be put on a device. Holds no weights but the mapping.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) weights: Weights,
    pub(super) config: ModelConfig,
    pub(super) tokenizer: Tokenizer,
    pub(super) text_encoder: ClipTextEncoder,
    pub(super) unet: Unet,
    pub(super) vae_decoder: VaeDecoder,
    /// Absent from files that hold no more of the VAE than its decoder.
    pub(super) vae_encoder: Option<VaeEncoder>,
}

impl Model {
    /// Opens a checkpoint: a safetensors file, or a folder as diffusers writes it. The family is
    /// read from the file; no code in it is ever run.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadFile`], [`Error::UnknownModel`], [`Error::MissingTensor`],
    /// [`Error::TensorMismatch`] or [`Error::Unsupported`], each with what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_weights(Weights::open(path)?)
    }

    /// The small model that comes with the crate: 128×128 pixels, 189 things, 14 backgrounds.
    ///
    /// # Errors
    /// As [`Model::open`], were the file damaged.
    #[cfg(feature = "demo-model")]
    pub fn demo() -> Result<Self> {
        static DEMO: &[u8] = include_bytes!("../../models/demo/tiny-emoji-sd.safetensors");
        Self::from_weights(Weights::from_static("tiny-emoji-sd.safetensors", DEMO)?)
    }

    /// Understands an opened checkpoint.
    pub(crate) fn from_weights(weights: Weights) -> Result<Self> {
        let config = families::configure(&weights)?;
        families::check_complete(&weights)?;
        let text_model = weights.scope("text_encoder.text_model");
        let text_encoder = ClipTextEncoder::load(&text_model, &config.text_encoder)?;
        let unet = Unet::load(&weights.scope("unet"), &config.unet)?;
        let vae_decoder = VaeDecoder::load(&weights.scope("vae"), &config.vae)?;
        let has_encoder = weights.scope("vae").has_scope("encoder");
        let encoder = || VaeEncoder::load(&weights.scope("vae"), &config.vae);
        let vae_encoder = has_encoder.then(encoder).transpose()?;
        let from_folder = weights.folder().map(Tokenizer::from_folder).transpose()?;
        let rows = text_encoder.vocabulary_size();
        let tokenizer = match from_folder.flatten() {
            Some(tokenizer) => tokenizer,
            None => Tokenizer::bundled(rows).map_err(|error| match error {
                Error::Unsupported(reason) => text_model.unsupported(reason),
                other => other,
            })?,
        };
        if tokenizer.vocab_size() > rows {
            let found = tokenizer.vocab_size();
            let reason = format!(
                "the tokenizer has {found} tokens, the text encoder {rows}, so they are not of one \
                 model; download it again"
            );
            return Err(Error::bad_file(weights.path(), reason));
        }
        let model = Self {
            weights,
            config,
            tokenizer,
            text_encoder,
            unet,
            vae_decoder,
            vae_encoder,
        };
        model.check_all_used()?;
        model.check_defaults()?;
        Ok(model)
    }

    /// Whether a user might ask for what the file's own configuration makes the default.
    fn check_defaults(&self) -> Result<()> {
        let defaults = self.defaults();
        let request = Request::new("")
            .size(defaults.width, defaults.height)
            .steps(defaults.steps)
            .guidance_scale(defaults.guidance_scale)
            .sampler(&defaults.sampler)
            .schedule(&defaults.schedule);
        let checked = request.check();
        checked
            .and_then(|()| self.latent_size(defaults.width, defaults.height))
            .map(|_| ())
            .map_err(|error| match error {
                Error::Request { field, reason } => {
                    let reason = format!(
                        "its configuration makes a default of {field} that nobody may ask for: \
                         {reason}; mend it, or download the model again"
                    );
                    Error::bad_file(self.weights.path(), reason)
                }
                other => other,
            })
    }

    /// A file that lacks a layer in the middle reads like a smaller network: the layers after the
    /// gap would be left out in silence.
    fn check_all_used(&self) -> Result<()> {
        let used: HashSet<Arc<str>> = self.params()?.into_iter().map(|param| param.name).collect();
        let drawing = |name: &&str| DRAWING_PARTS.iter().any(|part| name.starts_with(part));
        match self
            .weights
            .names()
            .filter(drawing)
            .find(|name| !used.contains(*name))
        {
            None => Ok(()),
            Some(name) => Err(Error::UnknownModel {
                path: self.weights.path().to_owned(),
                reason: format!(
                    "{} has no place in the network that the file describes: a layer before it is \
                     missing; get the file again",
                    name.escape_debug()
                ),
            }),
        }
    }

    /// The checkpoint's name: its file's or folder's, without the extension.
    pub fn name(&self) -> &str {
        let stem = self
            .weights
            .path()
            .file_stem()
            .and_then(|stem| stem.to_str());
        stem.unwrap_or("model")
    }

    /// What a request is filled in with.
    pub fn defaults(&self) -> &Defaults {
        &self.config.defaults
    }

    /// The picture's size in latents, `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Request`] with the nearest sizes, if a side is no multiple of the latent factor.
    pub(crate) fn latent_size(&self, width: usize, height: usize) -> Result<[usize; 2]> {
        let factor = self.config.vae_scale_factor;
        for (field, side) in [("width", width), ("height", height)] {
            if side == 0 || !side.is_multiple_of(factor) {
                let below = (side / factor).max(1) * factor;
                let nearest = if below < side {
                    format!("{below} or {}", below + factor)
                } else {
                    below.to_string()
                };
                let reason = format!(
                    "must be a multiple of {factor} pixels for this model, not {side}; use {nearest}"
                );
                return Err(Error::request(field, reason));
            }
        }
        Ok([height / factor, width / factor])
    }

    /// The sampler's table for a resolved request.
    ///
    /// # Errors
    /// [`Error::Request`] if there are more steps than the model was trained on.
    pub(super) fn table(&self, request: &Request) -> Result<Table> {
        let scheduler = &self.config.scheduler;
        let options = sampling::Options {
            steps_offset: scheduler.steps_offset,
            ..sampling::Options::default()
        };
        sampling::build(
            &scheduler.noise_model()?,
            scheduler.prediction,
            request.sampler.as_deref().unwrap_or_default(),
            request.schedule.as_deref().unwrap_or_default(),
            request.steps.unwrap_or_default(),
            request.guidance_scale.unwrap_or(1.0),
            &options,
        )
    }
}
