//! From prompts to what the network is told.

use super::handle::Pipeline;
use super::model::Model;
use super::plans::{Lease, Stage};
use super::recordings::ends;
use super::request::Request;
use super::text_encoder::TextEncoder;
use super::trace::Trace;
use crate::error::Result;
use crate::families::{Added, EmptyNegative};
use crate::text::Tokens;

/// What the refiner is told of how pleasing the picture is, and how pleasing the negative prompt's
/// picture (diffusers `pipeline_stable_diffusion_xl_img2img.py`, `aesthetic_score`).
const AESTHETIC_SCORE: f32 = 6.0;
const NEGATIVE_AESTHETIC_SCORE: f32 = 2.5;

/// What the network is told of the prompts.
#[derive(Debug)]
pub(super) struct Conditioning {
    /// `[branches·N, L, C]`, the negative prompt's first.
    pub(super) context: Vec<f32>,
    /// The prompts as wholes, `[branches·N, P]`; empty where the network is not told.
    pub(super) pooled: Vec<f32>,
    /// Sizes and the like, `[branches·N, T]`; empty where the network is not told.
    pub(super) time_ids: Vec<f32>,
    /// What the user should know of it.
    pub(super) warnings: Vec<String>,
}

/// One of the two prompts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Negative,
    Prompt,
}

impl Role {
    /// The names in a trace of its ids for each text encoder.
    fn ids_names(self) -> [&'static str; 2] {
        match self {
            Self::Negative => ["tokens.negative", "tokens_2.negative"],
            Self::Prompt => ["tokens.prompt", "tokens_2.prompt"],
        }
    }

    /// The names in a trace of its vectors for tokens and for the whole.
    fn embeds_names(self) -> [&'static str; 2] {
        match self {
            Self::Negative => ["negative_prompt_embeds", "negative_pooled_prompt_embeds"],
            Self::Prompt => ["prompt_embeds", "pooled_prompt_embeds"],
        }
    }

    /// What to say where the prompt was cut.
    fn cut_warning(self, tokens: &Tokens) -> Option<String> {
        let cut = tokens.cut.as_deref()?.trim();
        let which = match self {
            Self::Negative => "negative prompt",
            Self::Prompt => "prompt",
        };
        let count = tokens.count;
        Some(format!(
            "the {which} is longer than {count} tokens; what follows was cut: \"{cut}\""
        ))
    }
}

/// A prompt as each text encoder reads it.
struct Tokenised {
    role: Role,
    /// One for each text encoder.
    tokens: Vec<Tokens>,
    /// Whether zeros stand for it.
    zeroed: bool,
}

/// Tokenises and encodes the prompts of a resolved request with the borrowed text encoders. Without
/// guidance, the negative prompt is left alone.
pub(super) async fn condition(
    pipeline: &Pipeline,
    request: &Request,
    encoders: Lease,
    trace: Option<&mut Trace>,
) -> Result<Conditioning> {
    let model = pipeline.model();
    let prompts = tokenised(model, request)?;
    let encoded = encode(encoders, model, request, &prompts).await?;
    if let Some(trace) = trace {
        record(trace, model, &prompts, &encoded);
    }
    let repeated = |of: fn(&Encoded) -> &Vec<f32>| {
        let each = encoded.iter().map(of);
        each.flat_map(|values| values.repeat(request.batch_size))
            .collect()
    };
    let warnings = prompts.iter().filter_map(|prompt| {
        let first = prompt.tokens.first()?;
        prompt.role.cut_warning(first)
    });
    Ok(Conditioning {
        context: repeated(|encoded| &encoded.hidden),
        pooled: repeated(|encoded| &encoded.pooled),
        time_ids: prompts
            .iter()
            .flat_map(|prompt| time_ids(model, request, prompt.role).repeat(request.batch_size))
            .collect(),
        warnings: warnings.collect(),
    })
}

/// The prompts that the network is told, the negative one first.
fn tokenised(model: &Model, request: &Request) -> Result<Vec<Tokenised>> {
    let prompts = [
        (Role::Negative, &request.negative_prompt),
        (Role::Prompt, &request.prompt),
    ];
    let [length, _] = model.context_shape();
    let told = prompts
        .into_iter()
        .skip(prompts.len() - model.branches(request));
    told.map(|(role, prompt)| {
        let encoders = model.text_encoders.iter();
        let tokens = encoders.map(|encoder| encoder.tokenizer.encode(prompt, length));
        Ok(Tokenised {
            role,
            tokens: tokens.collect::<Result<_>>()?,
            zeroed: role == Role::Negative
                && prompt.is_empty()
                && model.config.empty_negative == EmptyNegative::Zeros,
        })
    })
    .collect()
}

