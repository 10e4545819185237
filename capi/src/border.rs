//! The border between C and Rust: what comes in is checked, what goes out is boxed, and panics stay.

use crate::error::AquatintError;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// What a function of the interface comes to before it is C's.
pub(crate) type Outcome<T = ()> = Result<T, AquatintError>;

/// Does what a function of the interface is for; the error, or null where there is none.
pub(crate) fn guard(work: impl FnOnce() -> Outcome) -> *mut AquatintError {
    // A handle that was broken by a panic is the caller's to free, as the error's code says.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    match outcome.unwrap_or_else(|panic| Err(AquatintError::panic(&*panic))) {
        Ok(()) => ptr::null_mut(),
        Err(error) => Box::into_raw(Box::new(error)),
    }
}

/// As [`guard`], with a result that goes to `out` as a handle; null goes there on failure.
///
/// # Safety
/// `out` is null or can be written.
pub(crate) unsafe fn give<T>(
    out: *mut *mut T,
    work: impl FnOnce() -> Outcome<T>,
) -> *mut AquatintError {
    let work = || work().map(|result| Box::into_raw(Box::new(result)));
    // SAFETY: as the caller promises.
    unsafe { put(out, ptr::null_mut(), work) }
}

/// As [`guard`], with a text that goes to `out`, to be freed by `aquatint_string_free`.
///
/// # Safety
/// `out` is null or can be written.
pub(crate) unsafe fn give_text(
    out: *mut *mut c_char,
    work: impl FnOnce() -> Outcome<String>,
) -> *mut AquatintError {
    // SAFETY: as the caller promises.
    unsafe { put(out, ptr::null_mut(), || owned(work()?)) }
}

/// A text that becomes the caller's.
pub(crate) fn owned(text: impl Into<Vec<u8>>) -> Outcome<*mut c_char> {
    let text = CString::new(text);
    let text = text.map_err(|_| AquatintError::argument("the text", "holds a zero"))?;
    Ok(text.into_raw())
}

/// As [`guard`], with a value that goes to `out`; `nothing` goes there on failure.
///
/// # Safety
/// `out` is null or can be written.
pub(crate) unsafe fn put<T>(
    out: *mut T,
    nothing: T,
    work: impl FnOnce() -> Outcome<T>,
) -> *mut AquatintError {
    guard(|| {
        if out.is_null() {
            return Err(AquatintError::argument(
                "the place of the result",
                "is null",
            ));
        }
        // SAFETY: it is not null, so it can be written; what was there before may be anything.
        unsafe { out.write(nothing) };
        let result = work()?;
        // SAFETY: as above.
        unsafe { out.write(result) };
        Ok(())
    })
}

/// What a handle stands for.
///
/// # Safety
/// `handle` is null, or a handle that was not freed and will not be during `'a`.
pub(crate) unsafe fn handle<'a, T>(name: &str, handle: *const T) -> Outcome<&'a T> {
    // SAFETY: as the caller promises.
    let handle = unsafe { handle.as_ref() };
    handle.ok_or_else(|| AquatintError::argument(name, "is null"))
}

/// A text that must be there.
///
/// # Safety
/// `text` is null, or ends in a zero and stays as it is during `'a`.
pub(crate) unsafe fn text<'a>(name: &str, text: *const c_char) -> Outcome<&'a str> {
    // SAFETY: as the caller promises.
    let text = unsafe { optional_text(name, text) }?;
    text.ok_or_else(|| AquatintError::argument(name, "is null"))
}

/// A text that may be null.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn optional_text<'a>(
    name: &str,
    text: *const c_char,
) -> Outcome<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: it is not null, so it ends in a zero.
    let text = unsafe { CStr::from_ptr(text) }.to_str();
    text.map(Some)
        .map_err(|_| AquatintError::argument(name, "is not UTF-8"))
}

/// Does what has no result. There is nobody to tell of a panic.
pub(crate) fn quietly(work: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(work)));
}

/// Frees what [`give`] gave; nothing of null.
///
/// # Safety
/// `handle` is null, or came from a box and was not freed.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if handle.is_null() {
        return;
    }
    // SAFETY: it came from a box, and nobody uses it any more.
    let handle = unsafe { Box::from_raw(handle) };
    quietly(|| drop(handle));
}

/// Frees a text that a function gave; nothing of null.
///
/// # Safety
/// `text` is null, or a text to be freed that was not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: it came from `CString::into_raw`.
        drop(unsafe { CString::from_raw(text) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{
        AquatintErrorCode, aquatint_error_code, aquatint_error_free, aquatint_error_message,
    };

    #[test]
    fn a_panic_becomes_an_error() {
        let mut out = ptr::dangling_mut::<u8>();
        // SAFETY: `out` can be written.
        let error = unsafe { give(&raw mut out, || panic!("the sky fell")) };
        assert!(out.is_null());
        // SAFETY: the error is freed once, after its last use.
        unsafe {
            assert_eq!(aquatint_error_code(error), AquatintErrorCode::Panic);
            let message = CStr::from_ptr(aquatint_error_message(error));
            assert!(message.to_str().unwrap().contains("the sky fell"));
            aquatint_error_free(error);
        }
    }

    #[test]
    fn handles_may_be_used_by_several_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<crate::canceller::AquatintCanceller>();
        shared::<crate::device::AquatintDevice>();
        shared::<crate::error::AquatintError>();
        shared::<crate::image::AquatintImages>();
        shared::<crate::pipeline::AquatintPipeline>();
        shared::<crate::upscaler::AquatintUpscaler>();
    }

    #[test]
    fn a_message_with_a_zero_is_told_without_it() {
        let error = AquatintError::argument("a\0b", "is odd");
        let error = Box::into_raw(Box::new(error));
        // SAFETY: the error is freed once, after its last use.
        unsafe {
            let message = CStr::from_ptr(aquatint_error_message(error));
            assert_eq!(message.to_str(), Ok("ab is odd"));
            aquatint_error_free(error);
        }
    }
}
