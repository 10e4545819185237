//! Model files: mapped, checked once at the door, and seen under one naming.
//!
//! A checkpoint is a single `.safetensors` file, with LDM's or diffusers' names, or a diffusers
//! folder. All come out the same: names as in diffusers with the part in front, such as
//! `unet.conv_in.weight`. The bytes stay in the file until they are uploaded.

mod advice;
mod apart;
mod builder;
mod contents;
mod damage;
mod disguise;
mod files;
mod folder;
mod header;
mod inventory;
mod names;
mod rows;
mod scope;
mod shards;
mod source;
mod tiny_decoders;
mod upscalers;
mod view;

pub(crate) use contents::{Addition, Contents};
pub use damage::DamagedTensor;
pub use files::ModelFiles;
pub(crate) use folder::{read_json, read_text};
pub use inventory::PartInfo;
pub(crate) use names::Naming;
pub(crate) use scope::{Scope, scaled_weight};

use crate::error::Result;
use crate::tensor::{DType, Layout, Param, Shape, float8};
use builder::Builder;
use header::StoredType;
use serde_json::Value;
use source::Source;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest tensor whose values are read for what they say of the model.
const MAX_READ_VALUES: usize = 1 << 16;

/// An open checkpoint. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Weights {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    is_folder: bool,
    /// The files or folders of the parts that were given apart.
    apart: BTreeMap<&'static str, PathBuf>,
    sources: Vec<Source>,
    tensors: BTreeMap<Arc<str>, Stored>,
    leftovers: Vec<String>,
    markers: BTreeMap<&'static str, Stored>,
    metadata: BTreeMap<String, String>,
    configs: BTreeMap<String, Value>,
    naming: Naming,
}

/// A tensor in one of the files.
#[derive(Debug)]
struct Stored {
    source: usize,
    range: Range<usize>,
    file_name: String,
    dtype: StoredType,
    /// The shape under its name here.
    shape: Shape,
    /// Whether the file has the matrix the other way round.
    transposed: bool,
}

impl Weights {
    /// Opens the files of a model and checks them; reads headers, not weights.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if one cannot be read, [`crate::Error::BadFile`] if it is damaged or something else,
    /// [`crate::Error::UnknownModel`] if it is sound but none of its tensors is known.
    pub(crate) fn open(files: impl Into<ModelFiles>) -> Result<Self> {
        Builder::open(&files.into())
    }