/// What the text encoders say of one prompt.
struct Encoded {
    /// `[L, C]`
    hidden: Vec<f32>,
    /// `[P]`, or nothing.
    pooled: Vec<f32>,
}

/// Runs the text encoders; in f32 if f16 overflows and may.
async fn encode(
    mut encoders: Lease,
    model: &Model,
    request: &Request,
    prompts: &[Tokenised],
) -> Result<Vec<Encoded>> {
    let [length, width] = model.context_shape();
    loop {
        let runner = encoders.runner();
        for (i, encoder) in model.text_encoders.iter().enumerate() {
            let tokens = || prompts.iter().map(|prompt| &prompt.tokens[i]);
            let ids = tokens().flat_map(|tokens| &tokens.ids);
            let ids: Vec<f32> = ids.map(|&id| id as f32).collect();
            let text_ends = tokens().enumerate();
            let text_ends = text_ends.map(|(n, tokens)| n * length + end_of(tokens, encoder));
            let text_ends: Vec<f32> = text_ends.map(|row| row as f32).collect();
            runner.write(ends::IDS[i], &ids)?;
            runner.write(ends::TEXT_ENDS[i], &text_ends)?;
        }
        if encoders.run().await? {
            break;
        }
        let stage = Stage {
            name: "text_encoder",
            step: None,
        };
        encoders.widen(request.precision, stage).await?;
    }
    let hidden = encoders.runner().read(ends::EMBEDDINGS).await?;
    let pooled = match model.config.unet.added {
        Some(_) => encoders.runner().read(ends::POOLED).await?,
        None => Vec::new(),
    };
    let pooled_width = pooled.len() / prompts.len();
    let encoded = prompts.iter().enumerate().map(|(n, prompt)| {
        let of = |values: &[f32], len: usize| match prompt.zeroed {
            true => vec![0.0; len],
            false => values[n * len..][..len].to_vec(),
        };
        Encoded {
            hidden: of(&hidden, length * width),
            pooled: of(&pooled, pooled_width),
        }
    });
    Ok(encoded.collect())
}

/// The place of the first end token, whose vector stands for the whole text.
fn end_of(tokens: &Tokens, encoder: &TextEncoder) -> usize {
    let end = encoder.tokenizer.end();
    let found = tokens.ids.iter().position(|&id| id == end);
    found.unwrap_or(tokens.ids.len() - 1)
}

/// The sizes and the like that the network is told of a picture.
fn time_ids(model: &Model, request: &Request, role: Role) -> Vec<f32> {
    let size = [request.height(), request.width()];
    let pair = |given: Option<[usize; 2]>, otherwise: [usize; 2]| {
        given.unwrap_or(otherwise).map(|px| px as f32)
    };
    let original = pair(request.original_size, size);
    let corner = pair(request.crop, [0, 0]);
    let score = match role {
        Role::Negative => NEGATIVE_AESTHETIC_SCORE,
        Role::Prompt => AESTHETIC_SCORE,
    };
    match model.config.added {
        Added::Nothing => Vec::new(),
        Added::SizeAndCrop => [original, corner, pair(request.target_size, size)].concat(),
        Added::SizeAndScore => [&original[..], &corner, &[score]].concat(),
    }
}

/// Keeps what was read and said of the prompts, the positive one first.
fn record(trace: &mut Trace, model: &Model, prompts: &[Tokenised], encoded: &[Encoded]) {
    let [length, width] = model.context_shape();
    for (prompt, encoded) in prompts.iter().zip(encoded).rev() {
        for (name, tokens) in prompt.role.ids_names().iter().zip(&prompt.tokens) {
            trace.add_ids(name, &tokens.ids);
        }
        let [hidden, pooled] = prompt.role.embeds_names();
        trace.add(hidden, &[1, length, width], &encoded.hidden);
        if !encoded.pooled.is_empty() {
            trace.add(pooled, &[1, encoded.pooled.len()], &encoded.pooled);
        }
    }
}
