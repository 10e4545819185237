//! Programs in C, compiled against the header, linked to the library and run.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aquatint::Device;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

#[path = "../../tests/support/tiny_upscaler.rs"]
mod tiny_upscaler;

/// Small and short: the picture is no good, and need not be.
const REQUEST: &str =
    r#"{"prompt": "a slice of pizza", "width": 64, "height": 64, "steps": 2, "seed": 42}"#;
/// The same for the program.
const ARGUMENTS: [&str; 10] = [
    "generate",
    "a slice of pizza",
    "-W",
    "64",
    "-H",
    "64",
    "--steps",
    "2",
    "-s",
    "42",
];

/// Whether what these tests need has to be there.
fn is_required() -> bool {
    env::var_os("AQUATINT_REQUIRE_GPU").is_some_and(|value| value == "1")
}

/// Where this test was built, and the library beside it.
fn build_folder() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().unwrap().to_path_buf()
}

/// The device that there is.
fn device() -> &'static str {
    if !Device::list().is_empty() {
        return "0";
    }
    assert!(
        !is_required(),
        "AQUATINT_REQUIRE_GPU=1, but no adapter answers"
    );
    eprintln!("no adapter: the library is tested with the CPU interpreter");
    "reference"
}

/// A compiled program; `None` where there is no compiler.
fn compiled(source: &str, folder: &Path) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = folder.join("program");
    let library = build_folder();
    let output = Command::new("cc")
        .args([
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-g",
        ])
        .arg(here.join(source))
        .arg("-I")
        .arg(here)
        .arg("-L")
        .arg(&library)
        .args(["-laquatint_c", "-pthread", "-o"])
        .arg(&program)
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .output();
    let Ok(output) = output else {
        assert!(!is_required(), "AQUATINT_REQUIRE_GPU=1, but there is no cc");
        eprintln!("skipped: there is no cc");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{source}: {said}");
    Some(program)
}

#[track_caller]
fn assert_success(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}

#[test]
fn the_example_makes_the_programs_picture_to_the_byte() {
    let folder = TempDir::new().unwrap();
    let Some(example) = compiled("examples/draw.c", folder.path()) else {
        return;
    };
    let drawn = folder.path().join("c.png");
    let mut example = Command::new(example);
    example.arg(REQUEST).arg(&drawn).arg(device());
    let output = example.output().unwrap();
    assert_success(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("c.png: 64 x 64"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("step 2 of 2"));
    // A second time: what exists is left alone.
    let again = example.output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("choose another name"));

    // Tests of the whole workspace build the program; tests of this crate alone do not.
    let program = build_folder().with_file_name("aquatint");
    if !program.is_file() {
        assert!(
            !is_required(),
            "no program to compare with: test the whole workspace"
        );
        eprintln!("skipped: no program to compare with; test the whole workspace");
        return;
    }
    let expected = folder.path().join("program.png");
    let output = Command::new(program)
        .args(ARGUMENTS)
        .args(["--device", device(), "-o"])
        .arg(&expected)
        .output();
    assert_success(&output.unwrap());
    assert!(fs::read(drawn).unwrap() == fs::read(expected).unwrap());
}

#[test]
fn misuse_is_answered_with_errors_and_use_with_results() {
    let folder = TempDir::new().unwrap();
    tiny_upscaler::nearest_neighbours(folder.path());
    let Some(misuse) = compiled("tests/misuse.c", folder.path()) else {
        return;
    };
    let output = Command::new(misuse)
        .arg(device())
        .arg(folder.path())
        .output();
    assert_success(&output.unwrap());
}
