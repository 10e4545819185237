//! What calls loading and generating off from another thread.

use crate::border::{self, give};
use crate::error::AquatintError;
use aquatint::Canceller;

/// Calls off what it was given to: the call returns AQUATINT_ERROR_CODE_CANCELLED, at the latest when what
/// the device is at is done. What was called off stays so; take a new one for the next call.
#[derive(Debug)]
pub struct AquatintCanceller(Canceller);

/// A canceller that was not used yet.
///
/// # Safety
/// `canceller` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_canceller_new(
    canceller: *mut *mut AquatintCanceller,
) -> *mut AquatintError {
    // SAFETY: as the caller promises.
    unsafe { give(canceller, || Ok(AquatintCanceller(Canceller::default()))) }
}

/// Calls off, from any thread, what was given the canceller, or will be; nothing of null.
///
/// # Safety
/// `canceller` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_canceller_cancel(canceller: *const AquatintCanceller) {
    border::quietly(|| {
        // SAFETY: as the caller promises.
        if let Some(canceller) = unsafe { canceller.as_ref() } {
            canceller.0.cancel();
        }
    });
}

/// Frees a canceller, which calls nothing off; nothing of null. Calls that were given it go on.
///
/// # Safety
/// `canceller` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_canceller_free(canceller: *mut AquatintCanceller) {
    // SAFETY: as the caller promises.
    unsafe { border::free(canceller) };
}

/// What calls off; a canceller of nobody where there is none.
///
/// # Safety
/// `canceller` is null or was not freed.
pub(crate) unsafe fn optional_canceller(canceller: *const AquatintCanceller) -> Canceller {
    // SAFETY: as the caller promises.
    let canceller = unsafe { canceller.as_ref() };
    canceller.map_or_else(Canceller::default, |canceller| canceller.0.clone())
}
