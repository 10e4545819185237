//! Which folder holds what, in the trees of programs that people already have.

use std::path::{Path, PathBuf};

/// What a folder holds, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Anything: the headers tell.
    Any,
    /// Whole models.
    Checkpoints,
    /// UNets without the rest.
    Unets,
    /// VAEs.
    Vaes,
    /// Text encoders.
    TextEncoders,
    /// LoRAs and their relatives.
    Loras,
    /// Textual inversions.
    Embeddings,
    /// ControlNets and adapters for pictures.
    ControlNets,
    /// Networks that enlarge pictures.
    Upscalers,
    /// Networks of other kinds, which nothing here uses.
    Foreign,
}

impl Role {
    /// A file of it, in words.
    pub(super) fn article(self) -> &'static str {
        match self {
            Self::Any | Self::Checkpoints => "a model",
            Self::Unets => "a UNet",
            Self::Vaes => "a VAE",
            Self::TextEncoders => "a text encoder",
            Self::Loras => "a LoRA",
            Self::Embeddings => "a textual inversion",
            Self::ControlNets => "a ControlNet",
            Self::Upscalers => "an upscaler",
            Self::Foreign => "a network of another kind",
        }
    }
}

/// The names of folders, in small letters: A1111 1.10's and Forge's, and ComfyUI's
/// (`folder_paths.py`). They stand below `models` but for A1111's `embeddings`.
#[rustfmt::skip]
const FOLDERS: &[(&str, Role)] = &[
    ("stable-diffusion", Role::Checkpoints), ("checkpoints", Role::Checkpoints), ("diffusers", Role::Checkpoints),
    ("diffusion_models", Role::Unets), ("unet", Role::Unets),
    ("vae", Role::Vaes),
    ("text_encoders", Role::TextEncoders), ("text_encoder", Role::TextEncoders), ("clip", Role::TextEncoders),
    ("lora", Role::Loras), ("lycoris", Role::Loras), ("loras", Role::Loras),
    ("embeddings", Role::Embeddings),
    ("controlnet", Role::ControlNets), ("t2i_adapter", Role::ControlNets),
    ("clip_vision", Role::Foreign), ("style_models", Role::Foreign), ("vae_approx", Role::Foreign),
    ("vae-approx", Role::Foreign), ("gligen", Role::Foreign), ("upscale_models", Role::Upscalers),
    ("hypernetworks", Role::Foreign), ("photomaker", Role::Foreign), ("model_patches", Role::Foreign),
    ("esrgan", Role::Upscalers), ("realesrgan", Role::Upscalers), ("swinir", Role::Foreign),
];

/// The folder of a program's tree that holds the others.
const MODELS: &str = "models";

/// A folder to look through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) role: Role,
}

/// The folders to look through below `root`: of a program's tree those that [`FOLDERS`] names; of
/// any other folder all of it, those last.
///
/// # Errors
/// The system's, if `root` cannot be listed.
pub(super) fn folders(root: &Path) -> std::io::Result<Vec<Folder>> {
    let mut named = Vec::new();
    let mut models = None;
    for (name, path) in subfolders(root)? {
        if name == MODELS {
            models = Some(path);
        } else {
            named.extend(role(&name).map(|role| Folder { path, role }));
        }
    }
    if let Some(models) = models {
        let inside = subfolders(&models)?.into_iter();
        let inside =
            inside.filter_map(|(name, path)| role(&name).map(|role| Folder { path, role }));
        let inside: Vec<Folder> = inside.collect();
        if inside.iter().any(|folder| folder.role == Role::Checkpoints) {
            // The rest of a program's tree is the program.
            named.extend(inside);
            return Ok(named);
        }
    }
    named.push(Folder {
        path: root.to_owned(),
        role: Role::Any,
    });
    Ok(named)
}

/// What a folder of this name, in small letters, holds.
fn role(name: &str) -> Option<Role> {
    let known = FOLDERS.iter().find(|(known, _)| *known == name);
    known.map(|(_, role)| *role)
}

/// The folders in a folder, with their names in small letters, sorted.
fn subfolders(folder: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().is_dir() {
            let name = entry.file_name().to_string_lossy().to_lowercase();
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}
