//! The prompts of a request as the text encoders read them: all that is known before one runs.

use super::model::Model;
use super::request::Request;
use crate::error::{Error, Result};
use crate::families::EmptyNegative;
use crate::ops::MAX_BRANCHES;
use crate::sampling::Table;
use crate::text::{Chunk, Edits, Joined, MAX_WEIGHT, PromptStyle, Reading, split_joined};
use std::collections::{BTreeSet, HashMap};

/// The most chunks to which prompts of different lengths are repeated until all are as long.
const MAX_REPEATED_CHUNKS: usize = 64;

/// On which side of the guidance a prompt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// What to say where the prompt was cut for a text encoder.
    fn cut_warning(self, encoder: usize, reading: &Reading) -> Option<String> {
        let (count, cut) = reading.cut.as_ref()?;
        let which = match self {
            Self::Negative => "negative prompt",
            Self::Prompt => "prompt",
        };
        let reader = match encoder {
            0 => "",
            _ => " of the second text encoder",
        };
        let cut = cut.trim();
        Some(format!(
            "the {which}{reader} is longer than {count} tokens; what follows was cut: {cut:?}"
        ))
    }
}

/// A text as each text encoder reads it.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) role: Role,
    /// One for each text encoder, all of as many chunks.
    pub(super) readings: Vec<Reading>,
    /// Whether zeros stand for it.
    pub(super) zeroed: bool,
}

/// What the network is told in one of its evaluations for each picture.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) role: Role,
    /// How far it leads away from the first branch: times the guidance scale,
    pub(super) weight: f64,
    /// and besides.
    pub(super) offset: f64,
    /// Whether the network sees the task's picture, where it sees one at all.
    pub(super) sees_picture: bool,
    /// For each row of the table, which of the texts it is.
    pub(super) texts: Vec<usize>,
}

/// What the network is told, the negative prompt first; without guidance that is left alone.
#[derive(Debug)]
pub(super) struct Prompts {
    style: PromptStyle,
    branches: Vec<Branch>,
    /// Each text once.
    read: Vec<Read>,
    chunk_count: usize,
    /// The empty prompt for each text encoder, where weights lead away from it; else nothing.
    empty: Vec<Chunk>,
    /// Whether there is a negative prompt that the network is not told.
    is_negative_unused: bool,
}

impl Prompts {
    /// Reads the prompts of a resolved request, as they are at each row of its table.
    ///
    /// # Errors
    /// As [`crate::text::Tokenizer::read`]; [`Error::Request`] if the prompts' lengths do not go
    /// together or too many are joined, and [`Error::Unsupported`] if the model cannot follow several.
    pub(super) fn read(model: &Model, request: &Request, table: &Table) -> Result<Self> {
        let style = request.prompt_style.unwrap_or_default();
        let mut reader = Reader {
            model,
            style,
            length: model.context_shape()[0],
            read: Vec::new(),
            known: HashMap::new(),
        };
        let told = told(model, request)?.into_iter();
        let branches = told.map(|told| reader.branch(&told, table));
        let branches: Vec<Branch> = branches.collect::<Result<_>>()?;
        let is_told = branches.iter().any(|branch| branch.role == Role::Negative);
        let (length, mut read) = (reader.length, reader.read);
        let chunk_count = level(&mut read)?;
        let is_weighted = chunks_of(&read).any(Chunk::is_weighted);
        let encoders = model.text_encoders.iter();
        Ok(Self {
            style,
            branches,
            read,
            chunk_count,
            empty: match style {
                PromptStyle::Comfy if is_weighted => encoders
                    .map(|encoder| encoder.tokenizer.empty_chunk(length))
                    .collect(),
                _ => Vec::new(),
            },
            is_negative_unused: !is_told && !request.negative_prompt.is_empty(),
        })
    }

    /// What brackets and weights mean.
    pub(super) fn style(&self) -> PromptStyle {
        self.style
    }

    /// The texts, each once.
    pub(super) fn texts(&self) -> &[Read] {
        &self.read
    }

    /// What each evaluation is told, the negative prompt first.
    pub(super) fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// Chunks of each text.
    pub(super) fn chunk_count(&self) -> usize {
        self.chunk_count
    }

    /// Chunks of all texts.
    pub(super) fn weighed_count(&self) -> usize {
        self.read.len() * self.chunk_count
    }

    /// What a text encoder reads in all: the texts' chunks, then the empty prompt if needed.
    pub(super) fn text_count(&self) -> usize {
        self.weighed_count() + usize::from(!self.empty.is_empty())
    }

