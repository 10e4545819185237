//! Where models are looked for: `$AQUATINT_MODELS`, the platform's data folder, and folders that
//! the user has added.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The variable that lists folders of models, separated as in `PATH`.
pub(super) const VARIABLE: &str = "AQUATINT_MODELS";

/// The file of the configuration folder that holds the added folders.
const FILE: &str = "models.json";
/// The longest that this file may be.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A folder that models are looked for in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// The folder. It need not be there.
    pub path: PathBuf,
    /// Why it is looked through.
    pub origin: PlaceOrigin,
    /// Why nothing was found in it, where it could not be listed: a disk that is not plugged in.
    pub problem: Option<String>,
}

/// Why a folder is looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlaceOrigin {
    /// `$AQUATINT_MODELS` names it.
    Environment,
    /// It is the platform's folder for this program's data.
    Data,
    /// It was added with [`Library::add`](super::Library::add), or given by the program.
    Added,
}

impl Place {
    pub(super) fn new(path: impl Into<PathBuf>, origin: PlaceOrigin) -> Self {
        Self {
            path: path.into(),
            origin,
            problem: None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.origin {
            PlaceOrigin::Environment => write!(f, "{path} (${VARIABLE})"),
            PlaceOrigin::Data | PlaceOrigin::Added => write!(f, "{path}"),
        }
    }
}

/// Where this user's models and settings are.
#[derive(Debug)]
pub(super) struct Paths {
    /// The value of [`VARIABLE`].
    pub(super) variable: Option<std::ffi::OsString>,
    /// The folder for models in the platform's data folder.
    pub(super) data: Option<PathBuf>,
    /// The file with the added folders.
    pub(super) settings: Option<PathBuf>,
}

impl Paths {
    /// Those of the user that runs this process.
    pub(super) fn of_user() -> Self {
        let folders = directories::ProjectDirs::from("", "", "aquatint");
        Self {
            variable: std::env::var_os(VARIABLE),
            // Not the roaming one of Windows: models are large.
            data: folders
                .as_ref()
                .map(|folders| folders.data_local_dir().join("models")),
            settings: folders.map(|folders| folders.config_dir().join(FILE)),
        }
    }

    /// All places, in the order in which they are looked through.
    ///
    /// # Errors
    /// [`Error::BadFile`] if the settings are malformed, [`Error::Io`] if they cannot be read.
    pub(super) fn places(&self) -> Result<Vec<Place>> {
        let listed = |variable: &OsStr| {
            let paths = std::env::split_paths(variable).filter(|path| !path.as_os_str().is_empty());
            let places = paths.map(|path| Place::new(path, PlaceOrigin::Environment));
            places.collect::<Vec<_>>()
        };
        let mut places = self.variable.as_deref().map(listed).unwrap_or_default();
        places.extend(
            self.data
                .iter()
                .map(|path| Place::new(path, PlaceOrigin::Data)),
        );
        let added = self.added()?.into_iter();
        places.extend(added.map(|path| Place::new(path, PlaceOrigin::Added)));
        Ok(places)
    }

    /// Where new models go: the first place that is not another program's.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none.
    pub(super) fn download_folder(&self) -> Result<PathBuf> {
        let variable = self.variable.as_deref().unwrap_or_default();
        let mut listed =
            std::env::split_paths(variable).filter(|path| !path.as_os_str().is_empty());
        let folder = listed.next().or_else(|| self.data.clone());
        folder.ok_or_else(|| {
            let reason =
                format!("this system tells of no folder for data; name one in ${VARIABLE}");
            Error::Unsupported(reason)
        })
    }

    /// Remembers a folder; returns it as remembered, which does not depend on where one stands.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be listed, if its name is no text, or if the settings cannot be
    /// written; [`Error::BadFile`] if these are malformed.
    pub(super) fn add(&self, folder: &Path) -> Result<PathBuf> {
        let io = |error| Error::io(folder, error);
        let absolute = std::path::absolute(folder).map_err(io)?;
        // Whether it can be listed is better known now than later.
        std::fs::read_dir(&absolute).map_err(io)?;
        let mut added = self.added()?;
        if !added.iter().any(|one| is_same(one, &absolute)) {
            added.push(absolute.clone());
            self.write(&added)?;
        }
        Ok(absolute)
    }

    /// Forgets a folder, which may be gone; leaves what is in it.
    ///
    /// # Errors
    /// [`Error::Request`] with the added folders, if it is none of them; else as [`Paths::add`].
    pub(super) fn remove(&self, folder: &Path) -> Result<PathBuf> {
        let absolute = std::path::absolute(folder).map_err(|error| Error::io(folder, error))?;
        let added = self.added()?;
        let (gone, kept): (Vec<_>, Vec<_>) =
            added.into_iter().partition(|one| is_same(one, &absolute));
        if gone.is_empty() {
            let known: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
            let known = match known.as_slice() {
                [] => "there are none".to_owned(),
                known => format!("there are {}", known.join(", ")),
            };
            let reason = format!(
                "{} is no folder that was added; {known}",
                absolute.display()
            );
            return Err(Error::request("path", reason));
        }
        self.write(&kept)?;
        Ok(absolute)
    }

    /// The folders that were added, in that order.
    fn added(&self) -> Result<Vec<PathBuf>> {
        let Some(path) = &self.settings else {
            return Ok(Vec::new());
        };
        let Some(text) = crate::weights::read_text(path, MAX_FILE_BYTES)? else {
            return Ok(Vec::new());
        };
        let settings: Settings = serde_json::from_str(&text).map_err(|error| {
            let reason = format!(
                "is malformed ({error}); mend it, or delete it and add the folders of models again \
                 with `aquatint models add`"
            );
            Error::bad_file(path, reason)
        })?;
        Ok(settings.folders)
    }

    /// Writes the settings so that they are old or new, whatever happens.
    fn write(&self, folders: &[PathBuf]) -> Result<()> {
        let Some(path) = &self.settings else {
            let reason = format!(
                "this system tells of no folder for settings; list your folders in ${VARIABLE}"
            );
            return Err(Error::Unsupported(reason));
        };
        let io = |error| Error::io(path, error);
        let settings = Settings {
            folders: folders.to_owned(),
        };
        let text = serde_json::to_string_pretty(&settings)
            .map_err(|error| io(std::io::Error::new(ErrorKind::InvalidInput, error)))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(io)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        Ok(())
    }
}

/// Whether two paths are of one folder; of a folder that is gone by their letters alone.
fn is_same(one: &Path, other: &Path) -> bool {
    let same = |(one, other)| one == other;
    let found = one
        .canonicalize()
        .and_then(|one| Ok((one, other.canonicalize()?)));
    one == other || found.is_ok_and(same)
}

/// The content of [`FILE`].
#[derive(Serialize, Deserialize)]
struct Settings {
    /// Folders of models, absolute.
    folders: Vec<PathBuf>,
}
