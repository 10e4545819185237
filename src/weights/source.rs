//! The bytes of one model file: mapped from disk, or part of the program.

use crate::error::{Error, Result};
use memmap2::Mmap;
use std::fs::{File, Metadata};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Advice on pages is given in multiples of this, the largest page size in common use.
#[cfg(unix)]
const PAGE_BYTES: usize = 64 << 10;

/// One open model file.
///
/// A mapped file is read by the page fault, so a file that *shrinks* while it is mapped would end
/// the process with SIGBUS. No portable call prevents that. [`Source::read`] compares the length
/// right before it hands bytes out, which leaves only a race of microseconds against a program
/// that truncates a model in place; programs that replace a file by renaming are no danger.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    identity: Arc<str>,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Static(&'static [u8]),
    Mapped { map: Mmap, file: File },
}

impl Source {
    /// Maps a regular file; anything that could block or never end is refused unread.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |error| Error::io(path, error);
        // Before opening: to open a FIFO for reading waits for a writer.
        let metadata = std::fs::metadata(path).map_err(io)?;
        if !metadata.is_file() {
            return Err(Error::bad_file(
                path,
                "is a device, pipe or socket, not a regular file; give a .safetensors file",
            ));
        }
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.len() == 0 {
            // An empty mapping is an error on most systems; the header check has the words for it.
            return Ok(Self::of_static(path, &[]));
        }
        // SAFETY: the mapping is read-only and never leaves this struct but as slices. A change of the file's
        // content by another program changes weights, not memory safety, since every byte is
        // read as plain data; a change of its length is described above.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        #[cfg(unix)]
        if map.advise(memmap2::Advice::Sequential).is_err() {
            // Advice only: a kernel that declines it reads as well, if later.
        }
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path, &metadata),
            bytes: Bytes::Mapped { map, file },
        })
    }

    /// Bytes that are part of the program, under a name for messages.
    pub(super) fn of_static(path: impl Into<PathBuf>, bytes: &'static [u8]) -> Self {
        Self {
            path: path.into(),
            // These bytes are at their place as long as the process lives.
            identity: format!("{:p} {}", bytes.as_ptr(), bytes.len()).into(),
            bytes: Bytes::Static(bytes),
        }
    }

    /// What tells this file from all others, and from itself after a change.
    pub(super) fn identity(&self) -> &Arc<str> {
        &self.identity
    }

    /// The file, or the name given to static bytes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file. Only for the header, right after opening; later through [`Source::read`].
    pub(super) fn all(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Static(bytes) => bytes,
            Bytes::Mapped { map, .. } => map,
        }
    }

    /// Some of the file's bytes, after a look whether the file still has them.
    pub(super) fn read(&self, range: Range<usize>) -> Result<&[u8]> {
        if let Bytes::Mapped { map, file } = &self.bytes {
            let length = file
                .metadata()
                .map_err(|error| Error::io(&self.path, error))?
                .len();
            let mapped = map.len();
            if usize::try_from(length).is_ok_and(|length| length < mapped) {
                return Err(self.bad(format!(
                    "shrank from {mapped} to {length} bytes while it was open; \
                     leave the file alone while it is loaded, and load it again"
                )));
            }
        }
        self.all()
            .get(range.clone())
            .ok_or_else(|| self.bad(format!("has no bytes {range:?}; load it again")))
    }

    /// Lets the system fetch the pages that `range` touches, without waiting for them. By itself it
    /// fetches some 100 KB at a time, and the disk rests while they are used up.
    #[cfg(unix)]
    pub(super) fn read_ahead(&self, range: Range<usize>) {
        let Bytes::Mapped { map, .. } = &self.bytes else {
            return;
        };
        let end = range.end.min(map.len());
        let start = range.start.min(end);
        let advised = map.advise_range(memmap2::Advice::WillNeed, start, end - start);
        if advised.is_err() {
            // Advice only: the pages then come when they are read.
        }
    }

    /// Lets the system fetch pages, where there is a call for it: not here.
    #[cfg(not(unix))]
    pub(super) fn read_ahead(&self, _range: Range<usize>) {}

    /// Lets the system take back the pages that `range` touches; they can be read again.
    ///
    /// Neighbours share the first and the last page, and read them again: left alone, two pages for
    /// each of a thousand tensors would stay.
    #[cfg(unix)]
    pub(super) fn drop_behind(&self, range: Range<usize>) {
        let Bytes::Mapped { map, .. } = &self.bytes else {
            return;
        };
        let start = range.start / PAGE_BYTES * PAGE_BYTES;
        let end = range.end.next_multiple_of(PAGE_BYTES).min(map.len());
        if start >= end {
            return;
        }
        // SAFETY: the mapping is shared, read-only and backed by a file, so a dropped page is read
        // from the file again at the next access; slices handed out stay valid.
        let advised = unsafe {
            map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start)
        };
        if advised.is_err() {
            // Advice only: the pages then stay until the system needs them.
        }
    }

    /// Lets the system take back pages, where there is a call for it: not here.
    #[cfg(not(unix))]
    pub(super) fn drop_behind(&self, _range: Range<usize>) {}

    /// A complaint about this file.
    pub(super) fn bad(&self, reason: impl Into<String>) -> Error {
        Error::bad_file(&self.path, reason)
    }
}

