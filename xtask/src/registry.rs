//! The package that a registry would get: that it is made without a warning, fits, and builds by itself.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::{Outcome, cannot_run, cargo, wait};

/// The most that a package may have, compressed: crates.io takes no more.
const MAX_BYTES: u64 = 10_000_000;

/// Makes the package and checks it.
pub(crate) fn check() -> Outcome<ExitCode> {
    let file = make()?;
    let size = fs::metadata(&file).map_err(|failure| format!("{}: {failure}", file.display()))?;
    let size = size.len();
    println!("xtask: {} has {size} bytes of {MAX_BYTES}", file.display());
    if size > MAX_BYTES {
        return Err(format!(
            "the package is {} bytes too large; exclude something in Cargo.toml, or make the demo model a \
             crate of its own",
            size - MAX_BYTES
        ));
    }
    // Outside of the workspace, as at a user's.
    let folder = env::temp_dir().join(format!("aquatint-package-{}", std::process::id()));
    let outcome = build(&file, &folder);
    // What is left in the system's temporary folder is the system's to remove.
    drop(fs::remove_dir_all(&folder));
    outcome
}

/// The package's file. A warning is a failure.
fn make() -> Outcome<PathBuf> {
    let flags = [
        "--package",
        "aquatint",
        "--no-verify",
        "--allow-dirty",
        "--quiet",
    ];
    let mut command = cargo(&[&["package"], flags.as_slice()].concat());
    let output = command.stdout(Stdio::inherit()).output();
    let output = output.map_err(|failure| cannot_run(&command, &failure))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || said.contains("warning") {
        return Err(format!("the package is not clean:\n{said}"));
    }
    let version = env!("CARGO_PKG_VERSION");
    Ok(target().join(format!("package/aquatint-{version}.crate")))
}

/// Unpacks the package and builds the library and the program, far enough to see that nothing is missing.
fn build(file: &Path, folder: &Path) -> Outcome<ExitCode> {
    fs::create_dir_all(folder).map_err(|failure| format!("{}: {failure}", folder.display()))?;
    let mut unpack = Command::new("tar");
    unpack.arg("-xzf").arg(file).arg("-C").arg(folder);
    unpack.arg("--strip-components=1");
    if wait(&mut unpack)? != ExitCode::SUCCESS {
        return Err("the package cannot be unpacked; tar's message stands above".to_owned());
    }
    let mut check = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    check.current_dir(folder);
    check.args(["check", "--release", "--locked", "--lib", "--bins"]);
    // The dependencies are compiled already.
    wait(check.arg("--target-dir").arg(target()))
}

/// Where cargo builds.
fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target");
    env::var_os("CARGO_TARGET_DIR").map_or(workspace, PathBuf::from)
}
