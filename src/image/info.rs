//! What a PNG file says of itself: its size and its texts, read without its pixels.
//!
//! Nothing in the file is trusted. Texts in front of the pixels are read, then those behind them as
//! far as the file goes; compressed ones are inflated up to a limit each and one for all together,
//! since a text of a few kilobytes can claim gigabytes.

use std::fs::File;
use std::io::{BufRead, Read, Seek};
use std::path::{Path, PathBuf};

use ::png::{Decoder, DecodingError, Info, Limits};

use super::file;
use crate::error::{Error, Result};

/// The first bytes of every PNG file.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The longest text that is kept of a file: ComfyUI's workflows are the longest seen, about 1 MiB.
const MAX_TEXT_BYTES: usize = 2 << 20;

/// The most that all texts of a file may hold together: a prompt, a workflow and their likes thrice.
const MAX_TEXTS_BYTES: usize = 8 << 20;

/// The most memory that the decoder takes for texts and profiles as they stand in the file.
const MAX_CHUNK_BYTES: usize = 32 << 20;

/// A PNG file's size and texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PngInfo {
    path: PathBuf,
    width: usize,
    height: usize,
    texts: Vec<(String, String)>,
    left_out: Vec<String>,
}

impl PngInfo {
    /// Whether a file begins as PNG files do. A folder or a device is none.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn recognises(path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        let failed = |source| Error::io(path, source);
        if !path.metadata().map_err(failed)?.is_file() {
            return Ok(false);
        }
        let mut start = Vec::with_capacity(SIGNATURE.len());
        let file = File::open(path).map_err(failed)?;
        let mut head = file.take(SIGNATURE.len() as u64);
        head.read_to_end(&mut start).map_err(failed)?;
        Ok(start == SIGNATURE)
    }

    /// Reads a file's size and texts. Its pixels need not be whole.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::BadFile`] if it is no PNG or ends before
    /// its pixels begin.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::read(file::open(path, "PNG file")?, path)
    }

    /// As [`PngInfo::open`], from any source; `path` is for messages.
    pub(crate) fn read(source: impl BufRead + Seek, path: &Path) -> Result<Self> {
        let limits = Limits {
            bytes: MAX_CHUNK_BYTES,
        };
        let mut reader = Decoder::new_with_limits(source, limits)
            .read_info()
            .map_err(|failure| not_a_png(path, &failure))?;
        let mut left_out = Vec::new();
        if reader.finish().is_err() {
            left_out.push("what follows the pixels, as the file is damaged or cut".to_owned());
        }
        let info = reader.info();
        let texts = texts(info, &mut left_out);
        let side = |length: u32| {
            usize::try_from(length)
                .map_err(|_| Error::bad_file(path, "a side does not fit in memory"))
        };
        Ok(Self {
            path: path.to_owned(),
            width: side(info.width)?,
            height: side(info.height)?,
            texts,
            left_out,
        })
    }

    /// The file, as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The texts: keyword and content. Where a keyword stands twice, both are here.
    pub fn texts(&self) -> &[(String, String)] {
        &self.texts
    }

    /// The first text of a keyword, such as [`PARAMETERS_KEYWORD`](super::PARAMETERS_KEYWORD).
    pub fn text(&self, keyword: &str) -> Option<&str> {
        let mut texts = self.texts.iter();
        let found = texts.find(|(existing, _)| existing == keyword);
        found.map(|(_, text)| text.as_str())
    }

    /// What could not be read, each as a phrase with the reason.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }
}

/// What to say of a file that is no readable PNG.
fn not_a_png(path: &Path, failure: &dyn std::fmt::Display) -> Error {
    Error::bad_file(path, format!("expected a PNG picture: {failure}"))
}

