//! What any safetensors file holds, whether or not a family here knows its tensors: for lists of
//! files.

use super::header::{self, Entry};
use super::source::Source;
use crate::error::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// What adds to a checkpoint and is none itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addition {
    /// Differences to weights, of low rank: a LoRA or a relative.
    Lora,
    /// Vectors for words of a prompt: a textual inversion.
    Embedding,
    /// A network that guides a UNet by a picture.
    ControlNet,
}

/// Pieces of names that only such files have; the first that occurs counts.
///
/// LoRA: kohya's sd-scripts and LyCORIS (`lora_unet_…`, `….hada_w1_a`, `….lokr_w1`), diffusers and
/// PEFT (`….lora_A.weight`, `….lora.down.weight`). Textual inversion: A1111 and its trainers.
/// ControlNet: LDM's, diffusers', and T2I-Adapter's.
const PIECES: &[(&str, Addition)] = &[
    ("lora_", Addition::Lora),
    (".lora.", Addition::Lora),
    (".hada_w", Addition::Lora),
    (".lokr_w", Addition::Lora),
    ("emb_params", Addition::Embedding),
    ("control_model.", Addition::ControlNet),
    ("input_hint_block.", Addition::ControlNet),
    ("controlnet_", Addition::ControlNet),
    ("adapter.body.", Addition::ControlNet),
];

/// The names of a textual inversion for SDXL: one tensor for each text encoder.
const XL_EMBEDDING: [&str; 2] = ["clip_g", "clip_l"];

/// The map to the keys of cross attention, in the names of modules and in kohya's.
const KEYS: [&str; 2] = ["attn2.to_k.", "attn2_to_k."];
/// The half of a LoRA that gives what the map gives, and the factors of LyCORIS, which tell no width.
const SECOND_HALVES: [&str; 5] = ["lora_up", "lora_B", "lora.up", "hada_", "lokr_"];

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Bytes of the tensors of each type, in small letters.
    pub dtypes: BTreeMap<String, u64>,
    /// What it adds to a checkpoint, if that is what it does.
    pub addition: Option<Addition>,
    /// How wide the vectors of the prompt are in the checkpoints that it adds to.
    pub context_width: Option<usize>,
}

impl Contents {
    /// Reads the header of a single file.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be read, [`crate::Error::BadFile`] if it is damaged or
    /// something else.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let source = Source::open(path)?;
        let header = header::parse(source.all()).map_err(|reason| source.bad(reason))?;
        let mut dtypes = BTreeMap::new();
        for entry in &header.entries {
            let bytes: &mut u64 = dtypes.entry(entry.dtype.code().to_lowercase()).or_default();
            *bytes += entry.range.len() as u64;
        }
        let names = || header.entries.iter().map(|entry| entry.name.as_str());
        let has = |piece: &str| names().any(|name| name.contains(piece));
        let by_piece = PIECES.iter().find(|(piece, _)| has(piece));
        let by_piece = by_piece.map(|(_, addition)| *addition);
        let is_xl_embedding = names().eq(XL_EMBEDDING);
        let addition = by_piece.or(is_xl_embedding.then_some(Addition::Embedding));
        Ok(Self {
            dtypes,
            addition,
            context_width: addition.and_then(|addition| context_width(addition, &header.entries)),
        })
    }
}

/// The width of the prompt's vectors: an embedding's own, those of SDXL's two encoders together; else
/// what the map to the keys of cross attention takes, or the first half of what is added to it.
fn context_width(addition: Addition, entries: &[Entry]) -> Option<usize> {
    if addition == Addition::Embedding {
        let widths = entries
            .iter()
            .map(|entry| entry.shape.dims().last().copied());
        return widths.sum();
    }
    let is_second = |name: &str| SECOND_HALVES.iter().any(|half| name.contains(half));
    let takes = |entry: &&Entry| {
        let is_key = KEYS.iter().any(|key| entry.name.contains(key));
        is_key && entry.shape.dims().len() == 2 && !is_second(&entry.name)
    };
    let found = entries.iter().find(takes)?;
    found.shape.dims().get(1).copied()
}
