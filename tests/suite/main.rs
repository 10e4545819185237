//! The tests of the whole: one binary, so that it links once. Most draw with the demo model.
#![cfg(feature = "demo-model")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod bad_files;
mod cli;
mod device;
mod dry_run;
mod embedding;
mod frames;
mod goldens;
mod hires;
#[cfg(feature = "pull")]
mod hub;
#[cfg(unix)] // elsewhere files of zeros take their space
mod key_lists;
mod layering;
mod manual;
#[path = "../support/model_files.rs"]
mod model_files;
mod models;
mod panoramas;
mod parts;
mod plan;
mod previews;
mod program;
mod prompts;
#[cfg(feature = "pull")]
mod pull;
mod replay;
mod resume;
mod sweeps;
mod tasks;
mod tasks_program;
mod textures;
#[path = "../support/tiny_upscaler.rs"]
mod tiny_upscaler;
#[cfg(target_os = "linux")] // where the place of the cache can be told
mod tune;
mod upscale;
mod vram;