/// A file's place in the system, its length and the time of its last change.
fn identity(path: &Path, metadata: &Metadata) -> Arc<str> {
    let (length, modified) = (metadata.len(), metadata.modified().ok());
    format!("{} {length} {modified:?}", place(path, metadata)).into()
}

/// The number that the system gives a file, which a file renamed into its place does not have.
#[cfg(unix)]
fn place(_path: &Path, metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{}:{}", metadata.dev(), metadata.ino())
}

/// The file's path from the root.
#[cfg(not(unix))]
fn place(path: &Path, _metadata: &Metadata) -> String {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_itself_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        std::fs::write(&one, "abc").unwrap();
        std::fs::copy(&one, &other).unwrap();
        let identity = |path: &Path| Source::open(path).unwrap().identity().clone();
        let before = identity(&one);
        assert_eq!(before, identity(&one));
        assert_ne!(before, identity(&other));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        let file = File::options().write(true).open(&one).unwrap();
        file.set_modified(later).unwrap();
        assert_ne!(before, identity(&one));
    }

    #[test]
    fn a_file_that_shrinks_while_open_is_refused_before_it_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(300_000).unwrap();
        let source = Source::open(file.path()).unwrap();
        assert_eq!(source.read(0..300_000).unwrap().len(), 300_000);
        file.as_file().set_len(100).unwrap();
        let error = source.read(0..10).unwrap_err().to_string();
        assert!(error.contains("shrank from 300000 to 100 bytes"), "{error}");
    }

    #[test]
    fn pages_asked_for_and_dropped_read_the_same_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let content: Vec<u8> = (0..=250).cycle().take(500_001).collect();
        std::fs::write(file.path(), &content).unwrap();
        let source = Source::open(file.path()).unwrap();
        for range in [
            0..500_001,
            7..499_999,
            70_000..70_001,
            65_536..131_072,
            5..5,
        ] {
            source.read_ahead(range.clone());
            assert_eq!(source.read(range.clone()).unwrap(), &content[range.clone()]);
            source.drop_behind(range.clone());
            assert_eq!(source.read(range.clone()).unwrap(), &content[range]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_pipes_and_directories_are_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.safetensors");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "mkfifo is part of every Linux"
        );
        for path in [
            Path::new("/dev/zero"),
            Path::new("/dev/null"),
            &pipe,
            folder.path(),
        ] {
            let error = Source::open(path).unwrap_err().to_string();
            assert!(error.contains("not a regular file"), "{error}");
        }
    }
}