    /// The same, for one of the text encoders.
    pub(super) fn chunks(&self, encoder: usize) -> impl Iterator<Item = &Chunk> {
        let read = self.read.iter();
        let chunks = read.flat_map(move |read| &read.readings[encoder].chunks);
        chunks.chain(self.empty.get(encoder))
    }

    /// Where prompts were cut, once where both text encoders read the same; and whether the negative
    /// one counts for nothing.
    pub(super) fn warnings(&self) -> Vec<String> {
        let unused = "the negative prompt is not used: the model is not guided away from anything";
        let cuts = self.read.iter().flat_map(|read| {
            let readings = read.readings.iter().enumerate();
            let differs = |i: usize| i == 0 || read.readings[i].cut != read.readings[0].cut;
            let told = readings.filter(move |(i, _)| differs(*i));
            told.filter_map(|(i, reading)| read.role.cut_warning(i, reading))
        });
        let unused = self.is_negative_unused.then(|| unused.to_owned());
        cuts.chain(unused).collect()
    }
}

/// A prompt that the network is told, with what changes in it from step to step.
struct Told {
    role: Role,
    weight: f64,
    offset: f64,
    sees_picture: bool,
    /// One for each text encoder.
    edits: Vec<Edits>,
}

/// What the network is told of a request, the negative prompt first. It is left out where the
/// prompt is followed just as it is, and where the network itself was taught guidance.
fn told(model: &Model, request: &Request) -> Result<Vec<Told>> {
    let joined = joined(request)?;
    let encoders = model.text_encoders.len();
    check_second(encoders, request, joined.len())?;
    let is_a1111 = request.prompt_style == Some(PromptStyle::A1111);
    let told = |role, weight, text: &str, second: Option<&String>| {
        let texts = (0..encoders).map(|i| match second {
            Some(second) if i > 0 => second,
            _ => text,
        });
        let edits = texts.map(|text| match is_a1111 {
            true => Edits::parse(text),
            false => Edits::none(text),
        });
        Told {
            role,
            weight,
            offset: 0.0,
            sees_picture: true,
            edits: edits.collect(),
        }
    };
    let is_taught = model.unet.embeds_guidance();
    if is_taught && joined.len() > 1 {
        return Err(Error::Unsupported(
            "prompts joined by AND with a model that was taught guidance; use one prompt".into(),
        ));
    }
    let is_as_is =
        request.guidance_scale == Some(1.0) && joined.iter().map(|part| part.weight).eq([1.0]);
    let negative = || {
        let second = request.negative_prompt_2.as_ref();
        told(Role::Negative, 0.0, &request.negative_prompt, second)
    };
    let away = match request.task.image_guidance_scale() {
        None if is_taught || is_as_is => Vec::new(),
        None => vec![negative()],
        Some(scale) if scale == 1.0 && is_as_is => Vec::new(),
        // u + s_picture (i − u) + s (c − i), with c − i = (c − u) − (i − u)
        Some(scale) => {
            let blind = Told {
                sees_picture: false,
                ..negative()
            };
            let seeing = Told {
                weight: -joined.iter().map(|part| part.weight).sum::<f64>(),
                offset: scale,
                ..negative()
            };
            vec![blind, seeing]
        }
    };
    if away.len() + joined.len() > MAX_BRANCHES {
        let most = MAX_BRANCHES - away.len();
        let reason = format!(
            "joins {} prompts by AND, at most {most} are possible",
            joined.len()
        );
        return Err(Error::request("prompt", reason));
    }
    let second = request.prompt_2.as_ref();
    let followed = joined
        .iter()
        .map(|part| told(Role::Prompt, part.weight, &part.text, second));
    Ok(away.into_iter().chain(followed).collect())
}

/// The prompts that are followed side by side.
fn joined(request: &Request) -> Result<Vec<Joined>> {
    let joined = match request.prompt_style {
        Some(PromptStyle::A1111) => split_joined(&request.prompt),
        _ => vec![Joined::alone(&request.prompt)],
    };
    let most = MAX_BRANCHES - 1;
    if joined.len() > most {
        let reason = format!(
            "joins {} prompts by AND, at most {most} are possible",
            joined.len()
        );
        return Err(Error::request("prompt", reason));
    }
    let allowed = -MAX_WEIGHT..=MAX_WEIGHT;
    match joined.iter().find(|part| !allowed.contains(&part.weight)) {
        Some(part) => Err(Error::request(
            "prompt",
            format!(
                "ends with a weight of {} after {:?}; weights are numbers from -{MAX_WEIGHT} to \
                 {MAX_WEIGHT}",
                part.weight, part.text
            ),
        )),
        None => Ok(joined),
    }
}

