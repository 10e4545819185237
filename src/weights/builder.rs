//! Puts a model together from its files: a checkpoint first, then the parts that are given apart.

use super::files::ModelFiles;
use super::header::{self, quoted};
use super::inventory::SHOWN_NAMES;
use super::names::{self, Known, Naming, Translation};
use super::source::Source;
use super::{Inner, Stored, Weights, advice, apart, folder, part_of, tiny_decoders, upscalers};
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The metadata entry of single files that holds their configurations, by part.
const CONFIG_ENTRY: &str = "config";

/// Collects the files of a model.
pub(super) struct Builder {
    inner: Inner,
}

/// What of a file's tensors is taken.
#[derive(Clone, Copy)]
enum Taken {
    /// All, each for the part that its name tells.
    All,
    /// All of them, as that part: a folder's.
    AllAs(&'static str),
    /// That part's, in a file that was given for it.
    Only(&'static str),
    /// All, as an upscaling network's.
    Upscaler,
    /// A tiny decoder's.
    TinyDecoder,
}

impl Builder {
    /// Nothing yet; `path` is what the model is called by.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            inner: Inner::empty(path),
        }
    }

    /// Opens all files of a model.
    pub(super) fn open(files: &ModelFiles) -> Result<Weights> {
        let mut builder = Self::new(files.name()?);
        if let Some(checkpoint) = files.checkpoint() {
            builder.add_checkpoint(checkpoint)?;
        }
        for (part, path) in files.parts() {
            builder.replace(part, path)?;
        }
        builder.finish()
    }

    /// Takes in a single file or a diffusers folder.
    fn add_checkpoint(&mut self, path: &Path) -> Result<()> {
        if !is_folder(path)? {
            return self.add_file(Source::open(path)?);
        }
        let folder = folder::read(path)?;
        for (part, files) in folder.parts {
            for file in files {
                let metadata = self.add(Source::open(&file)?, Taken::AllAs(part))?;
                self.remember(metadata);
            }
        }
        self.inner.is_folder = true;
        self.inner.configs = folder.configs;
        Ok(())
    }

    /// Takes in a single file, with what its header says.
    pub(super) fn add_file(&mut self, source: Source) -> Result<()> {
        let path = source.path().to_owned();
        let metadata = self.add(source, Taken::All)?;
        self.inner.configs.extend(configs(&path, &metadata)?);
        self.remember(metadata);
        Ok(())
    }

    /// Takes in an upscaling network's file.
    pub(super) fn add_upscaler(&mut self, source: Source) -> Result<()> {
        let metadata = self.add(source, Taken::Upscaler)?;
        self.remember(metadata);
        Ok(())
    }

    /// Takes in a tiny decoder's file.
    pub(super) fn add_tiny_decoder(&mut self, source: Source) -> Result<()> {
        let metadata = self.add(source, Taken::TinyDecoder)?;
        self.remember(metadata);
        Ok(())
    }

    /// Keeps what a header says; of several files the first one's word counts.
    fn remember(&mut self, metadata: BTreeMap<String, String>) {
        for (key, value) in metadata {
            self.inner.metadata.entry(key).or_insert(value);
        }
    }

    /// Takes a part from its own file or folder, in place of the one that is there.
    fn replace(&mut self, part: &'static str, path: &Path) -> Result<()> {
        self.forget(part);
        self.inner.apart.insert(part, path.to_owned());
        if is_folder(path)? {
            let (files, config) = folder::read_part(path, part)?;
            for file in files {
                self.add(Source::open(&file)?, Taken::AllAs(part))?;
            }
            let config = config.map(|config| (part.to_owned(), config));
            self.inner.configs.extend(config);
            return Ok(());
        }
        let metadata = self.add(Source::open(path)?, Taken::Only(part))?;
        let mut configs = configs(path, &metadata)?;
        configs.retain(|name, _| name == part || part == "unet" && !advice::is_part(name));
        self.inner.configs.extend(configs);
        if part == "unet" {
            self.remember(metadata);
        }
        Ok(())
    }

    /// Drops a part, with what was said of it. What a header says beside its tensors is of its UNet:
    /// what it predicts, what it was trained on. A folder's scheduler stays, as in diffusers.
    fn forget(&mut self, part: &str) {
        let inner = &mut self.inner;
        inner.tensors.retain(|name, _| part_of(name) != part);
        inner
            .leftovers
            .retain(|name| names::part_in(name) != Some(part));
        inner.configs.remove(part);
        if part == "unet" {
            inner.markers.clear();
            inner.metadata.clear();
        }
    }

