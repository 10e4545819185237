//! Which model: the flags that say it, and how it is opened.

use std::path::{Path, PathBuf};

use aquatint::{Library, Model, ModelFiles};
use clap::Args;

use super::failure::Outcome;

/// Which model.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// Model to use: a .safetensors file, a diffusers folder, or a name that `aquatint models` lists
    ///
    /// Its family, parts and defaults are read from the file; `aquatint inspect MODEL` shows them.
    #[cfg_attr(
        feature = "demo-model",
        doc = " Without it, the small demo model inside this program is used (128×128 emoji)."
    )]
    #[arg(short, long, value_name = "MODEL")]
    #[cfg_attr(not(feature = "demo-model"), arg(required_unless_present = "unet"))]
    pub(super) model: Option<PathBuf>,

    #[command(flatten)]
    pub(super) parts: PartArgs,
}

impl ModelArgs {
    /// Opens what was asked for.
    pub(super) fn open(&self) -> Outcome<Model> {
        open(self.parts.with(self.model.as_deref())?)
    }
}

/// Parts of a model that are given apart from it.
#[derive(Clone, Debug, Args)]
pub(super) struct PartArgs {
    /// VAE to use in place of the model's own: a .safetensors file, a folder, or a name as for -m
    ///
    /// As for the other parts, a whole model will do, of which the part is taken. Parts without -m
    /// make up a model alone.
    #[arg(long, value_name = "MODEL")]
    pub(super) vae: Option<PathBuf>,

    /// UNet to use in place of the model's own
    #[arg(long, visible_alias = "diffusion-model", value_name = "MODEL")]
    pub(super) unet: Option<PathBuf>,

    /// Text encoder to use in place of the model's own; of SDXL the first, CLIP-L
    #[arg(long, visible_alias = "clip_l", value_name = "MODEL")]
    pub(super) text_encoder: Option<PathBuf>,

    /// SDXL's second text encoder, OpenCLIP-G, to use in place of the model's own
    #[arg(
        long = "text-encoder-2",
        visible_alias = "clip_g",
        value_name = "MODEL"
    )]
    pub(super) text_encoder_2: Option<PathBuf>,
}

impl PartArgs {
    /// Whether anything was given for any part.
    pub(super) fn has_any(&self) -> bool {
        ["unet", "vae", "text_encoder", "text_encoder_2"]
            .iter()
            .any(|part| self.has(part))
    }

    /// Whether something was given for a part.
    pub(super) fn has(&self, part: &str) -> bool {
        let given = match part {
            "unet" => &self.unet,
            "vae" => &self.vae,
            "text_encoder" => &self.text_encoder,
            _ => &self.text_encoder_2,
        };
        given.is_some()
    }

    /// Gives a part.
    pub(super) fn set(&mut self, part: &str, path: PathBuf) {
        let place = match part {
            "unet" => &mut self.unet,
            "vae" => &mut self.vae,
            "text_encoder" => &mut self.text_encoder,
            _ => &mut self.text_encoder_2,
        };
        *place = Some(path);
    }

    /// The files of a model, given by path or name, with these parts; `None` if nothing was given
    /// at all.
    pub(super) fn with(&self, model: Option<&Path>) -> Outcome<Option<ModelFiles>> {
        let path = model.map(Library::locate).transpose()?;
        let mut files = path.map(ModelFiles::new);
        type With = fn(ModelFiles, &PathBuf) -> ModelFiles;
        let parts: [(&Option<PathBuf>, With); 4] = [
            (&self.vae, |files, path| files.vae(path)),
            (&self.unet, |files, path| files.unet(path)),
            (&self.text_encoder, |files, path| files.text_encoder(path)),
            (&self.text_encoder_2, |files, path| {
                files.text_encoder_2(path)
            }),
        ];
        for (typed, with) in parts {
            if let Some(typed) = typed {
                let path = Library::locate_part(typed)?;
                files = Some(with(files.unwrap_or_default(), &path));
            }
        }
        Ok(files)
    }
}

/// Which model does the last steps.
#[derive(Debug, Args)]
pub(super) struct RefinerArgs {
    /// Model that does the last steps, such as SDXL's refiner: a path or a name, as for -m
    #[arg(long, value_name = "MODEL")]
    pub(super) refiner: Option<PathBuf>,
}

impl RefinerArgs {
    /// Opens what was asked for.
    pub(super) fn open(&self) -> Outcome<Option<Model>> {
        let path = self.refiner.as_deref().map(Library::locate).transpose()?;
        Ok(path.map(Model::open).transpose()?)
    }
}

/// The model of these files, or the one inside the program.
pub(super) fn open(files: Option<ModelFiles>) -> Outcome<Model> {
    match files {
        Some(files) => Ok(Model::open(files)?),
        None => demo(),
    }
}

#[cfg(feature = "demo-model")]
fn demo() -> Outcome<Model> {
    Ok(Model::demo()?)
}

#[cfg(not(feature = "demo-model"))]
fn demo() -> Outcome<Model> {
    let reason =
        "model: this build has no model inside; give a file, a folder or a name with -m MODEL";
    Err(super::failure::Failure::Usage(reason.to_owned()))
}