/// That prompts of their own for the second text encoder have one to read them.
fn check_second(encoders: usize, request: &Request, joined: usize) -> Result<()> {
    let second = [
        ("prompt_2", &request.prompt_2),
        ("negative_prompt_2", &request.negative_prompt_2),
    ];
    let given = second.iter().find(|(_, text)| text.is_some());
    match given {
        Some((field, _)) if encoders < 2 => Err(Error::request(
            field,
            "is for models with two text encoders, such as Stable Diffusion XL; leave it out",
        )),
        _ if request.prompt_2.is_some() && joined > 1 => Err(Error::request(
            "prompt_2",
            "cannot stand beside prompts joined by AND; leave it out",
        )),
        _ => Ok(()),
    }
}

/// Reads texts, each once.
struct Reader<'a> {
    model: &'a Model,
    style: PromptStyle,
    length: usize,
    read: Vec<Read>,
    known: HashMap<(Role, Vec<String>), usize>,
}

impl Reader<'_> {
    fn branch(&mut self, told: &Told, table: &Table) -> Result<Branch> {
        let rows = table.rows.len();
        let evaluations = counted_evaluations(table);
        let at = |row| {
            told.edits
                .iter()
                .map(move |edits| edits.text_at(row, evaluations))
        };
        let texts = if told.edits.iter().all(Edits::is_constant) {
            vec![self.text(told.role, at(0).collect())?; rows]
        } else {
            let texts = (0..rows).map(|row| self.text(told.role, at(row).collect()));
            texts.collect::<Result<_>>()?
        };
        Ok(Branch {
            role: told.role,
            weight: told.weight,
            offset: told.offset,
            sees_picture: told.sees_picture,
            texts,
        })
    }

    /// The place of a text among those read.
    fn text(&mut self, role: Role, texts: Vec<String>) -> Result<usize> {
        if let Some(&at) = self.known.get(&(role, texts.clone())) {
            return Ok(at);
        }
        let readings = self.model.text_encoders.iter().zip(&texts);
        let readings = readings.map(|(encoder, text)| {
            let tokenizer = &encoder.tokenizer;
            tokenizer.read(self.style, role.field(), text, self.length)
        });
        self.read.push(Read {
            role,
            readings: readings.collect::<Result<_>>()?,
            // ComfyUI reads the empty prompt like any other.
            zeroed: role == Role::Negative
                && texts.iter().all(String::is_empty)
                && self.style != PromptStyle::Comfy
                && self.model.config.empty_negative == EmptyNegative::Zeros,
        });
        self.known.insert((role, texts), self.read.len() - 1);
        Ok(self.read.len() - 1)
    }
}

/// The evaluations that AUTOMATIC1111 counts on: twice the steps for a sampler that evaluates twice a
/// step, even if the last one does not (`modules/sd_samplers.py`, `total_steps`).
fn counted_evaluations(table: &Table) -> usize {
    let steps = table.step_count().max(1);
    steps * ((2 * table.rows.len() + steps) / (2 * steps))
}

fn chunks_of(read: &[Read]) -> impl Iterator<Item = &Chunk> {
    let readings = read.iter().flat_map(|read| &read.readings);
    readings.flat_map(|reading| &reading.chunks)
}

/// Makes all texts of as many chunks, and says how many, by repeating what there is: that leaves
/// attention as it was. ComfyUI does it (`comfy/conds.py`, `CONDCrossAttn.concat`); AUTOMATIC1111
/// evaluates prompts of different lengths apart (`modules/sd_samplers_cfg_denoiser.py`), which comes
/// to the same.
fn level(read: &mut [Read]) -> Result<usize> {
    let counts = || {
        let readings = read.iter().flat_map(|read| &read.readings);
        readings.map(|reading| reading.chunks.len())
    };
    let longest = counts().max().unwrap_or(1);
    let count = counts().fold(1, lcm);
    if count > longest.max(MAX_REPEATED_CHUNKS) {
        let counts: BTreeSet<usize> = counts().collect();
        let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
        let reason = format!(
            "and what goes with it are of {} chunks, which would be repeated until all are of more \
             than {MAX_REPEATED_CHUNKS}; make them of like length",
            counts.join(", ")
        );
        return Err(Error::request("prompt", reason));
    }
    for reading in read.iter_mut().flat_map(|read| &mut read.readings) {
        let repeated = reading.chunks.iter().cycle().take(count);
        reading.chunks = repeated.cloned().collect();
    }
    Ok(count)
}

/// The least common multiple, or the largest number where that is beyond it.
fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x).saturating_mul(b)
}
