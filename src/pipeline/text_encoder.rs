//! A text encoder with the tokenizer that belongs to it.

use crate::error::{Error, Result};
use crate::families::TextEncoderSpec;
use crate::networks::ClipTextEncoder;
use crate::text::Tokenizer;
use crate::weights::Weights;

/// One of a model's text encoders.
#[derive(Clone, Debug)]
pub(super) struct TextEncoder {
    pub(super) network: ClipTextEncoder,
    pub(super) tokenizer: Tokenizer,
    /// How many layers at the end its vectors leave out.
    pub(super) skipped_layers: usize,
}

impl TextEncoder {
    /// Loads the network, and the tokenizer of a folder or the one that is part of the program.
    ///
    /// # Errors
    /// As [`crate::Model::open`].
    pub(super) fn load(weights: &Weights, spec: &TextEncoderSpec) -> Result<Self> {
        let scope = weights.scope(spec.part);
        let network = ClipTextEncoder::load(&scope, &spec.clip)?;
        let rows = network.vocabulary_size();
        let skipped_layers = spec.clip.skipped_layers;
        if skipped_layers >= network.layer_count() {
            let found = network.layer_count();
            return Err(scope.unsupported(format_args!(
                "{found} layers, of which the last {skipped_layers} would be left out; get the \
                 file again"
            )));
        }
        let from_folder = |folder| Tokenizer::from_folder(folder, spec.tokenizer);
        let from_folder = weights.folder().map(from_folder).transpose()?;
        let tokenizer = match from_folder.flatten() {
            Some(tokenizer) => tokenizer,
            None => Tokenizer::bundled(rows, spec.pad_id).map_err(|error| match error {
                Error::Unsupported(reason) => scope.unsupported(reason),
                other => other,
            })?,
        };
        if tokenizer.vocab_size() > rows {
            let found = tokenizer.vocab_size();
            let reason = format!(
                "the tokenizer of {} has {found} tokens, the network {rows}, so they are not of \
                 one model; download it again",
                spec.part
            );
            return Err(Error::bad_file(weights.path(), reason));
        }
        Ok(Self {
            network,
            tokenizer,
            skipped_layers,
        })
    }
}
