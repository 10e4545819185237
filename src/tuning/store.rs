//! What was found out about kernels, kept between runs: a file for each adapter in the cache folder.

use crate::error::{Error, Result};
use crate::gpu::{AdapterInfo, cache_folder, fingerprint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

/// A longer file is none of ours.
const MAX_BYTES: u64 = 1 << 20;

/// What a finding holds for: an adapter, its driver, and the kernels of one build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoundOn {
    /// The adapter's name.
    pub adapter: String,
    /// The driver and its version.
    pub driver: String,
    /// The version of aquatint, and a number that changes with its kernels.
    pub kernels: String,
}

impl FoundOn {
    pub(super) fn now(info: &AdapterInfo) -> Self {
        Self {
            adapter: info.name.clone(),
            driver: info.driver.clone(),
            kernels: format!("{} {:016x}", env!("CARGO_PKG_VERSION"), fingerprint()),
        }
    }

    /// What is different now, if anything is.
    fn change(&self, now: &Self) -> Option<String> {
        let parts = [
            ("adapter", &self.adapter, &now.adapter),
            ("driver", &self.driver, &now.driver),
            ("aquatint", &self.kernels, &now.kernels),
        ];
        let changed = parts.into_iter().find(|(_, then, now)| then != now);
        changed.map(|(what, then, now)| format!("it is for {what} {then}, and this is {now}"))
    }
}

/// A finding with what it holds for.
pub(super) trait Finding: Serialize + DeserializeOwned {
    /// The end of the file's name.
    const NAME: &'static str;

    /// What it holds for.
    fn found_on(&self) -> &FoundOn;
}

/// Where findings are.
#[derive(Clone, Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    /// The cache folder; `None` where there is no home.
    pub(super) fn open() -> Option<Self> {
        cache_folder().map(Self::in_folder)
    }

    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// `vulkan-nvidia-geforce-rtx-3090.tuning.json`
    pub(super) fn file<F: Finding>(&self, info: &AdapterInfo) -> PathBuf {
        let name = format!("{} {}", info.backend, info.name).to_lowercase();
        let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        self.folder
            .join(format!("{}.{}.json", parts.join("-"), F::NAME))
    }

    /// What was found, if it holds still; else why it does not.
    pub(super) fn read<F: Finding>(
        &self,
        info: &AdapterInfo,
    ) -> std::result::Result<Option<F>, String> {
        let file = self.file::<F>(info);
        let ignored = |why: String| format!("{} is ignored: {why}", file.display());
        let text = match std::fs::File::open(&file).and_then(read_small) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ignored(error.to_string())),
        };
        let found: F = serde_json::from_str(&text).map_err(|error| ignored(error.to_string()))?;
        match found.found_on().change(&FoundOn::now(info)) {
            None => Ok(Some(found)),
            Some(change) => Err(ignored(change)),
        }
    }

    /// Keeps a finding in the place of an older one.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub(super) fn write<F: Finding>(&self, info: &AdapterInfo, found: &F) -> Result<PathBuf> {
        let path = self.file::<F>(info);
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            serde_json::to_writer_pretty(&mut file, found)?;
            file.persist(&path)?;
            Ok(())
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// Removes a finding; whether there was one.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub(super) fn remove<F: Finding>(&self, info: &AdapterInfo) -> Result<bool> {
        let path = self.file::<F>(info);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::Io { path, source }),
        }
    }
}

/// The text of a file, as far as a finding is long.
pub(super) fn read_small(file: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
