//! Every intermediate of a run, for bug reports and for comparison with diffusers.

use super::request::Request;
use crate::error::{Error, Result};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// Intermediates by name, in diffusers' order `[N, C, H, W]`; ids are i32, everything else f32.
///
/// `tokens.prompt`, `tokens.negative`, `prompt_embeds`, `negative_prompt_embeds`, `latents_init`
/// (unit normal), `noise.NNN` in the order drawn, `step.NNN.latents` after each step of the
/// request (in the space of the sampler, as diffusers' scheduler of that name has them), `decoded`
/// before clamping, `image` in 0..1. Settings are JSON in the header's metadata under `request`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    tensors: Vec<(String, Tensor)>,
    metadata: HashMap<String, String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Trace {
    /// A trace of a resolved request with nothing in it yet.
    ///
    /// # Errors
    /// As [`Request::to_json`].
    pub(super) fn new(request: &Request, model: &str) -> Result<Self> {
        let software = concat!("aquatint ", env!("CARGO_PKG_VERSION")).to_owned();
        let settings = [
            ("request", request.to_json()?),
            ("model", model.to_owned()),
            ("software", software),
        ];
        Ok(Self {
            tensors: Vec::new(),
            metadata: settings.map(|(key, value)| (key.to_owned(), value)).into(),
        })
    }

    /// Adds values.
    pub(super) fn add(&mut self, name: impl Into<String>, shape: &[usize], values: &[f32]) {
        self.push(name.into(), Dtype::F32, shape, bytemuck::cast_slice(values));
    }

    /// Adds token ids, `[1, L]`.
    pub(super) fn add_ids(&mut self, name: &str, ids: &[u32]) {
        self.push(
            name.to_owned(),
            Dtype::I32,
            &[1, ids.len()],
            bytemuck::cast_slice(ids),
        );
    }

    fn push(&mut self, name: String, dtype: Dtype, shape: &[usize], bytes: &[u8]) {
        let tensor = Tensor {
            dtype,
            shape: shape.to_vec(),
            bytes: bytes.to_vec(),
        };
        self.tensors.push((name, tensor));
    }

    /// The names of what was kept, in the order in which it came.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|(name, _)| name.as_str())
    }

    /// A tensor's shape and values; `None` where there is none of that name or it holds ids.
    pub fn values(&self, name: &str) -> Option<(&[usize], Vec<f32>)> {
        let tensor = self.tensor(name, Dtype::F32)?;
        Some((&tensor.shape, bytemuck::pod_collect_to_vec(&tensor.bytes)))
    }

    /// Token ids; `None` where there are none of that name.
    pub fn ids(&self, name: &str) -> Option<Vec<i32>> {
        let tensor = self.tensor(name, Dtype::I32)?;
        Some(bytemuck::pod_collect_to_vec(&tensor.bytes))
    }

    fn tensor(&self, name: &str, dtype: Dtype) -> Option<&Tensor> {
        let found = self
            .tensors
            .iter()
            .find(|(known, tensor)| known == name && tensor.dtype == dtype);
        found.map(|(_, tensor)| tensor)
    }

    /// Writes the trace as safetensors, whole or not at all, where no file is yet.
    ///
    /// # Errors
    /// [`Error::Io`] if the file is there already or cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let persist = self.write_beside(path)?.persist_noclobber(path);
        persist.map_or_else(|error| Err(Error::io(path, error.error)), |_| Ok(()))
    }

    /// As [`Trace::save`], in the place of any file that is there.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save_over(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let persist = self.write_beside(path)?.persist(path);
        persist.map_or_else(|error| Err(Error::io(path, error.error)), |_| Ok(()))
    }

    /// The whole trace in a temporary file of the same folder.
    fn write_beside(&self, path: &Path) -> Result<NamedTempFile> {
        let failed = |error: std::io::Error| Error::io(path, error);
        let invalid = |error: safetensors::SafeTensorError| failed(std::io::Error::other(error));
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
            views.push((name.as_str(), view.map_err(invalid)?));
        }
        let bytes = safetensors::serialize(views, Some(self.metadata.clone())).map_err(invalid)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        Ok(file)
    }
}
