//! The program as a process: how tests start it, and what they ask of its answers.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The model inside the program, as a file.
pub(crate) const DEMO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/models/demo/tiny-emoji-sd.safetensors"
);
/// Small and short: 64×64 pixels, two steps. The picture is no good, and need not be.
pub(crate) const QUICK: [&str; 6] = ["-W", "64", "-H", "64", "--steps", "2"];

/// The program, without arguments yet, and without the models and settings of whoever runs the tests.
pub(crate) fn aquatint() -> Command {
    let nowhere = std::env::temp_dir().join("aquatint-tests-have-no-home");
    let mut command = Command::new(env!("CARGO_BIN_EXE_aquatint"));
    command
        .env_remove("AQUATINT_MODELS")
        .env("XDG_DATA_HOME", &nowhere)
        .env("XDG_CONFIG_HOME", &nowhere);
    command
}

/// A run to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    aquatint().args(arguments).output().unwrap()
}

/// A run to its end, which must come within `limit`: a program that hangs is ended.
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> Output {
    let started = Instant::now();
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.stdin(Stdio::null()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} took longer than {limit:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// The flags that choose a device which is there.
pub(crate) fn device() -> &'static [&'static str] {
    static DEVICE: OnceLock<&[&str]> = OnceLock::new();
    DEVICE.get_or_init(|| {
        if run(&["devices"]).status.success() {
            return &[];
        }
        let required = std::env::var_os("AQUATINT_REQUIRE_GPU").is_some_and(|value| value == "1");
        assert!(!required, "AQUATINT_REQUIRE_GPU=1, but no adapter answers");
        eprintln!("no adapter: the program is tested with the CPU interpreter");
        &["--device", "reference"]
    })
}

/// A small picture in a folder, on the adapter or, where there is none, by the interpreter.
pub(crate) fn draw(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = aquatint();
    command
        .current_dir(folder)
        .args(["generate", "a slice of pizza"])
        .args(QUICK)
        .args(device());
    command.args(arguments).output().unwrap()
}

/// Stdout as JSON, of a run that succeeded.
pub(crate) fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the program said on stdout.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What the program said on stderr.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The names of the files in a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Asserts that a run ended with this code and with one error that holds all the words.
#[track_caller]
pub(crate) fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    let is_error = |line: &&str| line.starts_with("error: ");
    assert_eq!(message.lines().filter(is_error).count(), 1, "{message}");
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
    for debris in ["panicked", "Error {", "Err(", "RUST_BACKTRACE"] {
        assert!(!message.contains(debris), "{message}");
    }
    assert!(output.stdout.is_empty(), "{}", stdout(output));
}
