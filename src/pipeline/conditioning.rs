//! From prompts to what the network is told.

use super::model::Model;
use super::plans::{Lease, Stage};
use super::prompts::{Branch, Prompts, Role};
use super::recordings::ends;
use super::request::Request;
use super::text_encoder::TextEncoder;
use super::trace::Trace;
use crate::error::Result;
use crate::families::Added;
use crate::text::{Columns, PromptStyle, away_from_empty, keep_mean};

/// What the refiner is told of how pleasing the picture is, and how pleasing the negative prompt's
/// picture (diffusers `pipeline_stable_diffusion_xl_img2img.py`, `aesthetic_score`).
const AESTHETIC_SCORE: f32 = 6.0;
const NEGATIVE_AESTHETIC_SCORE: f32 = 2.5;

/// What the network is told of the prompts.
#[derive(Debug)]
pub(super) struct Conditioning {
    branches: Vec<Branch>,
    /// What the text encoders say of each text.
    encoded: Vec<Encoded>,
    batch_size: usize,
    /// Sizes and the like, `[branches·N, T]`; empty where the network is not told.
    pub(super) time_ids: Vec<f32>,
    /// What the user should know of it.
    pub(super) warnings: Vec<String>,
}

/// What the text encoders say of one text.
#[derive(Debug)]
struct Encoded {
    /// `[chunks·L, C]`
    hidden: Vec<f32>,
    /// `[P]`, or nothing.
    pooled: Vec<f32>,
}

impl Conditioning {
    /// Evaluations of the network for all pictures.
    pub(super) fn evaluations(&self) -> usize {
        self.branches.len() * self.batch_size
    }

    /// Whether a row is told something else than the one before it.
    pub(super) fn changes_at(&self, row: usize) -> bool {
        let mut texts = self.branches.iter().map(|branch| &branch.texts);
        row > 0 && texts.any(|texts| texts[row] != texts[row - 1])
    }

    /// What a row is told of tokens, `[branches·N, chunks·L, C]`, the negative prompt's first.
    pub(super) fn context(&self, row: usize) -> Vec<f32> {
        self.of_branches(row, |encoded| &encoded.hidden)
    }

    /// What a row is told of the prompts as wholes, `[branches·N, P]`; empty where the network is not
    /// told.
    pub(super) fn pooled(&self, row: usize) -> Vec<f32> {
        self.of_branches(row, |encoded| &encoded.pooled)
    }

    /// The weights of the branches after the first at a guidance scale.
    pub(super) fn guidance(&self, scale: f64) -> impl Iterator<Item = f64> {
        let followed = self.branches.iter().skip(1);
        followed.map(move |branch| scale * branch.weight + branch.offset)
    }

    /// What all branches are told beside the latents, of what those are that see a picture:
    /// `[N, h, w, C']` → `[branches·N, h, w, C']`, zeros for the others.
    pub(super) fn beside(&self, seen: &[f32]) -> Vec<f32> {
        let branches = self.branches.iter();
        let told = branches.flat_map(|branch| match branch.sees_picture {
            true => seen.to_vec(),
            false => vec![0.0; seen.len()],
        });
        told.collect()
    }

    fn of_branches(&self, row: usize, part: fn(&Encoded) -> &Vec<f32>) -> Vec<f32> {
        let texts = self.branches.iter().map(|branch| branch.texts[row]);
        let values = texts.map(|text| part(&self.encoded[text]));
        let repeated = values.flat_map(|values| values.repeat(self.batch_size));
        repeated.collect()
    }
}

/// Encodes the prompts of a resolved request with the borrowed text encoders. The names in a trace
/// begin with the text beside it.
pub(super) async fn condition(
    model: &Model,
    request: &Request,
    prompts: &Prompts,
    encoders: Lease,
    trace: Option<(&str, &mut Trace)>,
) -> Result<Conditioning> {
    let encoded = encode(encoders, model, request, prompts).await?;
    if let Some((scope, trace)) = trace {
        record(scope, trace, model, prompts, &encoded);
    }
    let branches = prompts.branches();
    let seen = seen_size(model, request)?;
    let time_ids = branches
        .iter()
        .flat_map(|branch| time_ids(model, request, seen, branch.role).repeat(request.batch_size));
    Ok(Conditioning {
        branches: branches.to_vec(),
        encoded,
        batch_size: request.batch_size,
        time_ids: time_ids.collect(),
        warnings: prompts
            .warnings()
            .into_iter()
            .chain(untold_sizes(model, request))
            .collect(),
    })
}