    /// Opens the file of an upscaling network, whose weights are then below `upscaler`.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub(crate) fn open_upscaler(path: &Path) -> Result<Self> {
        let mut builder = Builder::new(path);
        builder.add_upscaler(Source::open(path)?)?;
        builder.finish()
    }

    /// Opens the file of a tiny decoder, whose weights are then below `tiny_decoder`.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub(crate) fn open_tiny_decoder(path: &Path) -> Result<Self> {
        let mut builder = Builder::new(path);
        builder.add_tiny_decoder(Source::open(path)?)?;
        builder.finish()
    }

    /// Opens a single file that is part of the program; `name` stands for its path in messages.
    ///
    /// # Errors
    /// As [`Weights::open`].
    #[cfg(any(test, feature = "demo-model"))]
    pub(crate) fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self> {
        let mut builder = Builder::new(Path::new(name));
        builder.add_file(Source::of_static(name, bytes))?;
        builder.finish()
    }

    /// No checkpoint at all, for plans without weights.
    pub(crate) fn none() -> Self {
        Self {
            inner: Arc::new(Inner::empty(Path::new("no checkpoint"))),
        }
    }

    /// The file or folder that the model is called by, or the name of static bytes.
    pub(crate) fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The file or folder of a part, or of the part that a tensor is of.
    pub(crate) fn path_of(&self, name: &str) -> &Path {
        let apart = self.inner.apart.get(part_of(name));
        apart.unwrap_or(&self.inner.path)
    }

    /// The parts that were given apart, with their files or folders.
    pub(crate) fn apart(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let apart = self.inner.apart.iter();
        apart.map(|(part, path)| (*part, path.as_path()))
    }

    /// The folder, if this is one of diffusers; tokenizer files are found there.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.inner.is_folder.then_some(self.path())
    }

    /// The weights below a name, such as `unet`; an empty name is the root.
    pub(crate) fn scope(&self, prefix: &str) -> Scope {
        Scope::new(self.clone(), prefix)
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.inner.tensors.keys().map(AsRef::as_ref)
    }

    /// A weight by its full name, in its stored shape; `None` if it is not there or not of floats
    /// that can be computed with.
    #[cfg(test)]
    pub(crate) fn param(&self, name: &str) -> Option<Param> {
        let stored = self.inner.tensors.get(name)?;
        Some(self.make_param(name, stored.shape, stored.dtype.dtype()?))
    }

    /// A tensor's bytes as stored, little-endian; `None` where [`Weights::checked_bytes`] has the reason.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.checked_bytes(name).ok()
    }

    /// A tensor's bytes as stored, little-endian, after a look whether the file still has them.
    ///
    /// The bytes are mapped, not copied: if another program truncates the file while they are
    /// being read, the system ends this process. Use them up soon after this call.
    ///
    /// # Errors
    /// [`crate::Error::MissingTensor`] if there is no such tensor, [`crate::Error::BadFile`] if the file shrank.
    pub(crate) fn checked_bytes(&self, name: &str) -> Result<&[u8]> {
        let stored = self.find(name)?;
        self.inner.sources[stored.source].read(stored.range.clone())
    }

    /// Where a tensor lies: the file's number, and the first byte. Files are read fastest in this
    /// order.
    pub(crate) fn place(&self, name: &str) -> Option<(usize, usize)> {
        let stored = self.inner.tensors.get(name)?;
        Some((stored.source, stored.range.start))
    }

    /// The file that a tensor is in, as it was when it was opened, and its first byte there.
    pub(crate) fn origin(&self, name: &str) -> Option<(&Arc<str>, usize)> {
        let stored = self.inner.tensors.get(name)?;
        let source = &self.inner.sources[stored.source];
        Some((source.identity(), stored.range.start))
    }

    /// Lets the system read a tensor while there is still something else to do.
    pub(crate) fn read_ahead(&self, name: &str) {
        if let Some(stored) = self.inner.tensors.get(name) {
            self.inner.sources[stored.source].read_ahead(stored.range.clone());
        }
    }

    /// Lets the system take a tensor's pages back, after its upload.
    pub(crate) fn drop_behind(&self, name: &str) {
        if let Some(stored) = self.inner.tensors.get(name) {
            self.inner.sources[stored.source].drop_behind(stored.range.clone());
        }
    }

    /// The metadata of the header, or of all headers together.
    pub(crate) fn metadata(&self) -> &BTreeMap<String, String> {
        &self.inner.metadata
    }

    /// The configuration of a part: of a folder `PART/config.json`, `scheduler` and `model_index`;
    /// of a single file the entries of its metadata's `config`.
    pub(crate) fn config(&self, part: &str) -> Option<&Value> {
        self.inner.configs.get(part)
    }

    /// Tensors in the file that no naming row knew, under the file's names.
    pub(crate) fn leftovers(&self) -> &[String] {
        &self.inner.leftovers
    }

    /// The name that a tensor has in its file; `None` if it is not there.
    pub(crate) fn file_name(&self, name: &str) -> Option<&str> {
        let stored = self.inner.tensors.get(name)?;
        Some(&stored.file_name)
    }

    /// A small tensor's values; `None` if it is not there, too long, or not of floats.
    pub(crate) fn values(&self, name: &str) -> Option<Vec<f32>> {
        self.values_of(self.inner.tensors.get(name)?)
    }

    /// The values of a tensor that is there to say something of the model, such as `v_pred`; `None`
    /// if it is not there. It may be empty.
    pub(crate) fn marker(&self, name: &str) -> Option<Vec<f32>> {
        let stored = self.inner.markers.get(name)?;
        Some(self.values_of(stored).unwrap_or_default())
    }

    fn values_of(&self, stored: &Stored) -> Option<Vec<f32>> {
        if stored.shape.len() > MAX_READ_VALUES {
            return None;
        }
        let bytes = self.inner.sources[stored.source]
            .read(stored.range.clone())
            .ok()?;
        Some(match stored.dtype.dtype()? {
            DType::F32 => bytemuck::pod_collect_to_vec(bytes),
            DType::F16 => bytemuck::pod_collect_to_vec::<u8, half::f16>(bytes)
                .into_iter()
                .map(half::f16::to_f32)
                .collect(),
            DType::Bf16 => bytemuck::pod_collect_to_vec::<u8, half::bf16>(bytes)
                .into_iter()
                .map(half::bf16::to_f32)
                .collect(),
            DType::F8E4m3 => bytes.iter().map(|&byte| float8::from_e4m3(byte)).collect(),
            DType::F8E5m2 => bytes.iter().map(|&byte| float8::from_e5m2(byte)).collect(),
            DType::U32 | DType::U8 => return None,
        })
    }

    /// The naming that the file uses.
    pub(crate) fn naming(&self) -> Naming {
        self.inner.naming
    }

    fn find(&self, name: &str) -> Result<&Stored> {
        self.inner
            .tensors
            .get(name)
            .ok_or_else(|| self.missing([name]))
    }

    fn contains(&self, name: &str) -> bool {
        self.inner.tensors.contains_key(name)
    }

    fn contains_below(&self, name: &str) -> bool {
        let start = format!("{name}.");
        let mut from = self
            .inner
            .tensors
            .range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded));
        from.next()
            .is_some_and(|(name, _)| name.starts_with(&start))
    }

    fn make_param(&self, name: &str, shape: Shape, dtype: DType) -> Param {
        let known = self.inner.tensors.get_key_value(name);
        let transposed = known.is_some_and(|(_, stored)| stored.transposed);
        Param {
            name: known.map_or_else(|| name.into(), |(name, _)| name.clone()),
            shape,
            dtype,
            layout: if transposed {
                Layout::Transposed
            } else {
                Layout::AsStored
            },
        }
    }
}

impl Inner {
    fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            is_folder: false,
            apart: BTreeMap::new(),
            sources: Vec::new(),
            tensors: BTreeMap::new(),
            leftovers: Vec::new(),
            markers: BTreeMap::new(),
            metadata: BTreeMap::new(),
            configs: BTreeMap::new(),
            naming: Naming::Diffusers,
        }
    }
}

/// The part in front of a full name.
fn part_of(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights")
            .field("path", &self.inner.path)
            .field("naming", &self.inner.naming)
            .field("tensors", &self.inner.tensors.len())
            .field("leftovers", &self.inner.leftovers.len())
            .finish()
    }
}

#[cfg(test)]
mod conversion_tests;
#[cfg(test)]
mod tests;
