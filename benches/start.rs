//! From the start of a program to the end of its first step, with nothing compiled yet and with what
//! an earlier start left in the caches. Each is a process of its own, with folders of its own for
//! wgpu's pipeline cache and the driver's.

mod common;

use aquatint::{Model, Pipeline, Request};
use common::{Bench, Outcome, Subject, checkpoint, median};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Set for the processes that are timed.
const CHILD: &str = "AQUATINT_BENCH_START_CHILD";
/// Where pipelines are kept: by us (`XDG_CACHE_HOME`, Linux), by Mesa, by NVIDIA's driver.
const CACHES: [&str; 3] = [
    "XDG_CACHE_HOME",
    "MESA_SHADER_CACHE_DIR",
    "__GL_SHADER_DISK_CACHE_PATH",
];

fn main() -> ExitCode {
    common::main("start", |bench| {
        if std::env::var_os(CHILD).is_some() {
            return start(bench);
        }
        if !cfg!(target_os = "linux") {
            println!(
                "start            skipped: elsewhere than on Linux caches stay where they are"
            );
            return Ok(());
        }
        let samples = if bench.is_quick() { 1 } else { 5 };
        let [mut cold, mut warm] = [(); 2].map(|()| Vec::new());
        for _ in 0..samples {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
            cold.push(child(folder.path())?);
            warm.push(child(folder.path())?);
        }
        report(bench, "demo, 128², cold", &cold)?;
        report(bench, "demo, 128², warm", &warm)
    })
}

/// What one start took: until the device was open, the weights were on it, the first step was done.
#[derive(Clone, Copy)]
struct Start {
    opened: Duration,
    loaded: Duration,
    stepped: Duration,
}

/// Starts this program again, with its caches in a folder.
fn child(caches: &Path) -> Outcome<Start> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args().skip(1)).env(CHILD, "1");
    for cache in CACHES {
        command.env(cache, caches);
    }
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().unwrap_or_default();
    let times: Result<Vec<f64>, _> = last.split(' ').map(str::parse).collect();
    match times.as_deref() {
        Ok(&[opened, loaded, stepped]) if output.status.success() => Ok(Start {
            opened: Duration::from_secs_f64(opened),
            loaded: Duration::from_secs_f64(loaded),
            stepped: Duration::from_secs_f64(stepped),
        }),
        _ => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

/// Loads the demo model, makes one step, and prints the seconds since the program began.
fn start(bench: &Bench) -> Outcome {
    let opened = bench.start.elapsed();
    let pipeline = Pipeline::new(&bench.device, Model::open(checkpoint::DEMO)?)?;
    let loaded = bench.start.elapsed();
    let request = Request::new("a slice of pizza on a light blue background").seed(42);
    let mut run = pipeline.start(&request.precision(bench.precision()))?;
    run.next_step()?;
    let stepped = bench.start.elapsed();
    let [opened, loaded, stepped] = [opened, loaded, stepped].map(|time| time.as_secs_f64());
    println!("{opened} {loaded} {stepped}");
    Ok(())
}

fn report(bench: &Bench, size: &str, starts: &[Start]) -> Outcome {
    let middle = |time: fn(&Start) -> Duration| {
        median(starts.iter().map(time).collect()).as_secs_f64() * 1e3
    };
    let figures = [
        ("ms to first step", middle(|start| start.stepped)),
        ("ms device", middle(|start| start.opened)),
        ("ms weights", middle(|start| start.loaded - start.opened)),
        ("ms step", middle(|start| start.stepped - start.loaded)),
        ("samples", starts.len() as f64),
    ];
    let subject = Subject {
        name: "start",
        size,
        dtype: &bench.dtype()?,
    };
    bench.report(&subject, &figures)
}
