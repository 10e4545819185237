//! Which files of a repository make up a model.

use super::names::shown;
use crate::error::{Error, Result};

/// The file that makes a repository a diffusers folder.
pub(super) const DIFFUSERS_INDEX: &str = "model_index.json";

/// The folders of a diffusers model that are of use here, and how their weights are called.
#[rustfmt::skip]
const FOLDERS: &[(&str, Option<&str>)] = &[
    ("scheduler", None), ("tokenizer", None), ("tokenizer_2", None),
    ("text_encoder", Some("model")), ("text_encoder_2", Some("model")),
    ("unet", Some("diffusion_pytorch_model")), ("vae", Some("diffusion_pytorch_model")),
];

/// Where the network lies that makes a diffusers model one of those known here.
const NETWORK: &str = "unet/";

/// The variant that is taken where nobody asks for another: half the size, and what the device
/// computes with.
const FIRST_VARIANT: &str = "fp16";
/// What stands for the files without a variant in their names.
const NO_VARIANT: &str = "none";

/// How many names a message lists.
const SHOWN_NAMES: usize = 8;

/// The files to download: of a diffusers folder its configurations, its tokenizers and one variant
/// of each part's weights, the index last, so that a folder that has it is whole; else the one
/// safetensors file.
///
/// # Errors
/// [`Error::Download`] if there is nothing of use, [`Error::Request`] if there are several files to
/// choose from, or no weights of the wanted variant.
pub(super) fn choose<'f>(
    address: &str,
    files: &[&'f str],
    variant: Option<&str>,
) -> Result<Vec<&'f str>> {
    if files.contains(&DIFFUSERS_INDEX) {
        if !files.iter().any(|file| file.starts_with(NETWORK)) {
            return Err(Error::Download {
                url: address.to_owned(),
                reason:
                    "the repository is a model of another kind, without a UNet, which cannot be \
                         drawn with here; choose a Stable Diffusion model"
                        .to_owned(),
            });
        }
        return folder(files, variant);
    }
    let is_weights = |file: &&str| file.ends_with(".safetensors");
    let at_top: Vec<&str> = files
        .iter()
        .copied()
        .filter(is_weights)
        .filter(|file| !file.contains('/'))
        .collect();
    match at_top.as_slice() {
        [one] => Ok(vec![one]),
        [] if files.iter().any(is_weights) => Err(several(files)),
        [] => Err(Error::Download {
            url: address.to_owned(),
            reason: nothing(files).to_owned(),
        }),
        several_files => Err(several(several_files)),
    }
}

/// The files of a diffusers folder.
fn folder<'f>(files: &[&'f str], variant: Option<&str>) -> Result<Vec<&'f str>> {
    let mut chosen = Vec::new();
    for (folder, stem) in FOLDERS {
        let inside = |file: &&str| {
            let name = file.strip_prefix(folder);
            let name = name.and_then(|name| name.strip_prefix('/'));
            name.is_some_and(|name| !name.contains('/'))
        };
        let inside: Vec<&str> = files.iter().copied().filter(inside).collect();
        chosen.extend(inside.iter().filter(|file| is_configuration(file)));
        if let Some(stem) = stem.filter(|_| !inside.is_empty()) {
            chosen.extend(weights(folder, stem, &inside, variant)?);
        }
    }
    chosen.extend(files.iter().filter(|file| **file == DIFFUSERS_INDEX));
    Ok(chosen)
}

/// Whether a file configures a part or a tokenizer; the indices of shards go with their shards.
fn is_configuration(file: &str) -> bool {
    (file.ends_with(".json") || file.ends_with(".txt")) && !file.contains(".index.")
}

/// A file of a part's weights, or the index of its shards.
struct Weights<'f> {
    file: &'f str,
    variant: &'f str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Shard,
    Index,
}

impl<'f> Weights<'f> {
    /// Reads a file's name: `model.fp16.safetensors`, `model.fp16-00001-of-00002.safetensors`,
    /// `model-00001-of-00002.fp16.safetensors` or `model.safetensors.index.fp16.json`.
    fn read(file: &'f str, stem: &str) -> Option<Self> {
        let (_, name) = file.rsplit_once('/')?;
        let rest = name.strip_prefix(stem)?;
        if let Some(variant) = rest.strip_prefix(".safetensors.index") {
            let variant = variant.strip_suffix(".json")?;
            return Self::new(file, variant, Kind::Index);
        }
        let rest = rest.strip_suffix(".safetensors")?;
        match rest.split_once("-of-") {
            None => Self::new(file, rest, Kind::Whole),
            Some((before, after)) => {
                let behind = after.trim_start_matches(|c: char| c.is_ascii_digit());
                let before = before.trim_end_matches(|c: char| c.is_ascii_digit());
                let before = before.strip_suffix('-')?;
                let variant = if before.is_empty() { behind } else { before };
                Self::new(file, variant, Kind::Shard)
            }
        }
    }

    fn new(file: &'f str, variant: &'f str, kind: Kind) -> Option<Self> {
        let variant = match variant {
            "" => NO_VARIANT,
            dotted => dotted.strip_prefix('.')?,
        };
        Some(Self {
            file,
            variant,
            kind,
        })
    }
}

