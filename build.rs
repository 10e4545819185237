//! Tells the program which commit, target and compiler it is made of and by (`--version --verbose`).
//!
//! The commit comes from `AQUATINT_COMMIT`, from the note that `cargo package` leaves in a crate, or
//! from git; where none of them tells, it is unknown, and nothing fails.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the library and the program are made of. Changes elsewhere build nothing anew.
const SOURCES: [&str; 5] = ["src", "shaders", "models", "build.rs", "Cargo.toml"];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-env-changed=AQUATINT_COMMIT");
    let commit = given().or_else(packaged).or_else(checked_out);
    tell("AQUATINT_COMMIT", commit);
    tell("AQUATINT_TARGET", env::var("TARGET").ok());
    tell("AQUATINT_COMPILER", compiler());
}

fn tell(name: &str, value: Option<String>) {
    let value = value.unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env={name}={value}");
}

/// The commit that whoever builds names.
fn given() -> Option<String> {
    let commit = env::var("AQUATINT_COMMIT").ok()?;
    let commit = commit.trim();
    (!commit.is_empty()).then(|| commit.to_owned())
}

/// The commit that a crate was packaged from: `{"git": {"sha1": "…", "dirty": true}, …}`.
fn packaged() -> Option<String> {
    let note = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = note.split_once("\"sha1\": \"")?;
    let (commit, rest) = rest.split_once('"')?;
    Some(marked(commit, rest.contains("\"dirty\": true")))
}

/// The commit of the working tree that the sources are in, unless they only lie in somebody else's.
fn checked_out() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    let commit = output(Command::new("git").args(["rev-parse", "HEAD"]))?;
    let status = ["status", "--porcelain", "--"];
    let changes = output(Command::new("git").args(status).args(SOURCES))?;
    Some(marked(&commit, !changes.is_empty()))
}

/// A commit, and whether the sources are what it holds.
fn marked(commit: &str, changed: bool) -> String {
    let mark = if changed { ", changed since" } else { "" };
    format!("{commit}{mark}")
}

fn compiler() -> Option<String> {
    output(Command::new(env::var_os("RUSTC")?).arg("--version"))
}

/// What a command that succeeds says on stdout.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}
