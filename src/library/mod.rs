//! The models on this machine: where they lie, what each is, and which one a name means.
//!
//! Finding reads names of files only, describing reads headers only; no weights are read. Trees of
//! other programs are read in place.

mod describe;
mod find;
mod layout;
mod places;
mod walk;

pub use describe::{LibraryModel, ModelKind};
pub use places::{Place, PlaceOrigin};

use crate::error::Result;
use layout::Role;
use places::Paths;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::path::{Path, PathBuf};
use walk::Walk;

/// The models on this machine, as they were when it was opened.
///
/// ```no_run
/// use aquatint::{Library, Model};
///
/// fn main() -> aquatint::Result<()> {
///     let library = Library::open()?;
///     for model in library.models() {
///         println!("{} {}", model.name, model.family.unwrap_or("-"));
///     }
///     let model = Model::open(library.find("dreamshaper_8")?)?;
///     println!("{}", model.name());
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Library {
    places: Vec<Place>,
    files: Vec<LibraryFile>,
}

/// A file or folder that may be a model: what is known of it without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryFile {
    /// The file's name without its ending, or the folder's name: what [`Library::find`] takes.
    pub name: String,
    /// The file or folder.
    pub path: PathBuf,
    /// The place that it was found in, or the folder of a program's tree.
    pub folder: PathBuf,
    role: Role,
}

impl LibraryFile {
    fn new(folder: &Path, path: PathBuf, role: Role) -> Self {
        // A folder's name may have dots in it that begin no ending.
        let name = match path.is_dir() {
            true => path.file_name(),
            false => path.file_stem(),
        };
        Self {
            name: name.unwrap_or_default().to_string_lossy().into_owned(),
            folder: folder.to_owned(),
            path,
            role,
        }
    }
}

impl Library {
    /// Looks through all places of this user: the folders in `$AQUATINT_MODELS`, the folder for
    /// models in the platform's data folder, and those given to [`Library::add`].
    ///
    /// A place that cannot be listed is no failure: [`Library::places`] says so.
    ///
    /// # Errors
    /// [`Error::BadFile`](crate::Error::BadFile) if the list of added folders is malformed,
    /// [`Error::Io`](crate::Error::Io) if it cannot be read.
    pub fn open() -> Result<Self> {
        Ok(Self::of_places(Paths::of_user().places()?))
    }

    /// Looks through these folders only: plain ones, or trees of A1111, Forge or ComfyUI.
    pub fn of_folders<P: AsRef<Path>>(folders: impl IntoIterator<Item = P>) -> Self {
        let place = |folder: P| Place::new(folder.as_ref(), PlaceOrigin::Added);
        Self::of_places(folders.into_iter().map(place).collect())
    }

    fn of_places(mut places: Vec<Place>) -> Self {
        let mut walk = Walk::default();
        for place in &mut places {
            match add_place(&mut walk, &place.path) {
                Ok(()) => {}
                // The platform's folder comes with the first model in it.
                Err(error)
                    if place.origin == PlaceOrigin::Data
                        && error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => place.problem = Some(error.to_string()),
            }
        }
        Self {
            places,
            files: walk.files,
        }
    }

    /// Remembers a folder for [`Library::open`]: a plain one, or a tree of A1111, Forge or ComfyUI.
    /// It is read in place. Returns its absolute path.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if it cannot be listed or the list cannot be written,
    /// [`Error::BadFile`](crate::Error::BadFile) if the list is malformed.
    pub fn add(folder: impl AsRef<Path>) -> Result<PathBuf> {
        Paths::of_user().add(folder.as_ref())
    }

    /// Forgets a folder that [`Library::add`] remembers, and leaves what is in it.
    ///
    /// # Errors
    /// [`Error::Request`](crate::Error::Request) if it is none of those; else as [`Library::add`].
    pub fn remove(folder: impl AsRef<Path>) -> Result<PathBuf> {
        Paths::of_user().remove(folder.as_ref())
    }

    /// The folder for new models: the first of `$AQUATINT_MODELS`, else the platform's.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if this system tells of neither.
    pub fn download_folder() -> Result<PathBuf> {
        Paths::of_user().download_folder()
    }

    /// Where was looked, in that order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// All that may be a model, unread, in the order of the places and sorted by path in each.
    pub fn files(&self) -> &[LibraryFile] {
        &self.files
    }

    /// What each file is. Reads the headers, of several files at once; a broken file has its reason
    /// in [`LibraryModel::problem`]. In the order of [`Library::files`].
    pub fn models(&self) -> Vec<LibraryModel> {
        self.files.par_iter().map(LibraryModel::read).collect()
    }
}

/// Adds all models of a place.
fn add_place(walk: &mut Walk, place: &Path) -> std::io::Result<()> {
    if walk::is_diffusers(place) {
        let folder = place.parent().unwrap_or(place);
        let file = LibraryFile::new(folder, place.to_owned(), Role::Checkpoints);
        walk.push(file);
        return Ok(());
    }
    for folder in layout::folders(place)? {
        walk.add(&folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
