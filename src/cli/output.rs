//! Where pictures go: the pattern of `-o`, and names that never meet a file that is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aquatint::{Error, Image};

use super::failure::{Failure, Outcome};

/// The file extensions of pictures that are not written here.
const OTHER_FORMATS: [&str; 9] = [
    "avif", "bmp", "gif", "heic", "jpeg", "jpg", "tif", "tiff", "webp",
];

/// The pattern of `-o`: a folder, and a file name with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    folder: PathBuf,
    /// The file's name without its extension.
    stem: Vec<Piece>,
    /// `.png`, as it was typed.
    extension: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Seed,
    Index,
    Model,
    Width,
    Height,
}

impl Piece {
    /// Every placeholder, by its name between the braces.
    const PLACEHOLDERS: [(&str, Self); 5] = [
        ("seed", Self::Seed),
        ("index", Self::Index),
        ("model", Self::Model),
        ("width", Self::Width),
        ("height", Self::Height),
    ];
}

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// The picture's own seed.
    pub(super) seed: u64,
    /// The picture's place in the batch, from 0.
    pub(super) index: usize,
    /// The model's name.
    pub(super) model: &'a str,
    /// The width in pixels.
    pub(super) width: usize,
    /// The height in pixels.
    pub(super) height: usize,
}

impl Pattern {
    /// The pattern where none is given.
    pub(super) const DEFAULT: &str = "aquatint-{seed}.png";

    /// Reads a pattern; a folder stands for the default name in it.
    ///
    /// Fails on a placeholder that is unknown or in the folder's name, and on the extension of
    /// another picture format.
    pub(super) fn parse(typed: &str) -> Result<Self, String> {
        if typed == "-" {
            return Err("pictures are written to files; give the name of one".to_owned());
        }
        let path = Path::new(typed);
        let ends_in_separator = typed.ends_with(std::path::is_separator);
        if ends_in_separator || path.is_dir() {
            return Self::in_folder(path, Self::DEFAULT);
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or("must end in a file name, as in pictures/cat.png")?;
        Self::in_folder(path.parent().unwrap_or(Path::new("")), name)
    }

    /// A file of that name, to which `.png` is added, in the folder at hand.
    pub(super) fn of_name(stem: &str) -> Self {
        Self {
            folder: PathBuf::new(),
            stem: vec![Piece::Text(stem.to_owned())],
            extension: ".png".to_owned(),
        }
    }

    /// The same with an ending before the extension: for a picture that goes with others.
    pub(super) fn with_ending(&self, ending: &str) -> Self {
        let mut pattern = self.clone();
        pattern.stem.push(Piece::Text(ending.to_owned()));
        pattern
    }

    fn in_folder(folder: &Path, name: &str) -> Result<Self, String> {
        let folder_text = folder.to_string_lossy();
        if Piece::PLACEHOLDERS
            .iter()
            .any(|(known, _)| folder_text.contains(&format!("{{{known}}}")))
        {
            return Err("placeholders go into the file's name, not the folder's".to_owned());
        }
        let (stem, extension) = match name.rsplit_once('.') {
            Some((stem, end)) if end.eq_ignore_ascii_case("png") && !stem.is_empty() => {
                (stem, format!(".{end}"))
            }
            Some((_, end)) if OTHER_FORMATS.contains(&end.to_ascii_lowercase().as_str()) => {
                return Err(format!("pictures are written as .png, not .{end}"));
            }
            _ => (name, ".png".to_owned()),
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            stem: pieces(stem)?,
            extension,
        })
    }

    /// Makes sure that pictures can be written, before the time for them is spent.
    pub(super) fn check(&self) -> Outcome {
        check_writable("output", &self.folder)
    }

    /// The path for one picture; from the second attempt on with a number before the extension.
    fn path(&self, facts: &Facts<'_>, attempt: usize) -> PathBuf {
        let stem: String = self.stem.iter().map(|piece| piece.fill(facts)).collect();
        let number = if attempt == 0 {
            String::new()
        } else {
            format!("-{attempt}")
        };
        self.folder
            .join(format!("{stem}{number}{}", self.extension))
    }