/// The texts that the decoder has met, by kind in the file's order. Unreadable ones are left out and
/// told, because a picture is worth more than its notes.
fn texts(info: &Info<'_>, left_out: &mut Vec<String>) -> Vec<(String, String)> {
    let plain = info.uncompressed_latin1_text.iter();
    let plain = plain.map(|chunk| (&chunk.keyword, Unread::Plain(&chunk.text)));
    let compressed = info.compressed_latin1_text.iter();
    let compressed = compressed.map(|chunk| {
        let inflate = move |limit| {
            let mut chunk = chunk.clone();
            chunk.decompress_text_with_limit(limit)?;
            chunk.get_text()
        };
        (&chunk.keyword, Unread::Compressed(Box::new(inflate)))
    });
    let international = info.utf8_text.iter().map(|chunk| {
        let inflate = move |limit| {
            let mut chunk = chunk.clone();
            chunk.decompress_text_with_limit(limit)?;
            chunk.get_text()
        };
        (&chunk.keyword, Unread::Compressed(Box::new(inflate)))
    });
    let mut budget = MAX_TEXTS_BYTES;
    let mut texts = Vec::new();
    for (keyword, unread) in plain.chain(compressed).chain(international) {
        match unread.read(budget.min(MAX_TEXT_BYTES)) {
            Ok(text) => {
                budget -= text.len();
                texts.push((keyword.clone(), text));
            }
            Err(reason) => left_out.push(format!("the text {keyword:?}: {reason}")),
        }
    }
    texts
}

