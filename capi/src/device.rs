//! Devices.

use crate::border::{self, give, give_text, handle, optional_text};
use crate::error::AquatintError;
use aquatint::{Device, DeviceOptions};
use std::ffi::c_char;

/// Where pictures are made. What is made from it keeps what it needs: it may be freed at any time.
#[derive(Debug)]
pub struct AquatintDevice(pub(crate) Device);

/// Every graphics adapter that answers, the best first, as a JSON array of objects with `index`, `name`,
/// `backend`, `kind`, `software`, `driver`, `features` and `limits`. The text is the caller's to free.
///
/// # Safety
/// `json` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_adapters(json: *mut *mut c_char) -> *mut AquatintError {
    let work = || {
        let adapters = serde_json::to_string(&Device::list());
        adapters.map_err(|error| AquatintError::json("adapters", &error))
    };
    // SAFETY: as the caller promises.
    unsafe { give_text(json, work) }
}

/// Opens the adapter with that index or that part of its name; the best one where `adapter` is null; the
/// CPU interpreter, slow but there on every machine, where it is "reference".
///
/// # Safety
/// `adapter` is null or ends in a zero; `device` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_device_open(
    adapter: *const c_char,
    device: *mut *mut AquatintDevice,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let adapter = unsafe { optional_text("adapter", adapter) }?;
        if adapter == Some("reference") {
            return Ok(AquatintDevice(Device::reference()));
        }
        let options = DeviceOptions {
            adapter: adapter.map(str::to_owned),
            ..DeviceOptions::default()
        };
        Ok(AquatintDevice(Device::open(&options)?))
    };
    // SAFETY: as the caller promises.
    unsafe { give(device, work) }
}

/// What a device is and can do, as an object like those of aquatint_adapters. The text is the caller's
/// to free.
///
/// # Safety
/// `device` is null or was not freed; `json` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_device_info(
    device: *const AquatintDevice,
    json: *mut *mut c_char,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let device = unsafe { handle("device", device) }?;
        let info = serde_json::to_string(device.0.info());
        info.map_err(|error| AquatintError::json("device", &error))
    };
    // SAFETY: as the caller promises.
    unsafe { give_text(json, work) }
}

/// Frees a device; nothing of null.
///
/// # Safety
/// `device` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_device_free(device: *mut AquatintDevice) {
    // SAFETY: as the caller promises.
    unsafe { border::free(device) };
}
