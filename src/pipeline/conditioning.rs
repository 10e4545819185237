//! From prompts to what the network is told.

use super::handle::Pipeline;
use super::plans::{Lease, Stage};
use super::recordings::ends;
use super::request::Request;
use super::trace::Trace;
use crate::error::Result;
use crate::text::Tokens;

/// What the network is told of the prompts.
#[derive(Debug)]
pub(super) struct Conditioning {
    /// `[branches·N, L, C]`, the negative prompt's first.
    pub(super) context: Vec<f32>,
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
    /// The names of its ids and of its embeddings in a trace.
    fn trace_names(self) -> (&'static str, &'static str) {
        match self {
            Self::Negative => ("tokens.negative", "negative_prompt_embeds"),
            Self::Prompt => ("tokens.prompt", "prompt_embeds"),
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

/// Tokenises and encodes the prompts of a resolved request with a borrowed text encoder. Without guidance, the negative prompt
/// is left alone.
pub(super) async fn condition(
    pipeline: &Pipeline,
    request: &Request,
    encoder: Lease,
    trace: Option<&mut Trace>,
) -> Result<Conditioning> {
    let model = pipeline.model();
    let (length, width) = (model.text_encoder.max_length(), model.text_encoder.width());
    let prompts = [
        (Role::Negative, &request.negative_prompt),
        (Role::Prompt, &request.prompt),
    ];
    let mut encoded = Vec::new();
    for (role, prompt) in prompts.into_iter().skip(prompts.len() - request.branches()) {
        encoded.push((role, model.tokenizer.encode(prompt, length)?));
    }
    let ids = encoded.iter().flat_map(|(_, tokens)| &tokens.ids);
    let ids: Vec<f32> = ids.map(|&id| id as f32).collect();
    let embeddings = embed(encoder, request, &ids).await?;
    let embeddings: Vec<&[f32]> = embeddings.chunks_exact(length * width).collect();
    if let Some(trace) = trace {
        for ((role, tokens), values) in encoded.iter().zip(&embeddings).rev() {
            let (ids_name, name) = role.trace_names();
            trace.add_ids(ids_name, &tokens.ids);
            trace.add(name, &[1, length, width], values);
        }
    }
    let warnings = encoded
        .iter()
        .filter_map(|(role, tokens)| role.cut_warning(tokens));
    Ok(Conditioning {
        context: embeddings
            .iter()
            .flat_map(|values| values.repeat(request.batch_size))
            .collect(),
        warnings: warnings.collect(),
    })
}

/// Runs the text encoder; in f32 if f16 overflows and may.
async fn embed(mut encoder: Lease, request: &Request, ids: &[f32]) -> Result<Vec<f32>> {
    loop {
        encoder.runner().write(ends::IDS, ids)?;
        if encoder.run().await? {
            return encoder.runner().read(ends::EMBEDDINGS).await;
        }
        let stage = Stage {
            name: "text_encoder",
            step: None,
        };
        encoder.widen(request.precision, stage).await?;
    }
}
