//! Which model a name means.

use super::layout::Role;
use super::walk::{self, ENDINGS};
use super::{Library, LibraryFile};
use crate::error::{Error, Result, quoted};
use crate::nearest::edit_distance;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// How many names a hint lists.
const SHOWN_NAMES: usize = 3;
/// How much of an unknown name is compared and shown.
const LONGEST_NAME: usize = 120;

/// A name is near if no more than one character of this many is another.
const CHARS_PER_SLIP: usize = 3;

/// What a file is looked for as.
#[derive(Clone, Copy)]
enum Use {
    /// A model, or the UNet of one that other files complete.
    Model,
    /// Something to take a part of a model from.
    Part,
    /// A network that enlarges pictures.
    Upscaler,
}

impl Use {
    /// How well the files of a folder suit, the best first; `None` if not at all.
    fn rank(self, role: Role) -> Option<usize> {
        match (self, role) {
            (Self::Model, Role::Any | Role::Checkpoints | Role::Unets) => Some(0),
            (Self::Part, Role::Unets | Role::Vaes | Role::TextEncoders) => Some(0),
            (Self::Part, Role::Any | Role::Checkpoints) => Some(1),
            (Self::Upscaler, Role::Upscalers) => Some(0),
            (Self::Upscaler, Role::Any) => Some(1),
            _ => None,
        }
    }

    /// Whether a folder here is one, whatever its name means elsewhere.
    fn is_folder(self, folder: &Path) -> bool {
        let is_part = || folder.join("config.json").is_file();
        match self {
            Self::Model => walk::is_diffusers(folder),
            Self::Part => walk::is_diffusers(folder) || is_part(),
            Self::Upscaler => false,
        }
    }

    fn article(self) -> &'static str {
        match self {
            Self::Model => "a model",
            Self::Part => "a part of a model",
            Self::Upscaler => "an upscaler",
        }
    }
}

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
        self.find_for(Use::Model, name)
    }

    /// The file of this name to take a part of a model from: of a folder for VAEs, UNets or text
    /// encoders, else a whole model.
    ///
    /// # Errors
    /// As [`Library::find`].
    pub fn find_part(&self, name: &str) -> Result<&Path> {
        self.find_for(Use::Part, name)
    }

    /// The file of the one network of that name that enlarges pictures.
    ///
    /// # Errors
    /// As [`Library::find`].
    pub fn find_upscaler(&self, name: &str) -> Result<&Path> {
        self.find_for(Use::Upscaler, name)
    }

    fn find_for(&self, wanted: Use, name: &str) -> Result<&Path> {
        let error = |reason| Error::NoSuchModel {
            name: name.to_owned(),
            reason,
        };
        let named = self.named(name);
        let best = named.iter().filter_map(|file| wanted.rank(file.role)).min();
        let Some(best) = best else {
            return Err(error(match named.first() {
                None => self.unknown(wanted, name),
                Some(other) => format!(
                    "{} is {}, not {}: {}; give the name of one",
                    shown(name),
                    other.role.article(),
                    wanted.article(),
                    other.path.display()
                ),
            }));
        };
        let fitting = named
            .iter()
            .filter(|file| wanted.rank(file.role) == Some(best));
        let fitting: Vec<&Path> = fitting.map(|file| file.path.as_path()).collect();
        if let [one] = fitting.as_slice() {
            return Ok(one);
        }
        let paths: Vec<String> = fitting
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Err(error(format!(
            "several files are called {}; give the path of one: {}",
            shown(name),
            paths.join(" or ")
        )))
    }

    /// The path that a person means: a file or folder that is there, or the model of that name in
    /// the library of [`Library::open`].
    ///
    /// # Errors
    /// [`Error::Io`] if it looks like a path and nothing is there; else as [`Library::open`] and
    /// [`Library::find`].
    pub fn locate(typed: impl AsRef<Path>) -> Result<PathBuf> {
        Self::locate_for(Use::Model, typed.as_ref())
    }

    /// As [`Library::locate`], for a file to take a part of a model from.
    ///
    /// # Errors
    /// As [`Library::locate`].
    pub fn locate_part(typed: impl AsRef<Path>) -> Result<PathBuf> {
        Self::locate_for(Use::Part, typed.as_ref())
    }

    /// As [`Library::locate`], for a network that enlarges pictures: of a folder for such, or of one
    /// that may hold anything.
    ///
    /// # Errors
    /// As [`Library::locate`].
    pub fn locate_upscaler(typed: impl AsRef<Path>) -> Result<PathBuf> {
        Self::locate_for(Use::Upscaler, typed.as_ref())
    }

    fn locate_for(wanted: Use, typed: &Path) -> Result<PathBuf> {
        let looks_like_path = typed.components().count() > 1 || typed.has_root();
        let is_there = typed.symlink_metadata().is_ok(); // so are links in a circle
        if typed.is_file() || wanted.is_folder(typed) || is_there && looks_like_path {
            return Ok(typed.to_owned());
        }
        let library = Self::open()?;
        let name = typed.to_string_lossy();
        let error = match library.find_for(wanted, &name) {
            Ok(path) => return Ok(path.to_owned()),
            // Whoever opens it says what is wrong with it.
            Err(_) if is_there => return Ok(typed.to_owned()),
            Err(error) => error,
        };
        // A file's name alone may be a slip in a model's.
        let is_file_name = has_ending(&name) && library.near(wanted, &name).is_empty();
        if library.named(&name).is_empty() && (looks_like_path || is_file_name) {
            let missing = io::Error::new(io::ErrorKind::NotFound, "no such file or folder");
            return Err(Error::io(typed, missing));
        }
        Err(error)
    }

    /// Everything of a name.
    fn named(&self, name: &str) -> Vec<&LibraryFile> {
        let wanted = comparable(name);
        let files = self.files().iter();
        files.filter(|file| file.is_called(&wanted)).collect()
    }

    /// The files that may be used so.
    fn fitting(&self, wanted: Use) -> impl Iterator<Item = &LibraryFile> {
        let files = self.files().iter();
        files.filter(move |file| wanted.rank(file.role).is_some())
    }

    /// The known names near another, the nearest first, fit for a message.
    fn near(&self, wanted: Use, name: &str) -> Vec<String> {
        let key_of_name = key(name);
        let near = self.fitting(wanted).filter_map(|file| {
            let distance = distance(&key(&file.name), &key_of_name)?;
            Some((distance, shown(&file.name)))
        });
        let near: BTreeSet<(usize, String)> = near.collect();
        let names = near.into_iter().map(|(_, name)| name);
        names.take(SHOWN_NAMES).collect()
    }

    /// Why no model has this name.
    fn unknown(&self, wanted: Use, name: &str) -> String {
        if self.fitting(wanted).next().is_none() {
            return self.nothing_found();
        }
        let hint = match self.near(wanted, name).as_slice() {
            [] => String::new(),
            near => format!("; did you mean {}?", near.join(" or ")),
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
    let bare = match name.rsplit_once('.') {
        Some((bare, _)) if has_ending(name) => bare,
        _ => name,
    };
    let kept = bare.chars().filter(|c| c.is_alphanumeric());
    kept.take(LONGEST_NAME).collect()
}

/// Whether a name ends as models' files do.
fn has_ending(name: &str) -> bool {
    let ending = Path::new(name).extension();
    let is = |known: &&str| ending.is_some_and(|ending| ending.eq_ignore_ascii_case(known));
    ENDINGS.iter().any(is)
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
    quoted(name, LONGEST_NAME)
}
