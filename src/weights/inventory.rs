//! What a checkpoint holds, in words: for `inspect`, and for errors about what it lacks.

use super::{Weights, advice, part_of};
use crate::error::Error;
use crate::tensor::Shape;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::Path;

/// How many names a message lists.
pub(super) const SHOWN_NAMES: usize = 5;

/// A tensor, as `inspect` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TensorInfo<'a> {
    /// The one name, part first.
    pub name: &'a str,
    /// The name in the file.
    pub file_name: &'a str,
    /// The file that holds it.
    pub file: &'a Path,
    /// The element type as stored, in lower case: `f16`, `f8_e4m3`, …
    pub dtype: String,
    /// The shape as stored.
    #[serde(serialize_with = "axes")]
    pub shape: Shape,
    /// Bytes in the file.
    pub size_bytes: usize,
}

/// A part of a checkpoint, such as `unet`, as `inspect` sums it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartInfo {
    /// `unet`, `vae`, `text_encoder`, …
    pub name: String,
    /// How many tensors it has.
    pub tensor_count: usize,
    /// How many elements these have.
    pub parameter_count: usize,
    /// How many bytes.
    pub size_bytes: usize,
    /// How many tensors there are of each element type, in lower case.
    pub dtypes: BTreeMap<String, usize>,
}

impl Weights {
    /// All known tensors, sorted by name.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.inner.tensors.iter().map(|(name, stored)| TensorInfo {
            name,
            file_name: &stored.file_name,
            file: self.inner.sources[stored.source].path(),
            dtype: stored.dtype.code().to_lowercase(),
            shape: stored.shape,
            size_bytes: stored.range.len(),
        })
    }

    /// The parts that are there, sorted by name.
    pub(crate) fn parts(&self) -> Vec<PartInfo> {
        let mut parts: BTreeMap<&str, PartInfo> = BTreeMap::new();
        for tensor in self.tensors() {
            let part = parts.entry(part_of(tensor.name)).or_default();
            part.tensor_count += 1;
            part.parameter_count += tensor.shape.len();
            part.size_bytes += tensor.size_bytes;
            *part.dtypes.entry(tensor.dtype).or_default() += 1;
        }
        let named = parts.into_iter().map(|(name, part)| PartInfo {
            name: name.to_owned(),
            ..part
        });
        named.collect()
    }

    /// The error for tensors that are missing: the first five names, and what the file looks like.
    pub(crate) fn missing<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Error {
        let names: Vec<&str> = names.into_iter().collect();
        let shown = names.iter().take(SHOWN_NAMES);
        let more = match names.len().saturating_sub(SHOWN_NAMES) {
            0 => String::new(),
            more => format!("and {more} more are missing; "),
        };
        let mut wanted: Vec<&str> = names.iter().map(|name| part_of(name)).collect();
        wanted.dedup();
        let present = self.parts();
        let present: Vec<_> = present.iter().map(|part| part.name.as_str()).collect();
        let advice = advice::for_missing(&wanted, &present, self.looks_like());
        Error::MissingTensor {
            path: self.path_of(wanted.first().unwrap_or(&"")).to_owned(),
            names: shown.map(|name| (*name).to_owned()).collect(),
            advice: format!("{more}{advice}"),
        }
    }

    /// What the file's names look like if not like SD 1.x, such as "an SDXL checkpoint".
    pub(crate) fn looks_like(&self) -> Option<&'static str> {
        let known = self
            .inner
            .tensors
            .values()
            .map(|stored| stored.file_name.as_str());
        advice::kind(known.chain(self.leftovers().iter().map(String::as_str)))
    }
}

fn axes<S: Serializer>(shape: &Shape, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(shape.dims())
}
