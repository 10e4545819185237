//! Chunks: as many tokens as a text encoder has room for, with the weight of each.

use super::{Tokenizer, syntax};
use crate::error::Result;
use syntax::{Piece, PromptStyle};

/// How far back AUTOMATIC1111 looks for a comma at which to end a chunk, in tokens
/// (`comma_padding_backtrack`, its default).
const COMMA_BACKTRACK: usize = 20;

/// Pieces of fewer tokens are not split by ComfyUI (`comfy/sd1_clip.py`, `max_word_length`).
const SPLIT_FROM: usize = 8;

/// What a text encoder reads at once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chunk {
    /// As many ids as the text encoder has positions: start, tokens, end, padding.
    pub ids: Vec<u32>,
    /// One for each id; 1 is as typed.
    pub weights: Vec<f32>,
}

impl Chunk {
    /// Whether any token weighs more or less than as typed.
    pub(crate) fn is_weighted(&self) -> bool {
        self.weights.iter().any(|&weight| weight != 1.0)
    }
}

/// A prompt as one text encoder reads it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    /// At least one.
    pub chunks: Vec<Chunk>,
    /// How many tokens were read and what was cut off, where there was no room for all.
    pub cut: Option<(usize, String)>,
}

impl Tokenizer {
    /// Reads a prompt for a text encoder of `max_length` positions. Only plain prompts are cut.
    ///
    /// # Errors
    /// As [`syntax::parse`] and [`Tokenizer::encode`].
    pub(crate) fn read(
        &self,
        style: PromptStyle,
        field: &'static str,
        prompt: &str,
        max_length: usize,
    ) -> Result<Reading> {
        if style == PromptStyle::Plain {
            let tokens = self.encode(prompt, max_length)?;
            return Ok(Reading {
                chunks: vec![Chunk {
                    weights: vec![1.0; tokens.ids.len()],
                    ids: tokens.ids,
                }],
                cut: tokens.cut.map(|cut| (tokens.count, cut)),
            });
        }
        let mut writer = Writer::new(self, max_length);
        for piece in syntax::parse(style, field, prompt)? {
            match piece {
                Piece::Break => writer.close(),
                Piece::Text { text, weight } => {
                    #[expect(clippy::cast_possible_truncation, reason = "weights are small")]
                    let weight = weight as f32;
                    let ids = self.ids(&text)?;
                    match style {
                        PromptStyle::Comfy => writer.add_whole(&ids, weight),
                        _ => writer.add_to_comma(&ids, weight),
                    }
                }
            }
        }
        Ok(Reading {
            chunks: writer.finish(),
            cut: None,
        })
    }

    /// The chunk of an empty prompt.
    pub(crate) fn empty_chunk(&self, max_length: usize) -> Chunk {
        let mut writer = Writer::new(self, max_length);
        writer.close();
        writer.chunks.remove(0)
    }
}

/// Fills chunks one after the other.
struct Writer<'a> {
    tokenizer: &'a Tokenizer,
    /// Positions of a chunk, and how many of them are for tokens.
    length: usize,
    room: usize,
    comma: Option<u32>,
    chunks: Vec<Chunk>,
    /// The tokens of the chunk that is being filled.
    open: Vec<(u32, f32)>,
    /// Where its last comma is.
    last_comma: Option<usize>,
}

impl<'a> Writer<'a> {
    fn new(tokenizer: &'a Tokenizer, length: usize) -> Self {
        Self {
            tokenizer,
            length,
            room: length.saturating_sub(2),
            comma: tokenizer.comma(),
            chunks: Vec::new(),
            open: Vec::new(),
            last_comma: None,
        }
    }

    /// Adds tokens as AUTOMATIC1111 (`modules/sd_hijack_clip.py`, `tokenize_line`): what follows a
    /// comma near the end of a full chunk moves into the next.
    fn add_to_comma(&mut self, ids: &[u32], weight: f32) {
        if self.room == 0 {
            return;
        }
        for &id in ids {
            let is_full = self.open.len() == self.room;
            if Some(id) == self.comma {
                self.last_comma = Some(self.open.len());
            } else if let Some(comma) = self.last_comma
                && is_full
                && self.open.len() - comma <= COMMA_BACKTRACK
            {
                let moved = self.open.split_off(comma + 1);
                self.close();
                self.open = moved;
            }
            if self.open.len() == self.room {
                self.close();
            }
            self.open.push((id, weight));
        }
    }

    /// Adds tokens as ComfyUI (`comfy/sd1_clip.py`, `tokenize_with_weights`): few of one weight stay
    /// together.
    fn add_whole(&mut self, ids: &[u32], weight: f32) {
        let is_splittable = ids.len() >= SPLIT_FROM.min(self.room + 1);
        let mut rest = ids;
        while self.room > 0 && !rest.is_empty() {
            let free = self.room - self.open.len();
            if rest.len() > free {
                let (now, later) = rest.split_at(if is_splittable { free } else { 0 });
                self.open.extend(now.iter().map(|&id| (id, weight)));
                self.close();
                rest = later;
            } else {
                self.open.extend(rest.iter().map(|&id| (id, weight)));
                rest = &[];
            }
        }
    }

    /// Ends the chunk that is being filled.
    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        let (mut ids, mut weights) = (vec![self.tokenizer.start], vec![1.0]);
        ids.extend(open.iter().map(|(id, _)| id));
        weights.extend(open.iter().map(|(_, weight)| weight));
        ids.push(self.tokenizer.end);
        ids.resize(self.length, self.tokenizer.pad);
        weights.resize(self.length, 1.0);
        self.chunks.push(Chunk { ids, weights });
        self.last_comma = None;
    }

    fn finish(mut self) -> Vec<Chunk> {
        if !self.open.is_empty() || self.chunks.is_empty() {
            self.close();
        }
        self.chunks
    }
}

#[cfg(test)]
mod tests;
