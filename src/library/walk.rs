//! Which files of a folder may be models: by their names, unread.

use super::LibraryFile;
use super::layout::{Folder, Role};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// How deep folders are looked through.
const MAX_DEPTH: usize = 8;
/// The most files that are told of; whoever has more gave the wrong folder.
const MAX_FILES: usize = 20_000;

/// Endings of what may be a model in any folder. What cannot be opened is listed with its reason,
/// so that nobody wonders where it is.
pub(super) const ENDINGS: &[&str] = &["safetensors", "sft", "ckpt", "gguf"];
/// Endings that mean a model only in a folder for models: other programs keep all sorts in them.
const ENDINGS_OF_NAMED_FOLDERS: &[&str] = &["pt", "pth", "bin"];

/// What makes a folder a diffusers model.
const DIFFUSERS_INDEX: &str = "model_index.json";

/// Whether a folder is a model, as diffusers writes it.
pub(super) fn is_diffusers(folder: &Path) -> bool {
    folder.join(DIFFUSERS_INDEX).is_file()
}

/// Looks through folders, each once.
#[derive(Default)]
pub(super) struct Walk {
    visited: HashSet<PathBuf>,
    pub(super) files: Vec<LibraryFile>,
}

impl Walk {
    /// Adds the models of a folder and of those below it. Links are followed; what cannot be listed
    /// below it is left out.
    ///
    /// # Errors
    /// The system's, if the folder itself cannot be listed.
    pub(super) fn add(&mut self, folder: &Folder) -> std::io::Result<()> {
        match folder.role {
            // Marks it as seen.
            Role::Foreign => self.enter(&folder.path).map(|_| ()),
            role => self.add_below(&folder.path, &folder.path, role, MAX_DEPTH),
        }
    }

    /// Adds a model, unless it is there by another name: links lead to the same one.
    pub(super) fn push(&mut self, file: LibraryFile) {
        // What cannot be looked up is listed, and says why.
        if self.enter(&file.path).unwrap_or(true) {
            self.files.push(file);
        }
    }

    /// Whether a file or folder is seen for the first time, by whatever name.
    fn enter(&mut self, path: &Path) -> std::io::Result<bool> {
        Ok(self.visited.insert(path.canonicalize()?))
    }

    fn add_below(
        &mut self,
        root: &Path,
        folder: &Path,
        role: Role,
        depth: usize,
    ) -> std::io::Result<()> {
        if !self.enter(folder)? {
            return Ok(());
        }
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with('.') {
                paths.push(entry.path());
            }
        }
        paths.sort();
        for path in paths {
            if self.files.len() >= MAX_FILES {
                break;
            }
            if path.is_dir() && !is_diffusers(&path) {
                // A folder that may not be read hides nothing but itself.
                if depth > 0 && self.add_below(root, &path, role, depth - 1).is_err() {}
            } else if path.is_dir() || has_ending(&path, role) {
                self.push(LibraryFile::new(root, path, role));
            }
        }
        Ok(())
    }
}

/// Whether a file's name ends like a model's.
fn has_ending(path: &Path, role: Role) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is = |known: &&str| ending.is_some_and(|ending| ending.eq_ignore_ascii_case(known));
    ENDINGS.iter().any(is) || role != Role::Any && ENDINGS_OF_NAMED_FOLDERS.iter().any(is)
}
