//! What any safetensors file holds, whether or not a family here knows its tensors: for lists of
//! files.

use super::header;
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

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Bytes of the tensors of each type, in small letters.
    pub dtypes: BTreeMap<String, u64>,
    /// What it adds to a checkpoint, if that is what it does.
    pub addition: Option<Addition>,
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
        let by_whole = || names().eq(XL_EMBEDDING).then_some(Addition::Embedding);
        Ok(Self {
            dtypes,
            addition: by_piece.or_else(by_whole),
        })
    }
}
