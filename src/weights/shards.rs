//! The files of one part of a diffusers folder: one file, one of a variant, or the shards of an index.

use super::folder::{PICKLES, read_json, with_ending};
use super::header::quoted;
use super::inventory::SHOWN_NAMES;
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Variants that are taken before any other: the plain one, and the usual ones of half the size.
const FIRST_VARIANTS: &[&str] = &["", ".fp16", ".bf16"];

/// What the names of shards have, as in `model.fp16-00001-of-00002.safetensors`: no variant.
const SHARD_MARK: &str = "-of-";

/// The files that hold a part's weights. `stem` is their name without variant and ending: a whole
/// file is taken before shards, and the variants in the order of [`variants`].
///
/// # Errors
/// [`Error::BadFile`] if there are none, if an index is malformed, names files elsewhere, or files
/// that are not there; [`Error::Io`] if the folder cannot be read.
pub(super) fn weight_files(part_folder: &Path, stem: &str) -> Result<Vec<PathBuf>> {
    let names = with_ending(part_folder, &["safetensors"])?;
    let whole = variants(&names, stem, ".safetensors");
    if let Some(name) = whole.iter().find(|name| !name.contains(SHARD_MARK)) {
        return Ok(vec![part_folder.join(name)]);
    }
    let indices = with_ending(part_folder, &["json"])?;
    let indices = variants(&indices, &format!("{stem}.safetensors.index"), ".json");
    if let Some(name) = indices.first() {
        return shards(part_folder, &part_folder.join(name));
    }
    let reason = if with_ending(part_folder, PICKLES)?.is_empty() {
        format!("has no {stem}.safetensors; download the folder again")
    } else {
        format!(
            "holds its weights only as pickles, which can run code when opened; \
             convert them to safetensors, or download {stem}.safetensors of the same model"
        )
    };
    Err(Error::bad_file(part_folder, reason))
}

/// Those of `names` that are `stem`, perhaps a variant such as `.fp16`, and `ending`; those of
/// [`FIRST_VARIANTS`] first, the others by name.
fn variants<'a>(names: &'a [String], stem: &str, ending: &str) -> Vec<&'a str> {
    let variant = |name: &'a str| {
        let variant = name.strip_prefix(stem)?.strip_suffix(ending)?;
        let rank = FIRST_VARIANTS.iter().position(|first| *first == variant);
        let is_one = variant.is_empty() || variant.starts_with('.');
        is_one.then_some((rank.unwrap_or(FIRST_VARIANTS.len()), name))
    };
    let mut found: Vec<_> = names.iter().filter_map(|name| variant(name)).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).collect()
}

/// The files that an index names, each once, by name.
fn shards(part_folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let content = read_json(index)?;
    let map = content
        .as_ref()
        .and_then(|content| content.get("weight_map"));
    let map = map.and_then(Value::as_object).ok_or_else(|| {
        Error::bad_file(
            index,
            "has no \"weight_map\" object; download the folder again",
        )
    })?;
    let mut names = BTreeSet::new();
    for name in map.values() {
        names.insert(plain_name(name).map_err(|shown| {
            Error::bad_file(
                index,
                format!(
                    "names {shown} as a file of weights; only files in the same folder are opened, \
                     so do not trust this download"
                ),
            )
        })?);
    }
    if names.is_empty() {
        return Err(Error::bad_file(
            index,
            "names no files of weights; download the folder again",
        ));
    }
    let missing = |name: &&&str| !part_folder.join(name).exists();
    let missing: Vec<_> = names
        .iter()
        .filter(missing)
        .map(|name| quoted(name))
        .collect();
    if missing.is_empty() {
        return Ok(names.iter().map(|name| part_folder.join(name)).collect());
    }
    let shown = missing[..missing.len().min(SHOWN_NAMES)].join(", ");
    let are = if missing.len() == 1 { "is" } else { "are" };
    Err(Error::bad_file(
        index,
        format!("names {shown}, which {are} not beside it; download the folder again"),
    ))
}

/// A name that stays in its folder on every system; the error is what to show of any other.
fn plain_name(name: &Value) -> std::result::Result<&str, String> {
    let name = name
        .as_str()
        .ok_or_else(|| "something that is no text".to_owned())?;
    let mut components = Path::new(name).components();
    let is_one =
        matches!(components.next(), Some(Component::Normal(_))) && components.next().is_none();
    if is_one && !name.contains(['/', '\\', ':', '\0']) {
        Ok(name)
    } else {
        Err(quoted(name))
    }
}