/// The files of one variant of a part's weights: a whole file rather than shards.
fn weights<'f>(
    folder: &str,
    stem: &str,
    inside: &[&'f str],
    wanted: Option<&str>,
) -> Result<Vec<&'f str>> {
    let files = inside.iter().filter_map(|file| Weights::read(file, stem));
    let files: Vec<Weights> = files.collect();
    let has = |variant: &&str| files.iter().any(|file| file.variant == *variant);
    let first = || files.first().map(|file| file.variant);
    let variant = match wanted {
        Some(wanted) => Some(wanted).filter(has),
        None => [FIRST_VARIANT, NO_VARIANT]
            .into_iter()
            .find(has)
            .or_else(first),
    };
    let Some(variant) = variant else {
        return Err(no_variant(folder, &files, wanted));
    };
    let files = || files.iter().filter(|file| file.variant == variant);
    let is_whole = files().any(|file| file.kind == Kind::Whole);
    let taken = files().filter(|file| is_whole == (file.kind == Kind::Whole));
    Ok(taken.map(|file| file.file).collect())
}

/// Why there are no weights of a part.
fn no_variant(folder: &str, files: &[Weights], wanted: Option<&str>) -> Error {
    let mut known: Vec<&str> = files.iter().map(|file| file.variant).collect();
    known.sort_unstable();
    known.dedup();
    match wanted.filter(|_| !known.is_empty()) {
        Some(wanted) => {
            let known: Vec<String> = known.into_iter().map(shown).collect();
            let known = known.join(", ");
            let reason = format!(
                "{folder} has no variant {}; there are {known}",
                shown(wanted)
            );
            Error::request("variant", reason)
        }
        None => Error::request(
            "repo",
            format!(
                "its {folder} has no safetensors weights, and pickles can run code when opened; \
                 choose a repository that has them"
            ),
        ),
    }
}

/// That there are several files to choose from.
fn several(files: &[&str]) -> Error {
    let weights = files.iter().filter(|file| file.ends_with(".safetensors"));
    let names: Vec<String> = weights.map(|file| shown(file)).collect();
    let more = match names.len().saturating_sub(SHOWN_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let listed = names[..names.len().min(SHOWN_NAMES)].join(", ");
    let reason = format!("the repository has several files; say which: {listed}{more}");
    Error::request("file", reason)
}

/// Why a repository has nothing of use.
fn nothing(files: &[&str]) -> &'static str {
    let is_pickle = |file: &&str| {
        let ending = file.rsplit('.').next().unwrap_or_default();
        ["bin", "ckpt", "pt", "pth"].contains(&ending)
    };
    if files.iter().any(is_pickle) {
        "the repository has its weights as pickles only, which can run code when opened; choose one \
         that has safetensors"
    } else {
        "the repository has no safetensors files; choose one that has a model"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str], variant: Option<&str>) -> std::result::Result<Vec<String>, String> {
        let chosen = choose("https://hub.example/a/b", files, variant);
        let owned = |chosen: Vec<&str>| chosen.into_iter().map(str::to_owned).collect();
        chosen.map(owned).map_err(|error| error.to_string())
    }

    /// The files of stabilityai/stable-diffusion-xl-base-1.0, shortened by what repeats.
    const XL: &[&str] = &[
        ".gitattributes",
        "LICENSE.md",
        "README.md",
        "model_index.json",
        "scheduler/scheduler_config.json",
        "sd_xl_base_1.0.safetensors",
        "text_encoder/config.json",
        "text_encoder/flax_model.msgpack",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.onnx",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "vae_1_0/diffusion_pytorch_model.safetensors",
        "vae_decoder/model.onnx",
    ];

    #[test]
    fn of_a_diffusers_folder_one_variant_is_taken_and_the_index_last() {
        let halves = [
            "scheduler/scheduler_config.json",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "text_encoder/config.json",
            "text_encoder/model.fp16.safetensors",
            "unet/config.json",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
            "model_index.json",
        ];
        assert_eq!(chosen(XL, None).unwrap(), halves);
        let whole = halves.map(|file| file.replace(".fp16", ""));
        assert_eq!(chosen(XL, Some("none")).unwrap(), whole);
        let refusal = chosen(XL, Some("fp16")).unwrap_err();
        assert!(
            refusal.contains("vae has no variant \"fp16\"; there are \"none\""),
            "{refusal}"
        );
    }

    #[test]
    fn shards_come_with_their_index_and_only_where_there_is_no_whole_file() {
        let shards = [
            "model_index.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
            "unet/diffusion_pytorch_model.safetensors.index.json",
        ];
        assert_eq!(
            chosen(&shards, None).unwrap(),
            [shards[3], shards[4], shards[0]]
        );
        let plain = [shards[1], shards[2], shards[5], shards[0]];
        assert_eq!(chosen(&shards, Some("none")).unwrap(), plain);
        let both = [&shards[..], &["unet/diffusion_pytorch_model.safetensors"]].concat();
        assert_eq!(chosen(&both, Some("none")).unwrap(), [both[6], both[0]]);
    }

    #[test]
    fn without_a_folder_the_one_file_is_taken() {
        let one = ["README.md", "model.safetensors", "model.ckpt"];
        assert_eq!(chosen(&one, None).unwrap(), ["model.safetensors"]);
        let two = ["a.safetensors", "b.safetensors"];
        let refusal = chosen(&two, None).unwrap_err();
        assert!(
            refusal.contains("say which: \"a.safetensors\", \"b.safetensors\""),
            "{refusal}"
        );
        let deep = ["a/b.safetensors"];
        assert!(chosen(&deep, None).unwrap_err().contains("a/b.safetensors"));
    }

    #[test]
    fn pickles_are_not_downloaded() {
        let refusal = chosen(&["model.ckpt"], None).unwrap_err();
        assert!(refusal.contains("pickles"), "{refusal}");
        let folder = ["model_index.json", "unet/diffusion_pytorch_model.bin"];
        assert!(chosen(&folder, None).unwrap_err().contains("pickles"));
        assert!(
            chosen(&["README.md"], None)
                .unwrap_err()
                .contains("no safetensors")
        );
    }
}
