//! The device that the tests run on.

use aquatint::{Device, DeviceOptions};
use std::sync::OnceLock;

/// The machine's best adapter, or the CPU interpreter where there is none.
///
/// `AQUATINT_REQUIRE_GPU=1` makes the lack of an adapter a failure; `AQUATINT_RUNTIME_CHECKS=1`
/// turns wgpu's own shader checks on.
pub(crate) fn best() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let set = |name: &str| std::env::var(name).is_ok_and(|value| value == "1");
    DEVICE.get_or_init(|| {
        let options = DeviceOptions {
            adapter: None,
            runtime_checks: set("AQUATINT_RUNTIME_CHECKS"),
            ..DeviceOptions::default()
        };
        match Device::open(&options) {
            Ok(device) => device,
            Err(error) if set("AQUATINT_REQUIRE_GPU") => panic!("{error}"),
            Err(error) => {
                eprintln!("on the CPU interpreter: {error}");
                Device::reference()
            }
        }
    })
}

/// The graphics device of the tests; `None` where they run on the interpreter.
pub(crate) fn graphics() -> Option<&'static Device> {
    let device = best();
    let is_there = device.info().backend != "reference";
    if !is_there {
        eprintln!("skipped: no adapter");
    }
    is_there.then_some(device)
}
