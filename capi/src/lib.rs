//! aquatint for C, and for every language that speaks to C: `libaquatint_c` and `aquatint.h`.
//!
//! Handles are boxes behind opaque pointers; there is no global state. A function that can fail returns
//! an error, or null; its result goes through its last argument, which is null after a failure. A
//! request is JSON, the library's own serde form, so that new fields change nothing here. No panic
//! crosses the border: it becomes an error.
//!
//! The documentation of each function is written for C, since the header is made of it.

pub mod border;
pub mod canceller;
pub mod device;
pub mod error;
pub mod image;
pub mod pipeline;
pub mod upscaler;

use std::ffi::{CStr, c_char};

/// The number of this interface. It changes when a program that was compiled against an older header
/// would break; what is only added does not change it.
pub const AQUATINT_ABI_VERSION: u32 = 1;

/// The number of the interface that the library has: a program compares it with
/// AQUATINT_ABI_VERSION where it may meet another library than it was compiled for.
#[unsafe(no_mangle)]
pub extern "C" fn aquatint_abi_version() -> u32 {
    AQUATINT_ABI_VERSION
}

/// aquatint's version, such as "0.1.0". The text is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn aquatint_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version holds no zero"),
        };
    VERSION.as_ptr()
}