/// Runs the text encoders; in f32 if f16 overflows and may.
async fn encode(
    mut encoders: Lease,
    model: &Model,
    request: &Request,
    prompts: &Prompts,
) -> Result<Vec<Encoded>> {
    encoders.begin().await?;
    loop {
        write_texts(&encoders, model, prompts)?;
        if encoders.run().await? {
            break;
        }
        let stage = Stage {
            name: "text_encoder",
            step: None,
        };
        encoders.widen(request.precision, stage).await?;
    }
    let mut hidden = encoders.runner().read(ends::EMBEDDINGS).await?;
    weigh(&mut hidden, model, prompts);
    let pooled = match model.config.unet.added {
        Some(_) => encoders.runner().read(ends::POOLED).await?,
        None => Vec::new(),
    };
    let chunks = prompts.chunk_count();
    let [length, width] = model.context_shape();
    let pooled_width = pooled.len() / prompts.text_count();
    let encoded = prompts.texts().iter().enumerate().map(|(n, prompt)| {
        let of = |values: &[f32], start: usize, len: usize| match prompt.zeroed {
            true => vec![0.0; len],
            false => values[start..][..len].to_vec(),
        };
        let len = chunks * length * width;
        Encoded {
            hidden: of(&hidden, n * len, len),
            // The first chunk speaks for the whole, as in AUTOMATIC1111 and ComfyUI.
            pooled: of(&pooled, n * chunks * pooled_width, pooled_width),
        }
    });
    Ok(encoded.collect())
}

/// Tells the text encoders all chunks.
fn write_texts(encoders: &Lease, model: &Model, prompts: &Prompts) -> Result<()> {
    let [length, _] = model.context_shape();
    let runner = encoders.runner();
    for (i, encoder) in model.text_encoders.iter().enumerate() {
        let ids = prompts.chunks(i).flat_map(|chunk| &chunk.ids);
        let ids: Vec<f32> = ids.map(|&id| id as f32).collect();
        let text_ends = prompts.chunks(i).enumerate();
        let text_ends = text_ends.map(|(n, chunk)| n * length + end_of(&chunk.ids, encoder));
        let text_ends: Vec<f32> = text_ends.map(|row| row as f32).collect();
        runner.write(ends::IDS[i], &ids)?;
        runner.write(ends::TEXT_ENDS[i], &text_ends)?;
    }
    Ok(())
}

/// Applies the weights of the prompts' tokens to the vectors `[texts, L, C]`.
fn weigh(hidden: &mut [f32], model: &Model, prompts: &Prompts) {
    let [length, width] = model.context_shape();
    let chunk_len = length * width;
    let (chunks, empty) = hidden.split_at_mut(prompts.weighed_count() * chunk_len);
    let mut start = 0;
    for (i, encoder) in model.text_encoders.iter().enumerate() {
        let end = start + encoder.network.width();
        let columns = Columns {
            stride: width,
            range: start..end,
        };
        start = end;
        let weighed = chunks.chunks_exact_mut(chunk_len).zip(prompts.chunks(i));
        for (values, chunk) in weighed.filter(|(_, chunk)| chunk.is_weighted()) {
            match prompts.style() {
                PromptStyle::Plain => (),
                PromptStyle::A1111 => keep_mean(values, &columns, &chunk.weights),
                PromptStyle::Comfy => away_from_empty(values, empty, &columns, &chunk.weights),
            }
        }
    }
}

/// The place of the first end token, whose vector stands for the whole text.
fn end_of(ids: &[u32], encoder: &TextEncoder) -> usize {
    let end = encoder.tokenizer.end();
    let found = ids.iter().position(|&id| id == end);
    found.unwrap_or(ids.len() - 1)
}

/// The height and width of what the network sees at once: it is told those as the picture's own, since
/// it was trained on no picture of the size of a panorama.
fn seen_size(model: &Model, request: &Request) -> Result<[usize; 2]> {
    let latent = model.latent_size(request.width(), request.height())?;
    let windows = model.windows(request, latent)?;
    let seen = windows.map_or(latent, |windows| windows.size);
    Ok(seen.map(|side| side * model.config.vae_scale_factor))
}

/// The sizes and the like that the network is told of a picture of that height and width.
fn time_ids(model: &Model, request: &Request, size: [usize; 2], role: Role) -> Vec<f32> {
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

/// That a request tells sizes which no network of this model hears.
fn untold_sizes(model: &Model, request: &Request) -> Option<String> {
    let told = request
        .original_size
        .or(request.crop)
        .or(request.target_size);
    let is_deaf = model.config.added == Added::Nothing;
    (is_deaf && told.is_some())
        .then(|| "the sizes given are not used: this model is not told of any".to_owned())
}

/// Keeps what was read and said of the texts. The names of the second one on a side of the guidance
/// end in `.1`, and so on.
fn record(scope: &str, trace: &mut Trace, model: &Model, prompts: &Prompts, encoded: &[Encoded]) {
    let [length, width] = model.context_shape();
    let shape = [1, prompts.chunk_count() * length, width];
    for role in [Role::Prompt, Role::Negative] {
        let texts = prompts.texts().iter().zip(encoded);
        let texts = texts.filter(|(text, _)| text.role == role).enumerate();
        for (n, (text, encoded)) in texts {
            let name = |name: &str| match n {
                0 => format!("{scope}{name}"),
                n => format!("{scope}{name}.{n}"),
            };
            for (ids_name, reading) in role.ids_names().into_iter().zip(&text.readings) {
                let ids = reading.chunks.iter().flat_map(|chunk| &chunk.ids);
                let ids: Vec<u32> = ids.copied().collect();
                trace.add_ids(&name(ids_name), &ids);
            }
            let [hidden, pooled] = role.embeds_names();
            trace.add(name(hidden), &shape, &encoded.hidden);
            if !encoded.pooled.is_empty() {
                trace.add(name(pooled), &[1, encoded.pooled.len()], &encoded.pooled);
            }
        }
    }
}
