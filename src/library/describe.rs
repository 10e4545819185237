//! What a file is, from its header.

use super::LibraryFile;
use super::layout::Role;
use crate::error::{Error, Result};
use crate::families::{self, Purpose};
use crate::weights::{Addition, Contents, Weights};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A model or something that goes with one, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LibraryModel {
    /// The file's name without its ending, or the folder's name: what
    /// [`Library::find`](super::Library::find) takes.
    pub name: String,
    /// The file or folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: ModelKind,
    /// The short name of the family that it is of or adds to, where that is known: `sd1`.
    pub family: Option<&'static str>,
    /// The family's name in words.
    pub title: Option<&'static str>,
    /// What a whole model was trained for.
    pub purpose: Option<Purpose>,
    /// The parts that it holds: `text_encoder`, `unet`, `vae`, …
    pub parts: Vec<String>,
    /// Bytes of the file, or of a folder's weights.
    pub size_bytes: u64,
    /// Bytes of the tensors of each element type, in lower case: `f16`, `f8_e4m3`, …
    pub dtypes: BTreeMap<String, u64>,
    /// Why it is of no use as it is: damaged, or of a kind that is not known.
    pub problem: Option<String>,
}

/// What a file of a library is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelKind {
    /// A whole model, with UNet, VAE and text encoders.
    Model,
    /// Some parts of a model, such as a VAE.
    Parts,
    /// A LoRA or a relative.
    Lora,
    /// A textual inversion.
    Embedding,
    /// A ControlNet or an adapter for pictures.
    ControlNet,
    /// A network that enlarges pictures.
    Upscaler,
    /// Not known: [`LibraryModel::problem`] has the reason.
    Unknown,
}

impl LibraryModel {
    /// Reads the header of a file, or those of a folder.
    pub(super) fn read(file: &LibraryFile) -> Self {
        let mut model = Self {
            name: file.name.clone(),
            path: file.path.clone(),
            kind: ModelKind::Unknown,
            family: None,
            title: None,
            purpose: None,
            parts: Vec::new(),
            size_bytes: 0,
            dtypes: BTreeMap::new(),
            problem: None,
        };
        if let Err(error) = model.describe(file.role) {
            model.problem = Some(reason(error));
        }
        model
    }

    fn describe(&mut self, role: Role) -> Result<()> {
        let metadata = std::fs::metadata(&self.path);
        let metadata = metadata.map_err(|error| Error::io(&self.path, error))?;
        if metadata.is_file() {
            self.size_bytes = metadata.len();
        }
        let unknown = match Weights::open(&self.path) {
            Ok(weights) => match self.describe_checkpoint(&weights) {
                Ok(()) => return Ok(()),
                Err(unknown) => unknown,
            },
            Err(unknown @ Error::UnknownModel { .. }) => unknown,
            Err(broken) => return Err(broken),
        };
        if metadata.is_file() {
            let contents = Contents::read(&self.path)?;
            self.dtypes = contents.dtypes;
            if Weights::open_upscaler(&self.path).is_ok() {
                self.kind = ModelKind::Upscaler;
                return Ok(());
            }
            if let Some(addition) = contents.addition {
                self.kind = ModelKind::of_addition(addition);
                let width = contents.context_width;
                self.take_family(width.and_then(families::of_context_width));
                return Ok(());
            }
        }
        match (&unknown, ModelKind::of_folder(role)) {
            // What the folder says is believed where the file says nothing.
            (_, Some(kind)) => self.kind = kind,
            (Error::MissingTensor { .. }, None) if !self.parts.is_empty() => {
                self.kind = ModelKind::Parts;
            }
            _ => return Err(unknown),
        }
        Ok(())
    }

    fn take_family(&mut self, family: Option<&families::Family>) {
        self.family = family.map(|family| family.name);
        self.title = family.map(|family| family.title);
    }

    /// Takes in what is known of a checkpoint; fails where that makes no whole model.
    fn describe_checkpoint(&mut self, weights: &Weights) -> Result<()> {
        self.parts = weights.parts().into_iter().map(|part| part.name).collect();
        for tensor in weights.tensors() {
            *self.dtypes.entry(tensor.dtype).or_default() += tensor.size_bytes as u64;
        }
        if weights.folder().is_some() {
            self.size_bytes = self.dtypes.values().sum();
        }
        let (family, purpose) = families::identify(weights)?;
        self.kind = ModelKind::Model;
        self.take_family(Some(family));
        self.purpose = Some(purpose);
        Ok(())
    }
}

impl ModelKind {
    fn of_addition(addition: Addition) -> Self {
        match addition {
            Addition::Lora => Self::Lora,
            Addition::Embedding => Self::Embedding,
            Addition::ControlNet => Self::ControlNet,
        }
    }

    /// What the files of a folder are, where all of them are the same.
    fn of_folder(role: Role) -> Option<Self> {
        match role {
            Role::Loras => Some(Self::Lora),
            Role::Embeddings => Some(Self::Embedding),
            Role::ControlNets => Some(Self::ControlNet),
            Role::Vaes | Role::TextEncoders => Some(Self::Parts),
            Role::Any | Role::Checkpoints | Role::Unets | Role::Upscalers | Role::Foreign => None,
        }
    }
}

/// An error's words without the path, which stands beside them.
fn reason(error: Error) -> String {
    match error {
        Error::BadFile { reason, .. } | Error::UnknownModel { reason, .. } => reason,
        Error::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
