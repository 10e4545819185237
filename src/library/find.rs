//! Which model a name means.

use super::walk::{self, ENDINGS};
use super::{Library, LibraryFile};
use crate::error::{Error, Result};
use crate::nearest::edit_distance;
use std::io;
use std::path::{Path, PathBuf};

/// How many names a hint lists.
const SHOWN_NAMES: usize = 3;
/// How much of an unknown name is compared and shown.
const LONGEST_NAME: usize = 120;

/// A name is near if no more than one character of this many is another.
const CHARS_PER_SLIP: usize = 3;

impl Library {
    /// The model of a name: a file's name with or without its ending, or a diffusers folder's;
    /// perhaps with folders in front, as in `sdxl/dreamshaper`. Capitals do not count.
    ///
    /// The name is looked up among those that were found, and never becomes part of a path.
    ///
    /// # Errors
    /// [`Error::NoSuchModel`] with the nearest names if there is none of that name, with the paths
    /// if there are several, and with the places if there are no models at all.
    pub fn find(&self, name: &str) -> Result<&Path> {
        let named = self.named(name);
        let models: Vec<_> = named
            .iter()
            .filter(|file| file.role.may_hold_models())
            .collect();
        let error = |reason| Error::NoSuchModel {
            name: name.to_owned(),
            reason,
        };
        match (models.as_slice(), named.as_slice()) {
            ([model], _) => Ok(&model.path),
            ([], []) => Err(error(self.unknown(name))),
            ([], [other, ..]) => Err(error(format!(
                "{} is {}, not a model: {}; give a model's name",
                shown(name),
                other.role.article(),
                other.path.display()
            ))),
            (models, _) => {
                let paths: Vec<_> = models
                    .iter()
                    .map(|file| file.path.display().to_string())
                    .collect();
                Err(error(format!(
                    "several models are called {}; give the path of one: {}",
                    shown(name),
                    paths.join(" or ")
                )))
            }
        }
    }

    /// The path that a person means: a file or folder that is there, or the model of that name in
    /// the library of [`Library::open`].
    ///
    /// # Errors
    /// [`Error::Io`] if it looks like a path and nothing is there; else as [`Library::open`] and
    /// [`Library::find`].
    pub fn locate(typed: impl AsRef<Path>) -> Result<PathBuf> {
        let typed = typed.as_ref();
        let looks_like_path = typed.components().count() > 1 || typed.has_root();
        let is_there = typed.symlink_metadata().is_ok(); // so are links in a circle
        if typed.is_file() || walk::is_diffusers(typed) || is_there && looks_like_path {
            return Ok(typed.to_owned());
        }
        let library = Self::open()?;
        let name = typed.to_string_lossy();
        match library.find(&name) {
            Ok(path) => Ok(path.to_owned()),
            // Whoever opens it says what is wrong with it.
            Err(_) if is_there => Ok(typed.to_owned()),
            Err(_) if looks_like_path && library.named(&name).is_empty() => {
                let missing = io::Error::new(io::ErrorKind::NotFound, "no such file or folder");
                Err(Error::io(typed, missing))
            }
            Err(error) => Err(error),
        }
    }

    /// Everything of a name.
    fn named(&self, name: &str) -> Vec<&LibraryFile> {
        let wanted = comparable(name);
        let files = self.files().iter();
        files.filter(|file| file.is_called(&wanted)).collect()
    }

    /// Why no model has this name.
    fn unknown(&self, name: &str) -> String {
        let models = self.files().iter();
        let models = models.filter(|file| file.role.may_hold_models());
        let mut known: Vec<&str> = models.map(|file| file.name.as_str()).collect();
        if known.is_empty() {
            return self.nothing_found();
        }
        known.sort_unstable();
        known.dedup();
        let wanted = key(name);
        let near = known.iter();
        let near = near.filter_map(|known| Some((distance(&key(known), &wanted)?, shown(known))));
        let mut near: Vec<(usize, String)> = near.collect();
        near.sort();
        let meant: Vec<String> = near.into_iter().map(|(_, name)| name).collect();
        let hint = match &meant[..meant.len().min(SHOWN_NAMES)] {
            [] => String::new(),
            meant => format!("; did you mean {}?", meant.join(" or ")),
        };
        format!(
            "unknown model {}{hint}; `aquatint models` lists what there is",
            shown(name)
        )
    }

    /// That there are no models, where was looked, and what to do.
    pub fn nothing_found(&self) -> String {
        let places: Vec<String> = self.places().iter().map(ToString::to_string).collect();
        format!(
            "no models found; looked in {}; put a .safetensors file there, or tell of a folder that \
             has some with `aquatint models add PATH`",
            places.join(", ")
        )
    }
}

impl LibraryFile {
    /// Whether this is a name of it, as [`comparable`] makes one.
    fn is_called(&self, wanted: &str) -> bool {
        let inside = self.path.strip_prefix(&self.folder).unwrap_or(&self.path);
        let inside = comparable(&inside.to_string_lossy());
        let folder = inside.rfind('/').map_or("", |end| &inside[..=end]);
        let name = comparable(&self.name);
        [name.as_str(), &inside[folder.len()..], &inside].contains(&wanted)
            || wanted.strip_prefix(folder) == Some(&name)
    }
}

/// A name as names are compared: in small letters, with slashes between folders.
fn comparable(name: &str) -> String {
    name.to_lowercase().replace('\\', "/")
}

/// What people remember of a name: its letters and digits, without folders and ending.
fn key(name: &str) -> String {
    let name = comparable(name);
    let name = name.rsplit('/').next().unwrap_or_default();
    let bare = name
        .rsplit_once('.')
        .filter(|(_, ending)| ENDINGS.contains(ending))
        .map_or(name, |(bare, _)| bare);
    let kept = bare.chars().filter(|c| c.is_alphanumeric());
    kept.take(LONGEST_NAME).collect()
}

/// How far a known name is from the wanted one; `None` if nobody would take one for the other.
fn distance(known: &str, wanted: &str) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    if known.contains(wanted) {
        return Some(0);
    }
    let slips = edit_distance(known, wanted);
    let length = known.chars().count().max(wanted.chars().count());
    (slips * CHARS_PER_SLIP <= length).then_some(slips)
}

/// A name from a person or a file, fit for a message.
fn shown(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{:?}…", &name[..end]),
        None => format!("{name:?}"),
    }
}
