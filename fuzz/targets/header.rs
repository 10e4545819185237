//! A model file: header, names, family, configuration and networks, as far as it gets.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use aquatint::Summary;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("there is room"));
static FILE: LazyLock<PathBuf> = LazyLock::new(|| FOLDER.path().join("model.safetensors"));

fuzz_target!(|bytes: &[u8]| {
    // A new file each time: the one before may still be mapped.
    drop(fs::remove_file(&*FILE));
    fs::write(&*FILE, bytes).expect("there is room");
    if let Ok(summary) = Summary::open(&*FILE) {
        let _ = summary.to_string();
    }
});