    /// Writes a picture under the first name that is free, and returns that name.
    pub(super) fn save_new(&self, image: &Image, facts: &Facts<'_>) -> Outcome<PathBuf> {
        let mut attempt = 0;
        loop {
            let path = self.path(facts, attempt);
            attempt += 1;
            if path.exists() {
                continue;
            }
            match image.save(&path) {
                Ok(()) => return Ok(path),
                // Somebody else was faster, or a dangling link is there.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Writes a picture to a new file; or in the place of any but those that are `taken`, where files may
    /// be replaced.
    pub(super) fn save(
        &self,
        image: &Image,
        facts: &Facts<'_>,
        taken: Option<&[PathBuf]>,
    ) -> Outcome<PathBuf> {
        match taken {
            Some(taken) => self.save_over(image, facts, taken),
            None => self.save_new(image, facts),
        }
    }

    /// Writes a picture in the place of any file but those of `taken`, and returns its name.
    fn save_over(&self, image: &Image, facts: &Facts<'_>, taken: &[PathBuf]) -> Outcome<PathBuf> {
        let mut attempt = 0;
        while taken.contains(&self.path(facts, attempt)) {
            attempt += 1;
        }
        let path = self.path(facts, attempt);
        image.save_over(&path)?;
        Ok(path)
    }
}

impl Piece {
    fn fill(&self, facts: &Facts<'_>) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Seed => facts.seed.to_string(),
            Self::Index => facts.index.to_string(),
            Self::Model => file_name_of(facts.model),
            Self::Width => facts.width.to_string(),
            Self::Height => facts.height.to_string(),
        }
    }
}

/// Makes sure that a file of `--trace` can be written without harm.
pub(super) fn check_trace(path: &Path, overwrite: bool) -> Outcome {
    if path
        .extension()
        .is_none_or(|extension| extension != "safetensors")
    {
        let reason = format!("trace: {} must end in .safetensors", path.display());
        return Err(Failure::Usage(reason));
    }
    check_folder("trace", path.parent().unwrap_or(Path::new("")))?;
    if !overwrite && fs::symlink_metadata(path).is_ok() {
        let reason = format!("trace: {} exists; --overwrite replaces it", path.display());
        return Err(Failure::Usage(reason));
    }
    Ok(())
}

/// Makes sure that files can be written into a folder that a flag names.
pub(super) fn check_writable(flag: &str, folder: &Path) -> Outcome {
    let folder = check_folder(flag, folder)?;
    // On most systems a file without a name; it goes when dropped on the others.
    tempfile::tempfile_in(folder).map_err(|source| {
        Failure::from(Error::Io {
            path: folder.to_path_buf(),
            source,
        })
    })?;
    Ok(())
}

fn check_folder<'a>(flag: &str, folder: &'a Path) -> Outcome<&'a Path> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    if folder.is_dir() {
        return Ok(folder);
    }
    let folder = folder.display();
    Err(Failure::Usage(format!(
        "{flag}: the folder {folder} does not exist; make it first"
    )))
}

/// Splits a name at its placeholders: `a-{seed}` → `a-`, the seed.
fn pieces(name: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some((text, (placeholder, after))) = rest
        .split_once('{')
        .and_then(|(text, tail)| Some((text, tail.split_once('}')?)))
    {
        let known = Piece::PLACEHOLDERS
            .into_iter()
            .find(|(known, _)| *known == placeholder);
        let (_, piece) = known.ok_or_else(|| {
            let names = Piece::PLACEHOLDERS
                .map(|(name, _)| format!("{{{name}}}"))
                .join(", ");
            format!("{{{placeholder}}} is no placeholder; there are {names}")
        })?;
        pieces.extend([Piece::Text(text.to_owned()), piece]);
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// A model's name with what no file system takes replaced.
fn file_name_of(model: &str) -> String {
    model.replace(|c: char| c.is_control() || r#"/\:*?"<>|"#.contains(c), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'_> = Facts {
        seed: 42,
        index: 3,
        model: "sd/1.5",
        width: 128,
        height: 96,
    };

    fn name(pattern: &str) -> String {
        Pattern::parse(pattern)
            .unwrap()
            .path(&FACTS, 0)
            .display()
            .to_string()
    }

    fn image() -> Image {
        Image::from_rgba(1, 1, vec![1, 2, 3, 255]).unwrap()
    }

    #[test]
    fn placeholders_are_filled_in() {
        assert_eq!(name(Pattern::DEFAULT), "aquatint-42.png");
        assert_eq!(
            name("{model}_{width}x{height}_{index}.PNG"),
            "sd_1.5_128x96_3.PNG"
        );
        assert_eq!(name("out/{seed}{seed}"), "out/4242.png");
        assert_eq!(name("v1.5-{seed}"), "v1.5-42.png");
        assert_eq!(name("brace{"), "brace{.png");
        assert_eq!(name("new/"), "new/aquatint-42.png");
    }

    #[test]
    fn what_cannot_be_written_is_refused_with_the_remedy() {
        assert!(Pattern::parse("{sede}.png").unwrap_err().contains("{seed}"));
        assert!(
            Pattern::parse("{seed}/a.png")
                .unwrap_err()
                .contains("file's name")
        );
        assert!(Pattern::parse("a.JPG").unwrap_err().contains(".png"));
        assert!(Pattern::parse("").is_err());
    }

    #[test]
    fn a_missing_folder_is_a_usage_error() {
        let failure = Pattern::parse("/no/such/folder/a.png")
            .unwrap()
            .check()
            .unwrap_err();
        assert!(matches!(&failure, Failure::Usage(_)), "{failure}");
        assert!(failure.to_string().contains("/no/such/folder"), "{failure}");
    }

    #[test]
    fn existing_files_get_a_number_and_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("cat.png");
        fs::write(&first, "precious").unwrap();
        let pattern = Pattern::parse(first.to_str().unwrap()).unwrap();
        let saved: Vec<PathBuf> = (0..2)
            .map(|_| pattern.save_new(&image(), &FACTS).unwrap())
            .collect();
        assert_eq!(
            saved,
            ["cat-1.png", "cat-2.png"].map(|name| folder.path().join(name))
        );
        assert_eq!(fs::read_to_string(&first).unwrap(), "precious");
    }

    #[test]
    fn overwriting_spares_the_pictures_of_the_same_batch() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("cat.png");
        fs::write(&first, "worthless").unwrap();
        let pattern = Pattern::parse(first.to_str().unwrap()).unwrap();
        let mut saved = Vec::new();
        for _ in 0..2 {
            saved.push(pattern.save_over(&image(), &FACTS, &saved).unwrap());
        }
        assert_eq!(
            saved,
            ["cat.png", "cat-1.png"].map(|name| folder.path().join(name))
        );
        assert_eq!(Image::open(&first).unwrap(), image());
    }
}
