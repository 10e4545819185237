//! The tests of the whole: one binary, so that it links once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_files;
mod cli;
mod device;
mod goldens;
mod layering;
mod plan;
mod program;
#[path = "../support/sd15.rs"]
mod sd15;
