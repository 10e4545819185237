//! Text: from a prompt to token ids and their weights.

mod chunks;
mod clip_bpe;
mod emphasis;
mod syntax;

pub(crate) use chunks::{Chunk, Reading};
pub(crate) use emphasis::{Columns, away_from_empty, keep_mean};
pub use syntax::PromptStyle;
pub(crate) use syntax::{Edits, Joined, MAX_WEIGHT, extra_network, split_joined};

use crate::error::{Error, Result};
use clip_bpe::Vocabulary;
use std::path::Path;

/// The longest prompt that is tokenised, in bytes of UTF-8. CLIP reads 75 tokens of it, about 400
/// bytes of English; the limit bounds the time and memory that a request can cost.
pub(crate) const MAX_PROMPT_BYTES: usize = 64 << 10;

/// A prompt as a CLIP text encoder reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// As many ids as the text encoder has positions: start, the prompt's tokens, end, padding.
    pub ids: Vec<u32>,
    /// How many tokens of the prompt are among them, without start, end and padding.
    pub count: usize,
    /// The end of the prompt, where there was no room for it.
    pub cut: Option<String>,
}

/// Splits prompts into the tokens of a CLIP text encoder, exactly as transformers' `CLIPTokenizer`.
#[derive(Clone, Debug)]
pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    start: u32,
    end: u32,
    pad: u32,
    vocab_size: usize,
}

impl Tokenizer {
    /// The tokenizer that belongs to a text encoder with so many rows in its token embedding, from
    /// CLIP's own list of merges: 49408 for all of it, as in Stable Diffusion. Pads with `pad_id`, or
    /// with the end token.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if no beginning of that list gives such a vocabulary.
    pub(crate) fn bundled(vocab_size: usize, pad_id: Option<u32>) -> Result<Self> {
        let built = Self::build(Vocabulary::bundled(vocab_size)?).map_err(|reason| {
            Error::Unsupported(format!("the bundled vocabulary does not load: {reason}"))
        })?;
        Ok(Self {
            pad: pad_id.unwrap_or(built.pad),
            ..built
        })
    }

    /// A tokenizer of a diffusers folder, from `NAME/tokenizer.json`, else from `NAME/vocab.json` and
    /// `NAME/merges.txt`; `None` if it has none of these.
    ///
    /// Only the vocabulary is taken from there: rules for splitting text are CLIP's, so that a
    /// folder cannot bring in patterns of its own.
    ///
    /// # Errors
    /// [`Error::BadFile`] if a file is malformed, [`Error::Io`] if it cannot be read.
    pub(crate) fn from_folder(folder: &Path, name: &str) -> Result<Option<Self>> {
        let folder = folder.join(name);
        let Some(vocabulary) = Vocabulary::from_folder(&folder)? else {
            return Ok(None);
        };
        let built = Self::build(vocabulary);
        built.map(Some).map_err(|reason| {
            Error::bad_file(
                folder,
                format!(
                    "holds a tokenizer that does not fit together ({reason}); download it again"
                ),
            )
        })
    }

    /// The tokenizer around a vocabulary; the error is a reason without a file's name.
    fn build(vocabulary: Vocabulary) -> std::result::Result<Self, String> {
        let (start, end, pad) = (
            vocabulary.start.clone(),
            vocabulary.end.clone(),
            vocabulary.pad.clone(),
        );
        let inner = clip_bpe::pipeline(vocabulary).map_err(|error| error.to_string())?;
        let id = |token: &str| {
            inner
                .token_to_id(token)
                .ok_or_else(|| format!("the token {token:?} is not in the vocabulary"))
        };
        let (start, end, pad) = (id(&start)?, id(&end)?, id(&pad)?);
        let last = inner.get_vocab(true).into_values().max();
        Ok(Self {
            start,
            end,
            pad,
            vocab_size: last.map_or(0, |last| last as usize + 1),
            inner,
        })
    }

    /// The id of the end token.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// The rows that a token embedding needs for these ids: the greatest id, and one.
    pub(crate) fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The id of a comma at the end of a word, which ends a thought.
    fn comma(&self) -> Option<u32> {
        self.inner.token_to_id(",</w>")
    }

    /// The ids of a piece of text, with neither start nor end.
    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|error| Error::request("prompt", format!("cannot be tokenised: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a prompt for a text encoder of `max_length` positions (77 in all of CLIP).
    ///
    /// What does not fit between start and end is cut off and returned as text. A `<|endoftext|>`
    /// in the prompt is the end token, as in transformers.
    ///
    /// # Errors
    /// [`Error::Request`] if the prompt is longer than [`MAX_PROMPT_BYTES`].
    pub(crate) fn encode(&self, prompt: &str, max_length: usize) -> Result<Tokens> {
        if prompt.len() > MAX_PROMPT_BYTES {
            return Err(Error::request(
                "prompt",
                format!(
                    "is {} bytes long, at most {MAX_PROMPT_BYTES} are allowed; shorten it",
                    prompt.len()
                ),
            ));
        }
        let encoding = self
            .inner
            .encode(prompt, false)
            .map_err(|error| Error::request("prompt", format!("cannot be tokenised: {error}")))?;
        let room = max_length.saturating_sub(2);
        let count = encoding.len().min(room);
        let cut = encoding
            .get_offsets()
            .get(count)
            .map(|&(start, _)| prompt[prompt.floor_char_boundary(start)..].to_owned());

        let mut ids = Vec::with_capacity(max_length);
        ids.push(self.start);
        ids.extend_from_slice(&encoding.get_ids()[..count]);
        ids.push(self.end);
        ids.resize(max_length, self.pad);
        Ok(Tokens { ids, count, cut })
    }
}

#[cfg(test)]
mod tests;
