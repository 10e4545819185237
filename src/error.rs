//! What can go wrong, grouped by what the caller can mend.

use std::path::PathBuf;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed: the machine, the file, the request, or a bug of ours.
///
/// Every message says what was expected, what was found and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No graphics adapter answered, or none matched the one asked for.
    #[error("{0}")]
    NoAdapter(String),

    /// The device has too little memory for what was asked.
    #[error(
        "out of memory while {what}{}; use a smaller size or batch, or --precision f16",
        amounts(*needed_bytes, *available_bytes)
    )]
    OutOfMemory {
        /// What was being done.
        what: String,
        /// How many bytes that takes, where it is known.
        needed_bytes: Option<u64>,
        /// How many bytes there could be, where it is known.
        available_bytes: Option<u64>,
    },

    /// The device stopped answering; everything on it is gone.
    #[error("the graphics device was lost ({reason}); open the device and load the pipeline again")]
    DeviceLost {
        /// The driver's words.
        reason: String,
    },

    /// The driver refused a command that should have been valid: a bug of ours or of the driver.
    #[error(
        "the graphics driver refused a command ({0}); please report this with `aquatint devices`"
    )]
    Gpu(String),

    /// A file could not be read or written.
    #[error("{}: {source}; {}", path.display(), io_remedy(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },

    /// A hub of models, or the way to it, did not give what was asked for.
    #[error("{url}: {reason}")]
    Download {
        /// What was asked for, on the hub.
        url: String,
        /// The answer, and what to do.
        reason: String,
    },

    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found and what to do.
        reason: String,
    },

    /// A well-formed model file of a family that is not known here.
    #[error("{}: unknown model: {reason}", path.display())]
    UnknownModel {
        /// The file.
        path: PathBuf,
        /// What was looked for and what was found.
        reason: String,
    },

    /// No model of this name was found where models are looked for, or more than one.
    #[error("{reason}")]
    NoSuchModel {
        /// The name.
        name: String,
        /// The nearest names, the models of that name, or where was looked; and what to do.
        reason: String,
    },

    /// A model file lacks tensors that its family needs.
    #[error("{}: missing tensor {}; {advice}", path.display(), names.join(", "))]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The first few missing names, in diffusers naming.
        names: Vec<String>,
        /// What the file looks like and what to add.
        advice: String,
    },

    /// A tensor is there, but not of the shape or type that the network needs.
    #[error(
        "{}: tensor {tensor} is {found}, expected {expected}; the file is damaged or of another \
         family: compare with `aquatint inspect`, or get it again",
        path.display()
    )]
    TensorMismatch {
        /// The file.
        path: PathBuf,
        /// The tensor's name, in diffusers naming.
        tensor: String,
        /// What the network needs.
        expected: String,
        /// What the file holds.
        found: String,
    },

    /// A field of the request is out of range or unknown.
    #[error("{field}: {reason}")]
    Request {
        /// The field, as in [`crate::Request`].
        field: &'static str,
        /// What is allowed and what was given.
        reason: String,
    },

    /// Something that exists, but not here or not yet.
    #[error("unsupported: {0}")]
    Unsupported(String),

    /// NaN or infinity came out of a stage, at every precision that the request allows.
    #[error(
        "{stage}{} gave values that are not finite; with --precision f16 try auto, else the weights \
         are damaged: download the file again",
        step.map(|step| format!(" at step {step}")).unwrap_or_default()
    )]
    NotFinite {
        /// `text_encoder`, `unet`, `vae_decoder`, `vae_encoder` or `upscaler`.
        stage: &'static str,
        /// The step, counted from 1, where there is one.
        step: Option<usize>,
    },

    /// NaN or infinity came out of a stage, because weights of it are no numbers.
    #[error(
        "{}: the weights are damaged: {} hold NaN or infinity, so {stage}{} gave values that are \
         not finite; download the file again, or use another",
        path.display(),
        tensors.join(", "),
        step.map(|step| format!(" at step {step}")).unwrap_or_default()
    )]
    DamagedWeights {
        /// The file that holds the first of them.
        path: PathBuf,
        /// The first few of the tensors, with how many of their elements are damaged.
        tensors: Vec<String>,
        /// `text_encoder`, `unet`, `vae_decoder` or `vae_encoder`.
        stage: &'static str,
        /// The step, counted from 1, where there is one.
        step: Option<usize>,
    },

    /// The caller cancelled a run.
    #[error("cancelled")]
    Cancelled,

    /// A network was recorded with shapes that do not fit: a bug of ours.
    #[error("recording failed at {scope}: {reason}; please report this with the model's name")]
    Record {
        /// The weight or block nearest to the failure.
        scope: String,
        /// What did not fit.
        reason: String,
    },
}

/// `: 12 MiB needed, 8 MiB at most`, as far as known.
fn amounts(needed: Option<u64>, available: Option<u64>) -> String {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    match (needed, available) {
        (None, _) => String::new(),
        (Some(needed), None) => format!(": {} MiB needed", mib(needed)),
        (Some(needed), Some(available)) => {
            format!(
                ": {} MiB needed, {} MiB at most",
                mib(needed),
                mib(available)
            )
        }
    }
}

impl Error {
    /// A file system error with the path it concerns.
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    /// A malformed file, with the reason and the remedy.
    pub(crate) fn bad_file(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::BadFile {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// A field of a request that is out of range.
    pub(crate) fn request(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Request {
            field,
            reason: reason.into(),
        }
    }
}

/// A text from a person, a file or a server, fit for a message: quoted, escaped and cut after so many
/// characters.
pub(crate) fn quoted(text: &str, most_chars: usize) -> String {
    match text.char_indices().nth(most_chars) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What the caller can do about the system's answer.
fn io_remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::PermissionDenied => "change its permissions, or choose another",
        ErrorKind::AlreadyExists => "choose another name",
        ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded => {
            "free some space"
        }
        _ => "check the path",
    }
}
