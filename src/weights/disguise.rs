//! Files that were given as safetensors but are something else, told by their first bytes.

/// How a kind of file begins, what it is, and what to do about it.
type Row = (&'static [u8], &'static str);

const PICKLE: &str = "is a pickle checkpoint, which can run code when opened; \
     convert it to safetensors, or get the .safetensors file of the same model";

/// First bytes of what users give by mistake. Text files are told apart by [`TEXTS`].
#[rustfmt::skip]
const MAGICS: &[Row] = &[
    (b"PK\x03\x04", PICKLE), // torch.save since 1.6 writes a zip of a pickle and its tensors
    (b"\x80\x02", PICKLE),   // torch.save before 1.6
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"GGUF", "is a GGUF file, which is not read yet; get the .safetensors file of the same model"),
    (b"\x1f\x8b", "is a gzip archive; unpack it and give the .safetensors file inside"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it and give the .safetensors file inside"),
    (b"Rar!\x1a\x07", "is a RAR archive; unpack it and give the .safetensors file inside"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 (Keras) file; get the .safetensors file of the same model"),
    (b"\x89PNG\r\n\x1a\n", "is a PNG picture, not a model; give a .safetensors file"),
];

/// How saved web answers begin, in lower case and without leading space.
#[rustfmt::skip]
const TEXTS: &[Row] = &[
    (b"version https://git-lfs", "is a Git LFS pointer, not the model itself; fetch the file with `git lfs pull`"),
    (b"<", "is a web page, not a model: the download gave an HTML page; download it again, logged in if the site asks for it"),
    (b"access to model", "is a site's refusal, not a model; accept the model's terms on its page and download it again, logged in"),
    (b"invalid username or password", "is a site's refusal, not a model; log in and download it again"),
    (b"{\"error\"", "is a site's refusal, not a model; accept the model's terms on its page and download it again, logged in"),
];

/// What a file that is not safetensors seems to be, with the remedy; `None` if it looks like nothing known.
pub(super) fn disguise(bytes: &[u8]) -> Option<String> {
    let by_magic = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic));
    if let Some((_, reason)) = by_magic {
        return Some((*reason).to_owned());
    }
    let start = &bytes[..bytes.len().min(64)];
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start); // byte order mark
    let start = start.trim_ascii_start().to_ascii_lowercase();
    if let Some((_, reason)) = TEXTS.iter().find(|(text, _)| start.starts_with(text)) {
        return Some((*reason).to_owned());
    }
    let is_text = start.len() >= 8
        && start
            .iter()
            .all(|&b| b.is_ascii_graphic() || b.is_ascii_whitespace());
    is_text.then(|| {
        let shown: String = start.iter().take(40).map(|&b| char::from(b)).collect();
        format!(
            "is a text file, not a model (it begins {shown:?}); \
             the download may have saved a message instead: download it again"
        )
    })
}
