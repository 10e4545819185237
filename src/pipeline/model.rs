//! A checkpoint read and understood: configuration, networks and tokeniser, no device.

use super::hires::Pass;
use super::recipe::PART_LABELS;
use super::request::Request;
use super::text_encoder::TextEncoder;
use crate::error::{Error, Result};
use crate::families::{self, Defaults, ModelConfig};
use crate::networks::{ClipTextEncoder, Unet, VaeDecoder, VaeEncoder};
use crate::sampling::{self, Table};
use crate::weights::{ModelFiles, Weights, scaled_weight};
use std::collections::HashSet;
use std::sync::Arc;

/// Parts of a checkpoint of which making a picture uses every tensor, but for the end of a text
/// encoder.
const DRAWING_PARTS: [&str; 5] = [
    "text_encoder.text_model.",
    "text_encoder_2.text_model.",
    "unet.",
    "vae.decoder.",
    "vae.post_quant_conv.",
];

/// A model: what a checkpoint is, ready to be put on a device. Holds no weights but the mapping.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) weights: Weights,
    pub(super) config: ModelConfig,
    pub(super) text_encoders: Vec<TextEncoder>,
    pub(super) unet: Unet,
    pub(super) vae_decoder: VaeDecoder,
    /// Absent from files that hold no more of the VAE than its decoder.
    pub(super) vae_encoder: Option<VaeEncoder>,
}

