//! From file to device, beside reading the same file and doing nothing with it. Both take turns in
//! one run, and the file is in the system's cache: it is the program that is measured, not the disk.

mod common;

use aquatint::{Device, Model, Pipeline};
use common::{Bench, Outcome, Subject, checkpoint, median};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What `cat` reads at once.
const READ_BYTES: usize = 128 << 10;

fn main() -> ExitCode {
    common::main("load", |bench| {
        time(bench, Path::new(checkpoint::DEMO), "demo", 9)?;
        if !bench.is_quick() {
            time(bench, &checkpoint::sd15()?, "SD 1.5", 3)?;
        }
        Ok(())
    })
}

/// How long the parts of one load took.
struct Load {
    open: Duration,
    upload: Duration,
    uploaded_bytes: u64,
}

fn time(bench: &Bench, checkpoint: &Path, model: &str, samples: usize) -> Outcome {
    let file_bytes = std::fs::metadata(checkpoint)?.len();
    let size = format!("{model}, {} MB", file_bytes / 1_000_000);
    if !bench.wants("load", &size) {
        return Ok(());
    }
    read(checkpoint)?;
    let uploaded_bytes = load(&bench.device, checkpoint)?.uploaded_bytes;
    let (mut reads, mut opens, mut uploads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        reads.push(read(checkpoint)?);
        let Load { open, upload, .. } = load(&bench.device, checkpoint)?;
        opens.push(open);
        uploads.push(upload);
    }
    let [read, open, upload] = [reads, opens, uploads].map(|times| median(times).as_secs_f64());
    let giga = |bytes: u64| bytes as f64 / 1e9;
    let figures = [
        ("GB/s loaded", giga(uploaded_bytes) / (open + upload)),
        ("GB/s uploaded", giga(uploaded_bytes) / upload),
        ("GB/s read", giga(file_bytes) / read),
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

/// As `cat checkpoint > /dev/null`.
fn read(checkpoint: &Path) -> Outcome<Duration> {
    let start = Instant::now();
    let mut file = File::open(checkpoint)?;
    let mut buffer = vec![0; READ_BYTES];
    while file.read(&mut buffer)? > 0 {}
    Ok(start.elapsed())
}
