//! Which files make up a model.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files of a model: a checkpoint, parts that take the place of its own, or parts alone.
///
/// Whatever is a path is a checkpoint by itself. A part is a `.safetensors` file of that part, of
/// which prefixes and naming are read from its tensors; a whole checkpoint, of which the part is
/// taken; or a folder with `config.json` as diffusers writes it.
///
/// ```no_run
/// use aquatint::{Model, ModelFiles};
///
/// # fn main() -> aquatint::Result<()> {
/// let mended = Model::open(ModelFiles::new("sdxl.safetensors").vae("sdxl-vae-fp16-fix.safetensors"))?;
/// let parts = ModelFiles::default()
///     .unet("unet.safetensors")
///     .text_encoder("clip_l.safetensors")
///     .text_encoder_2("clip_g.safetensors")
///     .vae("vae.safetensors");
/// let assembled = Model::open(parts)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFiles {
    checkpoint: Option<PathBuf>,
    parts: BTreeMap<&'static str, PathBuf>,
}

impl ModelFiles {
    /// A checkpoint: a `.safetensors` file or a diffusers folder.
    pub fn new(checkpoint: impl Into<PathBuf>) -> Self {
        Self {
            checkpoint: Some(checkpoint.into()),
            parts: BTreeMap::new(),
        }
    }

    /// The UNet of this file or folder. What the checkpoint says of its own UNet, such as what it
    /// predicts, is forgotten.
    #[must_use]
    pub fn unet(self, path: impl Into<PathBuf>) -> Self {
        self.with("unet", path)
    }

    /// The VAE of this file or folder.
    #[must_use]
    pub fn vae(self, path: impl Into<PathBuf>) -> Self {
        self.with("vae", path)
    }

    /// The text encoder of this file or folder; of SDXL the first one, CLIP-L.
    #[must_use]
    pub fn text_encoder(self, path: impl Into<PathBuf>) -> Self {
        self.with("text_encoder", path)
    }

    /// SDXL's second text encoder, OpenCLIP-G, of this file or folder.
    #[must_use]
    pub fn text_encoder_2(self, path: impl Into<PathBuf>) -> Self {
        self.with("text_encoder_2", path)
    }

    fn with(mut self, part: &'static str, path: impl Into<PathBuf>) -> Self {
        self.parts.insert(part, path.into());
        self
    }

    pub(super) fn checkpoint(&self) -> Option<&Path> {
        self.checkpoint.as_deref()
    }

    /// The parts that are given apart.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let parts = self.parts.iter();
        parts.map(|(part, path)| (*part, path.as_path()))
    }

    /// The path that the model is called by: the checkpoint's, else its UNet's.
    ///
    /// # Errors
    /// [`Error::Request`] if there is no file at all.
    pub(super) fn name(&self) -> Result<&Path> {
        let unet = self.parts.get("unet");
        let named = self.checkpoint.as_ref().or(unet);
        let named = named.or_else(|| self.parts.values().next());
        named.map(PathBuf::as_path).ok_or_else(|| {
            let reason = "no file is given; give a checkpoint, or every part of one";
            Error::request("model", reason)
        })
    }
}

impl<P: AsRef<Path>> From<P> for ModelFiles {
    fn from(checkpoint: P) -> Self {
        Self::new(checkpoint.as_ref())
    }
}
