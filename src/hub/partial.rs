//! A file on its way: what has come of it, which file that is of, and its checksum so far.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Added to the name of a file that is not whole.
const PART: &str = ".part";
/// Added to the name of the file that says what a part is of.
const TAG: &str = ".part.json";
/// The longest that this file may be.
const MAX_TAG_BYTES: u64 = 1 << 16;
/// How much is read at once to bring the checksum up to date.
const CHUNK_BYTES: usize = 1 << 20;

/// What tells one version of a file on a server from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tag {
    /// The checksum that the hub tells.
    pub(super) sha256: Option<String>,
    /// The entity tag of whoever hands out the bytes.
    pub(super) etag: Option<String>,
}

impl Tag {
    /// The entity tag to ask by for the rest of the same bytes (RFC 9110 §13.1.5: no weak ones).
    pub(super) fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| etag.starts_with('"'))
    }

    /// Whether the rest of a file can be told from the rest of another at all.
    fn identifies(&self) -> bool {
        self.sha256.is_some() || self.strong_etag().is_some()
    }
}

/// What has come of a file. The part stays on disk when this is dropped, for another time.
#[derive(Debug)]
pub(super) struct Partial {
    target: PathBuf,
    path: PathBuf,
    file: File,
    tag: Tag,
    bytes: u64,
    checksum: Sha256,
}

impl Partial {
    /// Takes up what an earlier download left, or begins anew.
    ///
    /// # Errors
    /// [`Error::Io`] if the part cannot be written, [`Error::BadFile`] if another download of it
    /// is under way.
    pub(super) fn open(target: &Path) -> Result<Self> {
        let path = beside(target, PART);
        let io = |error| Error::io(&path, error);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        }
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .clone();
        let file = options.clone().truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = "is being downloaded by another program; wait for that one";
                return Err(Error::bad_file(target, reason));
            }
            // Some network drives have no locks; there two downloads are the user's to avoid.
            Err(TryLockError::Error(_)) => {}
        }
        if target.exists() {
            // The part that was opened may be what another program just made the file of.
            let reason = "was finished by another program meanwhile; ask again";
            return Err(Error::bad_file(target, reason));
        }
        let mut partial = Self {
            tag: read_tag(&beside(target, TAG)),
            target: target.to_owned(),
            path,
            file,
            bytes: 0,
            checksum: Sha256::new(),
        };
        if partial.tag.identifies() {
            partial.take_up()?;
        } else {
            partial.restart(Tag::default())?;
        }
        Ok(partial)
    }

    /// Where the part lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How much has come.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Which version that is of.
    pub(super) fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Reads what is there, for the checksum.
    fn take_up(&mut self) -> Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = self.file.read(&mut chunk).map_err(|error| self.io(error))?;
            if count == 0 {
                return Ok(());
            }
            self.checksum.update(&chunk[..count]);
            self.bytes += count as u64;
        }
    }

    /// Forgets what has come, and begins the version of `tag`.
    pub(super) fn restart(&mut self, tag: Tag) -> Result<()> {
        // In this order: bytes are never taken for those of another tag.
        self.file.set_len(0).map_err(|error| self.io(error))?;
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(|error| self.io(error))?;
        self.bytes = 0;
        self.checksum = Sha256::new();
        let path = beside(&self.target, TAG);
        let io = |error| Error::io(&path, error);
        let text = serde_json::to_vec(&tag).map_err(|error| io(error.into()))?;
        std::fs::write(&path, text).map_err(io)?;
        self.tag = tag;
        Ok(())
    }

    /// Adds what comes next.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.io(error))?;
        self.checksum.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// The checksum of what has come, in small hexadecimal digits.
    pub(super) fn sha256(&self) -> String {
        let digest = self.checksum.clone().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Makes the part the file, at once and only when all of it is on disk.
    pub(super) fn finish(self) -> Result<()> {
        self.file.sync_all().map_err(|error| self.io(error))?;
        let Self {
            target, path, file, ..
        } = self;
        drop(file); // Windows renames no open file.
        std::fs::rename(&path, &target).map_err(|error| Error::io(&target, error))?;
        remove_if_there(&beside(&target, TAG))
    }

    /// Removes the part, which is of no use.
    pub(super) fn discard(self) -> Result<()> {
        let Self {
            target, path, file, ..
        } = self;
        drop(file);
        remove_if_there(&path)?;
        remove_if_there(&beside(&target, TAG))
    }

    fn io(&self, error: std::io::Error) -> Error {
        Error::io(&self.path, error)
    }
}

/// The checksum of a file, in small hexadecimal digits.
///
/// # Errors
/// [`Error::Io`] if it cannot be read.
pub(super) fn sha256_of(path: &Path) -> Result<String> {
    let io = |error| Error::io(path, error);
    let mut file = File::open(path).map_err(io)?;
    let mut checksum = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk).map_err(io)? {
            0 => break,
            count => checksum.update(&chunk[..count]),
        }
    }
    let digest = checksum.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A file beside another, with something added to its name.
fn beside(target: &Path, added: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(added);
    name.into()
}

/// What a part is of; nothing known where that cannot be read.
fn read_tag(path: &Path) -> Tag {
    let text = crate::weights::read_text(path, MAX_TAG_BYTES);
    let text = text.unwrap_or_default().unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}
