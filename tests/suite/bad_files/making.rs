//! Files put together wrongly.

use crate::program::DEMO;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// The demo model taken apart, to be put together wrongly.
pub(super) struct Checkpoint {
    tensors: BTreeMap<String, Tensor>,
    pub(super) metadata: HashMap<String, String>,
}

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Checkpoint {
    pub(super) fn demo() -> Self {
        let file = fs::read(DEMO).unwrap();
        let (_, header) = SafeTensors::read_metadata(&file).unwrap();
        let opened = SafeTensors::deserialize(&file).unwrap();
        let tensors = opened.iter().map(|(name, view)| {
            let tensor = Tensor {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            };
            (name.to_owned(), tensor)
        });
        Self {
            tensors: tensors.collect(),
            metadata: header.metadata().clone().unwrap(),
        }
    }

    /// Only the tensors whose names begin so.
    pub(super) fn only(mut self, prefix: &str) -> Self {
        self.tensors.retain(|name, _| name.starts_with(prefix));
        self
    }

    /// All but the tensors whose names begin so.
    pub(super) fn without(mut self, prefix: &str) -> Self {
        let before = self.tensors.len();
        self.tensors.retain(|name, _| !name.starts_with(prefix));
        assert!(self.tensors.len() < before, "no {prefix} in the demo model");
        self
    }

    /// A tensor of another type or shape, its bytes repeated or cut to fit.
    pub(super) fn with(mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Self {
        let old = self.tensors.get(name).map(|tensor| tensor.bytes.clone());
        let old = old.filter(|bytes| !bytes.is_empty()).unwrap_or(vec![0]);
        let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let tensor = Tensor {
            dtype,
            shape: shape.to_vec(),
            bytes: old.into_iter().cycle().take(size).collect(),
        };
        self.tensors.insert(name.to_owned(), tensor);
        self
    }

    /// A tensor of nothing but NaN.
    pub(super) fn with_nan(mut self, name: &str) -> Self {
        let tensor = self.tensors.get_mut(name).unwrap();
        for value in tensor.bytes.chunks_exact_mut(2) {
            value.copy_from_slice(&half::f16::NAN.to_le_bytes());
        }
        self
    }

    /// The VAE's configuration without the number of its layers.
    pub(super) fn without_layer_count(mut self) -> Self {
        let mut config: Value = serde_json::from_str(&self.metadata["config"]).unwrap();
        let vae = config["vae"].as_object_mut().unwrap();
        vae.remove("layers_per_block").unwrap();
        self.metadata.insert("config".into(), config.to_string());
        self
    }

    pub(super) fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let views = self.tensors.iter().map(|(name, tensor)| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
            (name, view.unwrap())
        });
        let bytes = safetensors::serialize(views, Some(self.metadata.clone())).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Writes bytes as a file of a folder.
pub(super) fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A file with this header and so many bytes of zeros after it.
pub(super) fn with_header(header: impl AsRef<[u8]>, data_bytes: usize) -> Vec<u8> {
    let header = header.as_ref();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.resize(file.len() + data_bytes, 0);
    file
}

/// A file whose header is said to be so long.
pub(super) fn with_header_length(length: u64) -> Vec<u8> {
    let mut file = with_header("{}", 0);
    file[..8].copy_from_slice(&length.to_le_bytes());
    file
}

/// The header's entry for a tensor.
pub(super) fn entry(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
}

/// A file whose header has these entries.
pub(super) fn with_entries(entries: &[String], data_bytes: usize) -> Vec<u8> {
    with_header(format!("{{{}}}", entries.join(",")), data_bytes)
}