/// A text as the decoder holds it.
enum Unread<'a> {
    Plain(&'a str),
    /// Inflates at most so many bytes.
    Compressed(Box<dyn Fn(usize) -> std::result::Result<String, DecodingError> + 'a>),
}

impl Unread<'_> {
    /// The text, or why it is left out; at most `limit` bytes.
    fn read(self, limit: usize) -> std::result::Result<String, String> {
        let text = match self {
            Self::Plain(text) if text.len() <= limit => Ok(text.to_owned()),
            Self::Plain(_) => Err("it is too long".to_owned()),
            Self::Compressed(inflate) => inflate(limit).map_err(|failure| failure.to_string()),
        };
        // Latin-1 grows when it becomes UTF-8, so the limit is asked once more.
        text.and_then(|text| {
            let fits = text.len() <= limit;
            fits.then_some(text)
                .ok_or_else(|| "it is too long".to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::time::{Duration, Instant};

    use super::super::testing::{SIGNATURE, bomb, chunk, compressed_text, header, one_pixel, zlib};
    use super::*;

    /// The longest that any answer may take.
    const LIMIT: Duration = Duration::from_secs(1);

    fn read(bytes: &[u8]) -> Result<PngInfo> {
        let start = Instant::now();
        let info = PngInfo::read(Cursor::new(bytes), Path::new("test.png"));
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
        info
    }

    #[test]
    fn every_kind_of_text_is_read() {
        let international = [&b"c\0\x01\0de\0\0"[..], &zlib("猫".as_bytes())].concat();
        let before = [
            chunk(b"tEXt", b"a\0caf\xe9"),
            compressed_text("b", &zlib(b"caf\xe9")),
            chunk(b"iTXt", &international),
            chunk(b"iTXt", "d\0\0\0\0\0🐈".as_bytes()),
        ];
        let after = chunk(b"tEXt", b"e\0behind the pixels");
        let info = read(&one_pixel(&before.concat(), &after)).unwrap();
        for (keyword, text) in [
            ("a", "café"),
            ("b", "café"),
            ("c", "猫"),
            ("d", "🐈"),
            ("e", "behind the pixels"),
        ] {
            assert_eq!(info.text(keyword), Some(text), "{keyword}");
        }
        assert_eq!((info.width(), info.height()), (1, 1));
        assert_eq!(info.left_out(), [""; 0]);
        assert_eq!(info.text("f"), None);
    }

    #[test]
    fn a_gibibyte_in_a_compressed_text_is_left_out_and_told() {
        let bomb = bomb(1024);
        let international = [&b"workflow\0\x01\0\0\0"[..], &bomb].concat();
        let chunks = [
            compressed_text("parameters", &bomb),
            chunk(b"iTXt", &international),
            chunk(b"tEXt", b"note\0small"),
        ];
        let bytes = one_pixel(&chunks.concat(), &[]);
        assert!(bytes.len() < 5 << 20, "{}", bytes.len());
        let info = read(&bytes).unwrap();
        assert_eq!(info.texts(), [("note".to_owned(), "small".to_owned())]);
        assert_eq!(info.left_out().len(), 2);
        assert!(info.left_out()[0].contains("parameters"));
    }

    #[test]
    fn many_texts_together_have_a_limit_too() {
        let one = compressed_text("parameters", &zlib(&vec![b'a'; MAX_TEXT_BYTES]));
        let info = read(&one_pixel(&one.repeat(64), &[])).unwrap();
        assert_eq!(info.texts().len(), MAX_TEXTS_BYTES / MAX_TEXT_BYTES);
        assert_eq!(info.left_out().len(), 64 - info.texts().len());
    }

    #[test]
    fn latin_1_that_grows_beyond_the_limit_is_left_out() {
        let text = compressed_text("parameters", &zlib(&vec![0xE9; MAX_TEXT_BYTES]));
        assert!(read(&one_pixel(&text, &[])).unwrap().texts().is_empty());
    }

    #[test]
    fn a_huge_size_takes_no_memory() {
        let bytes = [SIGNATURE, &header(100_000, 100_000), &chunk(b"IEND", &[])].concat();
        assert_eq!(bytes.len(), 45);
        assert!(read(&bytes).is_err());
        let with_pixels = [
            SIGNATURE,
            &header(100_000, 100_000),
            &chunk(b"tEXt", b"parameters\0a cat"),
            &chunk(b"IDAT", &[]),
        ];
        let info = read(&with_pixels.concat()).unwrap();
        assert_eq!(info.width(), 100_000);
        assert_eq!(info.text("parameters"), Some("a cat"));
    }

    #[test]
    fn texts_survive_pixels_that_are_cut() {
        let whole = one_pixel(&chunk(b"tEXt", b"parameters\0a cat"), &[]);
        let cut = &whole[..whole.len() - 20];
        let info = read(cut).unwrap();
        assert_eq!(info.text("parameters"), Some("a cat"));
        assert!(info.left_out()[0].contains("cut"), "{info:?}");
        for length in 0..whole.len() {
            drop(read(&whole[..length]));
        }
    }

    #[test]
    fn damaged_texts_are_left_out() {
        let mut damaged = chunk(b"tEXt", b"parameters\0a cat");
        *damaged.last_mut().unwrap() ^= 1;
        let chunks = [
            chunk(b"tEXt", b"no separator"),
            chunk(b"zTXt", b"parameters\0\x09method"),
            chunk(b"zTXt", b"parameters\0\0not zlib"),
            chunk(b"iTXt", b"parameters\0\0\0\0\0\xff\xff"),
            chunk(b"tEXt", b"\0no keyword"),
            damaged,
        ];
        let info = read(&one_pixel(&chunks.concat(), &[])).unwrap();
        assert_eq!(info.texts(), []);
    }

    #[test]
    fn what_is_no_png_is_said_to_be_none() {
        // What follows a PNG is another format's business: a ZIP archive behind one is read past.
        let polyglot = [one_pixel(&[], &[]), b"PK\x03\x04".to_vec()].concat();
        assert!(read(&polyglot).is_ok());
        let reversed = [b"PK\x03\x04".to_vec(), one_pixel(&[], &[])].concat();
        for bytes in [
            &reversed[..],
            b"",
            b"<svg/>",
            b"\xff\xd8\xff\xe0",
            &SIGNATURE[..7],
        ] {
            let message = read(bytes).unwrap_err().to_string();
            assert!(
                message.contains("test.png: expected a PNG picture"),
                "{message}"
            );
        }
    }
}
