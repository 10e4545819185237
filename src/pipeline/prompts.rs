//! The prompts of a request as the text encoders read them: all that is known before one runs.

use super::model::Model;
use super::request::Request;
use crate::error::{Error, Result};
use crate::families::EmptyNegative;
use crate::text::{Chunk, PromptStyle, Reading};

/// The most chunks to which prompts of different lengths are repeated until both are as long.
const MAX_REPEATED_CHUNKS: usize = 64;

/// One of the two prompts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    Negative,
    Prompt,
}

impl Role {
    /// The names in a trace of its ids for each text encoder.
    pub(super) fn ids_names(self) -> [&'static str; 2] {
        match self {
            Self::Negative => ["tokens.negative", "tokens_2.negative"],
            Self::Prompt => ["tokens.prompt", "tokens_2.prompt"],
        }
    }

    /// The names in a trace of its vectors for tokens and for the whole.
    pub(super) fn embeds_names(self) -> [&'static str; 2] {
        match self {
            Self::Negative => ["negative_prompt_embeds", "negative_pooled_prompt_embeds"],
            Self::Prompt => ["prompt_embeds", "pooled_prompt_embeds"],
        }
    }

    /// Its name in a request.
    fn field(self) -> &'static str {
        match self {
            Self::Negative => "negative_prompt",
            Self::Prompt => "prompt",
        }
    }

    /// What to say where the prompt was cut.
    fn cut_warning(self, reading: &Reading) -> Option<String> {
        let (count, cut) = reading.cut.as_ref()?;
        let which = match self {
            Self::Negative => "negative prompt",
            Self::Prompt => "prompt",
        };
        let cut = cut.trim();
        Some(format!(
            "the {which} is longer than {count} tokens; what follows was cut: \"{cut}\""
        ))
    }
}

/// A prompt as each text encoder reads it.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) role: Role,
    /// One for each text encoder, all of as many chunks.
    pub(super) readings: Vec<Reading>,
    /// Whether zeros stand for it.
    pub(super) zeroed: bool,
}

/// What the network is told, the negative prompt first; without guidance that is left alone.
#[derive(Debug)]
pub(super) struct Prompts {
    style: PromptStyle,
    read: Vec<Read>,
    chunk_count: usize,
    /// The empty prompt for each text encoder, where weights lead away from it; else nothing.
    empty: Vec<Chunk>,
}

impl Prompts {
    /// Reads the prompts of a resolved request.
    ///
    /// # Errors
    /// As [`crate::text::Tokenizer::read`], and [`Error::Request`] if the prompts' lengths do not go
    /// together.
    pub(super) fn read(model: &Model, request: &Request) -> Result<Self> {
        let style = request.prompt_style.unwrap_or_default();
        let prompts = [
            (Role::Negative, &request.negative_prompt),
            (Role::Prompt, &request.prompt),
        ];
        let [length, _] = model.context_shape();
        let told = prompts
            .into_iter()
            .skip(prompts.len() - model.branches(request));
        let read = told.map(|(role, prompt)| {
            let encoders = model.text_encoders.iter();
            let readings = encoders.map(|encoder| {
                let tokenizer = &encoder.tokenizer;
                tokenizer.read(style, role.field(), prompt, length)
            });
            Ok(Read {
                role,
                readings: readings.collect::<Result<_>>()?,
                // ComfyUI reads the empty prompt like any other.
                zeroed: role == Role::Negative
                    && prompt.is_empty()
                    && style != PromptStyle::Comfy
                    && model.config.empty_negative == EmptyNegative::Zeros,
            })
        });
        let mut read: Vec<Read> = read.collect::<Result<_>>()?;
        let empty = || {
            let encoders = model.text_encoders.iter();
            encoders.map(|encoder| encoder.tokenizer.empty_chunk(length))
        };
        let chunk_count = level(&mut read, style, &empty().collect::<Vec<_>>())?;
        let is_weighted = chunks_of(&read).any(Chunk::is_weighted);
        Ok(Self {
            style,
            read,
            chunk_count,
            empty: match style {
                PromptStyle::Comfy if is_weighted => empty().collect(),
                _ => Vec::new(),
            },
        })
    }

    /// What brackets and weights mean.
    pub(super) fn style(&self) -> PromptStyle {
        self.style
    }

    /// The prompts, the negative one first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Read> + DoubleEndedIterator {
        self.read.iter()
    }

    /// Which prompts there are, the negative one first.
    pub(super) fn roles(&self) -> impl Iterator<Item = Role> {
        self.read.iter().map(|read| read.role)
    }

    /// Chunks of each prompt.
    pub(super) fn chunk_count(&self) -> usize {
        self.chunk_count
    }

    /// Chunks of all prompts.
    pub(super) fn weighed_count(&self) -> usize {
        self.read.len() * self.chunk_count
    }

    /// What a text encoder reads in all: the prompts' chunks, then the empty prompt if needed.
    pub(super) fn text_count(&self) -> usize {
        self.weighed_count() + usize::from(!self.empty.is_empty())
    }

    /// The same, for one of the text encoders.
    pub(super) fn chunks(&self, encoder: usize) -> impl Iterator<Item = &Chunk> {
        let read = self.read.iter();
        let chunks = read.flat_map(move |read| &read.readings[encoder].chunks);
        chunks.chain(self.empty.get(encoder))
    }

    /// Where prompts were cut.
    pub(super) fn warnings(&self) -> Vec<String> {
        let warnings = self.read.iter().filter_map(|read| {
            let first = read.readings.first()?;
            read.role.cut_warning(first)
        });
        warnings.collect()
    }
}

fn chunks_of(read: &[Read]) -> impl Iterator<Item = &Chunk> {
    let readings = read.iter().flat_map(|read| &read.readings);
    readings.flat_map(|reading| &reading.chunks)
}

/// Makes all prompts of as many chunks, and says how many: AUTOMATIC1111 appends empty prompts
/// (`modules/sd_samplers_cfg_denoiser.py`, `pad_cond`), ComfyUI repeats what there is, which leaves
/// attention as it was (`comfy/conds.py`, `CONDCrossAttn.concat`).
fn level(read: &mut [Read], style: PromptStyle, empty: &[Chunk]) -> Result<usize> {
    let counts = || {
        let readings = read.iter().flat_map(|read| &read.readings);
        readings.map(|reading| reading.chunks.len())
    };
    let longest = counts().max().unwrap_or(1);
    let count = match style {
        PromptStyle::Comfy => counts().fold(1, lcm),
        _ => longest,
    };
    if count > longest.max(MAX_REPEATED_CHUNKS) {
        let counts: Vec<String> = counts().map(|count| count.to_string()).collect();
        let reason = format!(
            "and the negative prompt are of {} chunks, which would be repeated until both are of \
             {count}, at most {MAX_REPEATED_CHUNKS}; make them of like length, or use another \
             --prompt-style",
            counts.join(" and ")
        );
        return Err(Error::request("prompt", reason));
    }
    for read in read {
        for (reading, empty) in read.readings.iter_mut().zip(empty) {
            match style {
                PromptStyle::Comfy => {
                    let repeated = reading.chunks.iter().cycle().take(count);
                    reading.chunks = repeated.cloned().collect();
                }
                _ => reading.chunks.resize(count, empty.clone()),
            }
        }
    }
    Ok(count)
}

/// The least common multiple.
fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}