impl Model {
    /// Opens a checkpoint: a safetensors file, or a folder as diffusers writes it; or several files
    /// that make up a model, as [`ModelFiles`] has them. The family is read from the files; no code
    /// in them is ever run.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadFile`], [`Error::UnknownModel`], [`Error::MissingTensor`],
    /// [`Error::TensorMismatch`] or [`Error::Unsupported`], each with what to do.
    pub fn open(files: impl Into<ModelFiles>) -> Result<Self> {
        Self::from_weights(Weights::open(files)?)
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
        families::check_complete(&weights, &config)?;
        let text_encoders = config.text_encoders.iter();
        let text_encoders = text_encoders
            .map(|spec| TextEncoder::load(&weights, spec))
            .collect::<Result<Vec<_>>>()?;
        let unet = Unet::load(&weights.scope("unet"), &config.unet)?;
        let vae_decoder = VaeDecoder::load(&weights.scope("vae"), &config.vae)?;
        let has_encoder = weights.scope("vae").has_scope("encoder");
        let encoder = || VaeEncoder::load(&weights.scope("vae"), &config.vae);
        let vae_encoder = has_encoder.then(encoder).transpose()?;
        let model = Self {
            weights,
            config,
            text_encoders,
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
        let unread = self.unread_ends();
        let drawing = |name: &&str| {
            DRAWING_PARTS.iter().any(|part| name.starts_with(part))
                && !unread.iter().any(|end| name.starts_with(end))
        };
        let is_used = |name: &&str| {
            let scaled = scaled_weight(name);
            used.contains(*name) || scaled.is_some_and(|weight| used.contains(weight.as_str()))
        };
        match self
            .weights
            .names()
            .filter(drawing)
            .find(|name| !is_used(name))
        {
            None => Ok(()),
            Some(name) => Err(Error::UnknownModel {
                path: self.weights.path_of(name).to_owned(),
                reason: self.no_place(name),
            }),
        }
    }

    /// Why a tensor of a part that draws is left over.
    fn no_place(&self, name: &str) -> String {
        let specs = &self.config.text_encoders;
        let second = "text_encoder_2";
        if name.starts_with(second) && specs.iter().all(|spec| spec.part != second) {
            let title = self.config.family.title;
            return format!(
                "it gives a second text encoder, which {title} does not have; leave it out"
            );
        }
        format!(
            "{} has no place in the network that the file describes: a layer before it is missing; \
             get the file again",
            name.escape_debug()
        )
    }

    /// That every text encoder has the layer that a request asks for.
    ///
    /// # Errors
    /// [`Error::Request`] if one has fewer layers.
    pub(super) fn check_clip_skip(&self, request: &Request) -> Result<()> {
        let layers = self.text_encoders.iter();
        let least = layers.map(|encoder| encoder.network.layer_count()).min();
        match (request.clip_skip, least) {
            (Some(skip), Some(layers)) if skip > layers => Err(Error::request(
                "clip_skip",
                format!("must be 1 to {layers}, the layers of this model, not {skip}"),
            )),
            _ => Ok(()),
        }
    }

    /// What the text encoders have after the layers that are used.
    fn unread_ends(&self) -> Vec<String> {
        let encoders = self.text_encoders.iter().zip(&self.config.text_encoders);
        let unread = encoders.filter(|(_, spec)| !spec.clip.pooled);
        let ends = unread.flat_map(|(encoder, spec)| {
            let layers = encoder.network.layer_count();
            let part = spec.part;
            (layers - encoder.skipped_layers..layers)
                .map(move |layer| format!("{part}.text_model.encoder.layers.{layer}."))
                .chain(
                    (!spec.clip.normalised).then(|| format!("{part}.text_model.final_layer_norm.")),
                )
        });
        ends.collect()
    }

    /// The number of vectors, and their width, that the UNet attends to.
    pub(super) fn context_shape(&self) -> [usize; 2] {
        let encoders = || self.text_encoders.iter().map(|encoder| &encoder.network);
        let length = encoders().map(ClipTextEncoder::max_length).min();
        let width = encoders().map(ClipTextEncoder::width).sum();
        [length.unwrap_or_default(), width]
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

    /// Tensors that nothing here uses, by their names in the files.
    pub fn leftovers(&self) -> &[String] {
        self.weights.leftovers()
    }

    /// The parts that were given apart from the checkpoint, as pictures' texts call them, with the
    /// names of their files or folders.
    pub(super) fn parts_apart(&self) -> Vec<(&'static str, String)> {
        let named = self.weights.apart().filter_map(|(part, path)| {
            let (_, label) = PART_LABELS.iter().find(|(name, _)| *name == part)?;
            let name = path.file_name().unwrap_or(path.as_os_str());
            Some((*label, name.to_string_lossy().into_owned()))
        });
        named.collect()
    }

    /// The VAE's encoder.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the file holds no more of the VAE than its decoder.
    pub(super) fn require_encoder(&self) -> Result<&VaeEncoder> {
        self.vae_encoder.as_ref().ok_or_else(|| {
            Error::Unsupported(format!(
                "starting from a picture with {}: its VAE has a decoder only; give a whole VAE of \
                 the same family (--vae FILE)",
                self.weights.path_of("vae").display()
            ))
        })
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

    /// The sampler's table for a stretch of a resolved request's steps, [`sampling::Options::stretch`].
    ///
    /// # Errors
    /// [`Error::Request`] if there are more steps than the model was trained on, or own sigmas or an
    /// eta that mean nothing to it.
    pub(super) fn table(&self, request: &Request, pass: Pass, stretch: [f64; 2]) -> Result<Table> {
        let scheduler = &self.config.scheduler;
        let options = sampling::Options {
            steps_offset: scheduler.steps_offset,
            stretch,
            strength: pass.strength(request),
            does_all_steps: pass == Pass::Second,
            eta: request.eta,
            sigmas: request.sigmas.clone(),
            rules: request.sigma_rules.unwrap_or_default(),
            noise_path: request.noise_path,
            guidance_interval: [request.guidance_start, request.guidance_end],
            guidance_rescale: request.guidance_rescale,
            align_your_steps: self.config.family.align_your_steps,
            ..sampling::Options::default()
        };
        sampling::build(
            &scheduler.noise_model(options.rules)?,
            request.prediction.unwrap_or(scheduler.prediction),
            request.sampler.as_deref().unwrap_or_default(),
            request.schedule.as_deref().unwrap_or_default(),
            request.steps.unwrap_or_default(),
            request.guidance_scale.unwrap_or(1.0),
            &options,
        )
    }
}
