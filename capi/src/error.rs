//! Errors as C sees them: a code, a message and a handle.

use crate::border;
use aquatint::Error;
use std::any::Any;
use std::ffi::{CString, c_char};
use std::ptr;

/// Why a call failed. Read it with aquatint_error_code and aquatint_error_message, and free it.
#[derive(Debug)]
pub struct AquatintError {
    code: AquatintErrorCode,
    message: CString,
}

/// What went wrong, by what can be done about it. Later versions may have more.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AquatintErrorCode {
    /// Nothing did: the code of no error.
    None = 0,
    /// An argument is null, no UTF-8, or beyond the end: the caller's bug.
    Argument = 1,
    /// A field of a request or an option is unknown or out of range.
    Request = 2,
    /// The callback asked to stop.
    Cancelled = 3,
    /// No graphics adapter answers, or none is of that name.
    NoAdapter = 4,
    /// The device has too little memory for what was asked: take a smaller size.
    OutOfMemory = 5,
    /// The device stopped answering: open it and load the pipeline again.
    DeviceLost = 6,
    /// The driver refused a command.
    Gpu = 7,
    /// A file could not be read or written.
    Io = 8,
    /// A file is damaged, or is not what it should be.
    BadFile = 9,
    /// A model of a kind that is not known, or that lacks something.
    UnknownModel = 10,
    /// Values came out that are no numbers.
    NotFinite = 11,
    /// What exists, but not here or not yet.
    Unsupported = 12,
    /// A panic: a bug in aquatint. The handles of the call should be freed and not used again.
    Panic = 13,
    /// Another reason, which the message says.
    Other = 14,
}

impl AquatintError {
    /// A message that may come from anywhere; what C cannot hold of it is left out.
    pub(crate) fn new(code: AquatintErrorCode, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.retain(|character| character != '\0');
        Self {
            code,
            message: CString::new(message).unwrap_or_default(),
        }
    }

    /// An argument that cannot be what it is.
    pub(crate) fn argument(name: &str, reason: &str) -> Self {
        Self::new(AquatintErrorCode::Argument, format!("{name} {reason}"))
    }

    /// JSON that does not say what it should.
    pub(crate) fn json(name: &str, error: &serde_json::Error) -> Self {
        Self::new(AquatintErrorCode::Request, format!("{name}: {error}"))
    }

    pub(crate) fn panic(payload: &(dyn Any + Send)) -> Self {
        let words = payload.downcast_ref::<String>().map(String::as_str);
        let words = words.or(payload.downcast_ref::<&str>().copied());
        let words = words.unwrap_or("without a word");
        let message = format!("aquatint panicked: {words}; please report this");
        Self::new(AquatintErrorCode::Panic, message)
    }
}

impl From<Error> for AquatintError {
    fn from(error: Error) -> Self {
        use AquatintErrorCode as Code;
        let code = match &error {
            Error::NoAdapter(_) => Code::NoAdapter,
            Error::OutOfMemory { .. } => Code::OutOfMemory,
            Error::DeviceLost { .. } => Code::DeviceLost,
            Error::Gpu(_) => Code::Gpu,
            Error::Io { .. } => Code::Io,
            Error::BadFile { .. } | Error::TensorMismatch { .. } => Code::BadFile,
            Error::UnknownModel { .. }
            | Error::NoSuchModel { .. }
            | Error::MissingTensor { .. } => Code::UnknownModel,
            Error::Request { .. } => Code::Request,
            Error::Unsupported(_) => Code::Unsupported,
            Error::NotFinite { .. } | Error::DamagedWeights { .. } => Code::NotFinite,
            Error::Cancelled => Code::Cancelled,
            _ => Code::Other,
        };
        Self::new(code, error.to_string())
    }
}

/// The code of an error; AQUATINT_ERROR_CODE_NONE of null.
///
/// # Safety
/// `error` is null, or an error that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_error_code(error: *const AquatintError) -> AquatintErrorCode {
    // SAFETY: as the caller promises.
    let error = unsafe { error.as_ref() };
    error.map_or(AquatintErrorCode::None, |error| error.code)
}

/// What was expected, what was found and what to do, in UTF-8; null of null. The text is the error's:
/// it is there until the error is freed.
///
/// # Safety
/// `error` is null, or an error that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_error_message(error: *const AquatintError) -> *const c_char {
    // SAFETY: as the caller promises.
    let error = unsafe { error.as_ref() };
    error.map_or(ptr::null(), |error| error.message.as_ptr())
}

/// Frees an error; nothing of null.
///
/// # Safety
/// `error` is null, or an error that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_error_free(error: *mut AquatintError) {
    // SAFETY: as the caller promises.
    unsafe { border::free(error) };
}
