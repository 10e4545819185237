//! Upscaling networks.

use crate::border::{self, give, handle, text};
use crate::device::AquatintDevice;
use crate::error::AquatintError;
use crate::image::AquatintImage;
use aquatint::{UpscaleOptions, Upscaler};
use std::ffi::{c_char, c_int, c_void};
use std::ops::ControlFlow;

/// An upscaling network with its weights on a device.
#[derive(Debug)]
pub struct AquatintUpscaler(Upscaler);

/// A tile that is done.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AquatintTile {
    /// How many are done.
    pub done: usize,
    /// How many there are.
    pub count: usize,
}

/// Hears of a tile that is done, on the thread that enlarges. Anything but 0 cancels. May be null. It must
/// return: no exception and no longjmp may leave it.
pub type AquatintTileCallback =
    Option<unsafe extern "C" fn(tile: *const AquatintTile, user_data: *mut c_void) -> c_int>;

/// Opens a network of the kinds of ESRGAN, Real-ESRGAN or SPAN from a safetensors file.
///
/// # Safety
/// `device` is null or was not freed; `path` is null or ends in a zero; `upscaler` is null or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_upscaler_open(
    device: *const AquatintDevice,
    path: *const c_char,
    upscaler: *mut *mut AquatintUpscaler,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let (device, path) = unsafe { (handle("device", device)?, text("path", path)?) };
        Ok(AquatintUpscaler(Upscaler::open(&device.0, path)?))
    };
    // SAFETY: as the caller promises.
    unsafe { give(upscaler, work) }
}

/// How many times as wide and high the result is; 0 of null.
///
/// # Safety
/// `upscaler` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_upscaler_scale(upscaler: *const AquatintUpscaler) -> usize {
    // SAFETY: as the caller promises.
    let upscaler = unsafe { upscaler.as_ref() };
    upscaler.map_or(0, |upscaler| upscaler.0.scale())
}

/// Enlarges a picture. Blocks; `callback` hears of each tile and may cancel. The result is the caller's to
/// free.
///
/// # Safety
/// `upscaler` and `image` are null or were not freed; `enlarged` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_upscaler_enlarge(
    upscaler: *const AquatintUpscaler,
    image: *const AquatintImage,
    callback: AquatintTileCallback,
    user_data: *mut c_void,
    enlarged: *mut *mut AquatintImage,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let (upscaler, image) = unsafe { (handle("upscaler", upscaler)?, handle("image", image)?) };
        let options = UpscaleOptions::default();
        let enlarged = upscaler.0.upscale(&image.0, &options, &mut |tiles| {
            let tile = AquatintTile {
                done: tiles.done,
                count: tiles.count,
            };
            let cancels = |callback: unsafe extern "C" fn(_, _) -> c_int| {
                // SAFETY: the caller's callback, with what the caller gave for it.
                unsafe { callback(&raw const tile, user_data) != 0 }
            };
            match callback.is_some_and(cancels) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        Ok(AquatintImage(enlarged))
    };
    // SAFETY: as the caller promises.
    unsafe { give(enlarged, work) }
}

/// Frees an upscaler; nothing of null.
///
/// # Safety
/// `upscaler` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_upscaler_free(upscaler: *mut AquatintUpscaler) {
    // SAFETY: as the caller promises.
    unsafe { border::free(upscaler) };
}
