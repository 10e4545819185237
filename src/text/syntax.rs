//! What people type around words: weights, breaks, escapes, and what changes from step to step.

mod a1111;
mod comfy;
mod edits;
mod joined;

pub(crate) use edits::Edits;
pub(crate) use joined::{Joined, split as split_joined};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Extra networks of AUTOMATIC1111, which would be drawn as words, with what they are.
const NETWORKS: [(&str, &str); 3] = [
    ("<lora:", "LoRA"),
    ("<lyco:", "LyCORIS"),
    ("<hypernet:", "hypernetworks"),
];

/// The largest weight of a word, either way: far beyond what any model answers sensibly.
pub(crate) const MAX_WEIGHT: f64 = 100.0;

/// The most brackets that may be open at once.
pub(crate) const MAX_NESTING: usize = 64;

/// What brackets and weights in a prompt mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PromptStyle {
    /// Nothing: the text exactly as typed, cut where the text encoder ends, as in diffusers.
    #[default]
    Plain,
    /// As in AUTOMATIC1111: `(word)` weighs 1.1, `[word]` 1/1.1, `(word:1.3)` 1.3, each times what
    /// is around it; `BREAK` begins another chunk. The mean of each chunk is kept. `AND` joins
    /// prompts that are followed side by side, each as strongly as `:1.2` at its end says;
    /// `[from:to:when]` changes words after a step or, with a point, a share of the steps, and
    /// `[one|another]` takes turns.
    A1111,
    /// As in ComfyUI: `(word)` weighs 1.1 times what is around it, `(word:1.3)` just 1.3; weights
    /// lead away from the empty prompt.
    Comfy,
}

/// A piece of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    /// Text of one weight.
    Text {
        /// Without the syntax.
        text: String,
        /// 1 is as typed.
        weight: f64,
    },
    /// What follows is read apart from what came before.
    Break,
}

/// Splits a prompt into pieces of one weight. `field` is its name in a request. Time and memory grow
/// with the prompt's length alone.
///
/// # Errors
/// [`Error::Request`] if a weight is no number or beyond [`MAX_WEIGHT`], or brackets are nested
/// deeper than [`MAX_NESTING`]; [`Error::Unsupported`] for extra networks.
pub(crate) fn parse(style: PromptStyle, field: &'static str, prompt: &str) -> Result<Vec<Piece>> {
    if style != PromptStyle::Plain {
        check_networks(prompt)?;
    }
    let parsed = match style {
        PromptStyle::Plain => Ok(vec![Piece::Text {
            text: prompt.to_owned(),
            weight: 1.0,
        }]),
        PromptStyle::A1111 => a1111::parse(prompt),
        PromptStyle::Comfy => comfy::parse(prompt),
    };
    let checked = parsed.and_then(|pieces| {
        pieces.iter().try_for_each(check_weight)?;
        Ok(pieces)
    });
    checked.map_err(|reason| Error::request(field, reason))
}

/// Where a word stands by itself.
fn whole_words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let places = text.match_indices(word).map(|(at, _)| at);
    places.filter(move |&at| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_letter) && !after.starts_with(is_letter)
    })
}

/// The tag of an extra network that a prompt asks for, and what that is.
pub(crate) fn extra_network(prompt: &str) -> Option<(&'static str, &'static str)> {
    NETWORKS.into_iter().find(|(tag, _)| prompt.contains(tag))
}

fn check_networks(prompt: &str) -> Result<()> {
    match extra_network(prompt) {
        Some((tag, what)) => Err(Error::Unsupported(format!(
            "{what} ({tag}…>) in prompts; remove it, or use --prompt-style plain to have it read as \
             words"
        ))),
        None => Ok(()),
    }
}

fn check_weight(piece: &Piece) -> std::result::Result<(), String> {
    match piece {
        Piece::Text { text, weight } if !(-MAX_WEIGHT..=MAX_WEIGHT).contains(weight) => {
            let text: String = text.chars().take(40).collect();
            Err(format!(
                "has a weight of {weight} on {text:?}; weights are numbers from -{MAX_WEIGHT} to \
                 {MAX_WEIGHT}: choose another, or write brackets that are part of the text as \\( \
                 and \\)"
            ))
        }
        _ => Ok(()),
    }
}

/// The reason where brackets are nested too deep.
fn too_deep() -> String {
    format!(
        "has more than {MAX_NESTING} brackets open at once; close or remove some, or use \
         --prompt-style plain"
    )
}

#[cfg(test)]
mod tests;
