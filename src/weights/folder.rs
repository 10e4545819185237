//! Diffusers folders: which files hold which part, and the configurations beside them.

use super::header::quoted;
use super::shards;
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A part's folder, and how its weights are called there, without `.safetensors`.
const PARTS: &[(&str, &str)] = &[
    ("unet", "diffusion_pytorch_model"),
    ("vae", "diffusion_pytorch_model"),
    ("text_encoder", "model"),
    ("text_encoder_2", "model"),
    ("transformer", "diffusion_pytorch_model"),
];

/// Configurations that stand outside of [`PARTS`], by the name under which they are asked for.
const OTHER_CONFIGS: &[(&str, &str)] = &[
    ("scheduler", "scheduler/scheduler_config.json"),
    ("model_index", "model_index.json"),
];

/// Endings of pickle checkpoints, which are never opened.
pub(super) const PICKLES: &[&str] = &["bin", "ckpt", "pt", "pth"];

/// The longest configuration file read; real ones have a few kilobytes.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// What a diffusers folder holds.
pub(super) struct Folder {
    /// Parts and the files that hold their weights.
    pub(super) parts: Vec<(&'static str, Vec<PathBuf>)>,
    /// Parsed configurations, by part.
    pub(super) configs: BTreeMap<String, Value>,
}

/// Looks through a folder; reads configurations, not weights.
pub(super) fn read(folder: &Path) -> Result<Folder> {
    let mut parts = Vec::new();
    let mut configs = BTreeMap::new();
    for (part, stem) in PARTS {
        let part_folder = folder.join(part);
        if !part_folder.is_dir() {
            continue;
        }
        parts.push((*part, shards::weight_files(&part_folder, stem)?));
        let config = read_json(&part_folder.join("config.json"))?;
        configs.extend(config.map(|config| ((*part).to_owned(), config)));
    }
    for (name, file) in OTHER_CONFIGS {
        let config = read_json(&folder.join(file))?;
        configs.extend(config.map(|config| ((*name).to_owned(), config)));
    }
    if parts.is_empty() {
        return Err(Error::bad_file(folder, no_parts_reason(folder)?));
    }
    Ok(Folder { parts, configs })
}

/// The files of one part, and its configuration: of a part's folder, or of a whole one that has it.
pub(super) fn read_part(folder: &Path, part: &str) -> Result<(Vec<PathBuf>, Option<Value>)> {
    let whole = folder.join(part);
    let folder = if whole.is_dir() { &whole } else { folder };
    let stem = PARTS.iter().find(|(name, _)| *name == part);
    let stem = stem.map_or("model", |(_, stem)| stem);
    let files = shards::weight_files(folder, stem)?;
    Ok((files, read_json(&folder.join("config.json"))?))
}

/// A JSON file's object, `None` if there is no such file.
pub(crate) fn read_json(path: &Path) -> Result<Option<Value>> {
    let Some(text) = read_text(path, MAX_CONFIG_BYTES)? else {
        return Ok(None);
    };
    parse_object(&text).map(Some).map_err(|reason| {
        Error::bad_file(
            path,
            format!("is malformed ({reason}); download it again, or mend it"),
        )
    })
}

/// A text file of at most `max_bytes`, `None` if there is none.
pub(crate) fn read_text(path: &Path, max_bytes: u64) -> Result<Option<String>> {
    let io = |error| Error::io(path, error);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    if !metadata.is_file() {
        return Err(Error::bad_file(
            path,
            "is not a regular file; download the folder again",
        ));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::bad_file(
            path,
            format!("is longer than the {max_bytes} bytes allowed; download the folder again"),
        ));
    }
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|_| Error::bad_file(path, "is not UTF-8 text; download the folder again"))
}

/// Parses a JSON object; the error is a reason without the file's name.
pub(super) fn parse_object(text: &str) -> std::result::Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("expected a JSON object".to_owned())
    }
}

/// Why a folder without parts is no model, and what to give instead.
fn no_parts_reason(folder: &Path) -> Result<String> {
    let single_files = with_ending(folder, &["safetensors"])?;
    Ok(if !single_files.is_empty() {
        let shown: Vec<_> = single_files
            .iter()
            .take(5)
            .map(|name| quoted(name))
            .collect();
        format!(
            "is a folder, but not one of diffusers (no unet/, vae/ or text_encoder/); give one of its files: {}",
            shown.join(", ")
        )
    } else if with_ending(folder, PICKLES)?.is_empty() {
        "is a folder, but not one of diffusers (no unet/, vae/ or text_encoder/); \
         give a .safetensors file or a diffusers folder"
            .to_owned()
    } else {
        "is a folder with pickle checkpoints only, which can run code when opened; \
         convert them to safetensors, or get the .safetensors file of the same model"
            .to_owned()
    })
}

/// Names of a folder's files with one of these endings, sorted.
pub(super) fn with_ending(folder: &Path, endings: &[&str]) -> Result<Vec<String>> {
    let io = |error| Error::io(folder, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry
            .map_err(io)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        let ending = Path::new(&name)
            .extension()
            .and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| endings.contains(&ending)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