    /// Checks a file and takes in its tensors; returns the metadata of its header.
    fn add(&mut self, source: Source, taken: Taken) -> Result<BTreeMap<String, String>> {
        let header = header::parse(source.all()).map_err(|reason| source.bad(reason))?;
        let entries = header.entries.iter();
        let names: Vec<&str> = entries.map(|entry| entry.name.as_str()).collect();
        let translation = match taken {
            Taken::All => names::translate(&names, None),
            Taken::AllAs(part) => names::translate(&names, Some(part)),
            Taken::Upscaler => upscalers::translate(&names).ok_or_else(|| {
                let kind = advice::kind(names.iter().copied()).unwrap_or("something else");
                let path = source.path().to_owned();
                let reason = format!(
                    "it looks like {kind}; give an upscaler: ESRGAN, Real-ESRGAN compact or SPAN, as \
                     safetensors"
                );
                Error::UnknownModel { path, reason }
            })?,
            Taken::TinyDecoder => tiny_decoders::translate(&names).ok_or_else(|| {
                let kind = advice::kind(names.iter().copied()).unwrap_or("something else");
                let path = source.path().to_owned();
                let reason = format!(
                    "it looks like {kind}, and has no decoder.layers.0.weight or 1.weight; give TAESD's decoder, \
                     as safetensors"
                );
                Error::UnknownModel { path, reason }
            })?,
            Taken::Only(part) => {
                apart::translate_part(&names, part).map_err(|reason| source.bad(reason))?
            }
        };
        if translation.has_ldm {
            self.inner.naming = Naming::Ldm;
        }
        let leftovers = translation.leftovers.iter();
        let leftovers = leftovers.map(|&index| names[index].to_owned());
        self.inner.leftovers.extend(leftovers);
        self.add_tensors(&header.entries, translation, &source)?;
        self.inner.sources.push(source);
        Ok(header.metadata)
    }

    /// Takes in the tensors of the file that becomes the next of the sources.
    fn add_tensors(
        &mut self,
        entries: &[header::Entry],
        translation: Translation,
        source: &Source,
    ) -> Result<()> {
        let index = self.inner.sources.len();
        let whole = |entry: &header::Entry| Stored {
            source: index,
            range: entry.range.clone(),
            file_name: entry.name.clone(),
            dtype: entry.dtype,
            shape: entry.shape,
            transposed: false,
        };
        for (marker, entry) in translation.markers {
            let marked = whole(&entries[entry]);
            self.inner.markers.insert(marker, marked);
        }
        for Known { name, entry, view } in translation.known {
            let entry = &entries[entry];
            let stored = view.of(whole(entry)).map_err(|reason| source.bad(reason))?;
            if let Some(other) = self.inner.tensors.insert(name.into(), stored) {
                return Err(source.bad(format!(
                    "holds the same weight twice, as {} and {}; save it again with one of them",
                    quoted(&other.file_name),
                    quoted(&entry.name)
                )));
            }
        }
        Ok(())
    }

    /// The model, if anything in it is known.
    pub(super) fn finish(mut self) -> Result<Weights> {
        self.inner.leftovers.sort();
        let weights = Weights {
            inner: Arc::new(self.inner),
        };
        if !weights.inner.tensors.is_empty() {
            return Ok(weights);
        }
        let reason = match (weights.looks_like(), weights.leftovers()) {
            (Some(kind), _) => format!("it looks like {kind}; give a checkpoint of a known family"),
            (None, []) => "it holds no weights; give a full checkpoint".to_owned(),
            (None, leftovers) => {
                let shown: Vec<_> = leftovers
                    .iter()
                    .take(SHOWN_NAMES)
                    .map(|name| quoted(name))
                    .collect();
                format!(
                    "none of its {} tensors is known ({}, …); give a checkpoint of a known family",
                    leftovers.len(),
                    shown.join(", ")
                )
            }
        };
        Err(Error::UnknownModel {
            path: weights.inner.path.clone(),
            reason,
        })
    }
}

fn is_folder(path: &Path) -> Result<bool> {
    let metadata = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
    Ok(metadata.is_dir())
}

/// The configurations in a single file's metadata, by part.
fn configs(path: &Path, metadata: &BTreeMap<String, String>) -> Result<Map<String, Value>> {
    let Some(text) = metadata.get(CONFIG_ENTRY) else {
        return Ok(Map::new());
    };
    let config = folder::parse_object(text).map_err(|reason| {
        Error::bad_file(
            path,
            format!(
                "has a malformed {CONFIG_ENTRY:?} entry in its metadata ({reason}); \
                 save it again without it, or with a JSON object"
            ),
        )
    })?;
    match config {
        Value::Object(parts) => Ok(parts),
        _ => Ok(Map::new()),
    }
}
