//! From file to device, beside reading the same file and doing nothing with it, and beside copying as
//! many bytes to the device from memory: the disk's share and the bus's. All take turns in one run.
//!
//! Warm, the file is in the system's cache, and it is the program that is measured; cold, which only
//! Linux is asked for, it comes from the disk.

mod common;

use aquatint::bench::copy_weights;
use aquatint::{Device, Model, Pipeline};
use common::{Bench, Outcome, Subject, checkpoint, median};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What `cat` reads at once.
const READ_BYTES: usize = 128 << 10;
/// The variable that names another checkpoint to load.
const CHECKPOINT: &str = "AQUATINT_BENCH_CHECKPOINT";

fn main() -> ExitCode {
    common::main("load", |bench| {
        let demo = Path::new(checkpoint::DEMO);
        time(bench, demo, "demo", Cache::Warm, 9)?;
        if bench.is_quick() {
            return Ok(());
        }
        let (large, name) = match std::env::var_os(CHECKPOINT) {
            Some(path) => (PathBuf::from(path), "given"),
            None => (checkpoint::sd15()?, "SD 1.5"),
        };
        time(bench, &large, name, Cache::Warm, 3)?;
        time(bench, &large, name, Cache::Cold, 3)
    })
}

/// Whether the file is in the system's cache when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cache {
    Warm,
    Cold,
}

/// How long the parts of one load took.
struct Load {
    open: Duration,
    upload: Duration,
    uploaded_bytes: u64,
}

fn time(bench: &Bench, checkpoint: &Path, model: &str, cache: Cache, samples: usize) -> Outcome {
    let file_bytes = std::fs::metadata(checkpoint)?.len();
    let state = if cache == Cache::Cold { ", cold" } else { "" };
    let size = format!("{model}, {} MB{state}", file_bytes / 1_000_000);
    if !bench.wants("load", &size) {
        return Ok(());
    }
    if !prepare(checkpoint, cache)? {
        println!("load             {size}: skipped: needs Linux and dd, which empties the cache");
        return Ok(());
    }
    let uploaded_bytes = load(&bench.device, checkpoint)?.uploaded_bytes;
    let [mut reads, mut copies, mut opens, mut uploads] = [(); 4].map(|()| Vec::new());
    for _ in 0..samples {
        prepare(checkpoint, cache)?;
        reads.push(read(checkpoint)?);
        copies.push(copy(&bench.device, checkpoint)?);
        prepare(checkpoint, cache)?;
        let Load { open, upload, .. } = load(&bench.device, checkpoint)?;
        opens.push(open);
        uploads.push(upload);
    }
    let medians = [reads, copies, opens, uploads].map(|times| median(times).as_secs_f64());
    let [read, copy, open, upload] = medians;
    let giga = |bytes: u64| bytes as f64 / 1e9;
    let figures = [
        ("GB/s loaded", giga(uploaded_bytes) / (open + upload)),
        ("GB/s copied", giga(uploaded_bytes) / copy),
        ("GB/s read", giga(file_bytes) / read),
        ("of copying", (open + upload) / copy),
        ("of reading", (open + upload) / read),
        ("ms to open", open * 1e3),
        ("ms to upload", upload * 1e3),
        ("samples", samples as f64),
    ];
    let subject = Subject {
        name: "load",
        size: &size,
        dtype: "f16",
    };
    bench.report(&subject, &figures)
}

/// Opens and checks a checkpoint, then brings its weights to the device and waits for them.
fn load(device: &Device, checkpoint: &Path) -> Outcome<Load> {
    let start = Instant::now();
    let model = Model::open(checkpoint)?;
    let open = start.elapsed();
    let mut uploaded_bytes = 0;
    Pipeline::with_progress(device, model, &mut |progress| {
        uploaded_bytes = progress.done_bytes
    })?;
    Ok(Load {
        open,
        upload: start.elapsed() - open,
        uploaded_bytes,
    })
}

/// Copies as many bytes to the device as loading does.
fn copy(device: &Device, checkpoint: &Path) -> Outcome<Duration> {
    let model = Model::open(checkpoint)?;
    let start = Instant::now();
    copy_weights(device, &model)?;
    Ok(start.elapsed())
}

/// As `cat checkpoint > /dev/null`.
fn read(checkpoint: &Path) -> Outcome<Duration> {
    let start = Instant::now();
    let mut file = File::open(checkpoint)?;
    let mut buffer = vec![0; READ_BYTES];
    while file.read(&mut buffer)? > 0 {}
    Ok(start.elapsed())
}

/// Brings a file into the system's cache, or out of it; says whether it could.
fn prepare(checkpoint: &Path, cache: Cache) -> Outcome<bool> {
    match cache {
        Cache::Warm => read(checkpoint).map(|_| true),
        // GNU dd advises the system to drop what it keeps of a file of which no byte is asked for.
        Cache::Cold if cfg!(target_os = "linux") => Ok(Command::new("dd")
            .arg(format!("if={}", checkpoint.display()))
            .args(["iflag=nocache", "count=0"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())),
        Cache::Cold => Ok(false),
    }
}
