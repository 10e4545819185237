//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Opens a plain file of a kind for reading; a folder, pipe or device is refused before it can block.
pub(super) fn open(path: &Path, kind: &str) -> Result<BufReader<File>> {
    let metadata = fs::metadata(path).map_err(|source| Error::io(path, source))?;
    if !metadata.is_file() {
        return Err(Error::bad_file(
            path,
            format!("expected a {kind}, found something that is no plain file"),
        ));
    }
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    Ok(BufReader::new(file))
}

/// Writes a file that must not exist yet.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let finished = write_beside(path, bytes)?;
    let failure = match finished.persist_noclobber(path) {
        Ok(_) => return Ok(()),
        Err(failure) => failure,
    };
    if failure.error.kind() == io::ErrorKind::AlreadyExists {
        return Err(Error::io(path, failure.error));
    }
    // File systems without hard links and exclusive renames (FAT, some network mounts): the name
    // is taken by an empty file of ours first, which the finished one then replaces.
    File::create_new(path).map_err(|source| Error::io(path, source))?;
    replace(failure.file, path).inspect_err(|_| {
        // The empty file is all that is left to undo, and the first failure is the one to tell.
        drop(fs::remove_file(path));
    })
}

/// Writes a file, in the place of one of that name.
pub(super) fn write_over(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(write_beside(path, bytes)?, path)
}

fn replace(finished: NamedTempFile, path: &Path) -> Result<()> {
    match finished.persist(path) {
        Ok(_) => Ok(()),
        Err(failure) => Err(Error::io(path, failure.error)),
    }
}

/// A temporary file in the same folder that holds all the bytes, and goes when dropped.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".aquatint-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any program's output: the umask takes away what the user does not want to give.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder
        .tempfile_in(folder)
        .map_err(|source| Error::io(path, source))?;
    temporary
        .write_all(bytes)
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(|source| Error::io(path, source))?;
    Ok(temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        write_new(&path, b"first").unwrap();
        let failure = write_new(&path, b"second").unwrap_err();
        assert!(matches!(
            failure,
            Error::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists
        ));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write_over(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
    }

    #[test]
    fn nothing_else_is_left_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        write_new(&path, b"first").unwrap();
        write_new(&path, b"second").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let failure = write_new(Path::new("/no/such/folder/picture.png"), b"").unwrap_err();
        assert!(
            failure
                .to_string()
                .starts_with("/no/such/folder/picture.png: ")
        );
    }
}
