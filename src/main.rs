//! The command line: arguments → [`cli::run`] → exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    quiet_device_select();
    cli::run(std::env::args_os())
}

/// Switches off Mesa's device-select layer, which reorders adapters by the desktop's wishes and
/// complains on stderr where there is no desktop. `--device` chooses here.
fn quiet_device_select() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: this is the program's first statement; there is no other thread yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
