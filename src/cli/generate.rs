//! `aquatint generate`: a prompt becomes pictures.

use std::path::{Path, PathBuf};
use std::time::Instant;

use aquatint::{AdapterInfo, Image, Memory, Model, Pipeline, Request, Residence, Trace};
use clap::Args;
use serde::Serialize;

use super::drawing::DrawArgs;
use super::failure::Outcome;
use super::hires::HiresArgs;
use super::interrupt::Interrupt;
use super::output::{Facts, Pattern, check_trace};
use super::progress::Progress;
use super::{print, print_json};

/// The arguments of `generate`.
#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// What to draw; put it in quotes
    #[arg(value_name = "PROMPT")]
    pub(super) prompt: String,

    #[command(flatten)]
    pub(super) hires: HiresArgs,

    #[command(flatten)]
    pub(super) draw: DrawArgs,
}

/// Draws from the prompt alone.
pub(super) fn run(args: &GenerateArgs) -> Outcome {
    let mut request = args.draw.request(&args.prompt);
    request.hires = args.hires.hires();
    fulfil(&args.draw, request)
}

/// Loads the model, draws what is asked for, and writes the files.
pub(super) fn fulfil(args: &DrawArgs, request: Request) -> Outcome {
    let interrupt = Interrupt::listen()?;
    fulfil_into(args, &args.output, request, &interrupt)
}

/// As [`fulfil`], into files of another pattern.
pub(super) fn fulfil_into(
    args: &DrawArgs,
    output: &Pattern,
    request: Request,
    interrupt: &Interrupt,
) -> Outcome {
    let started = Instant::now();
    request.check()?;
    output.check()?;
    if let Some(path) = &args.trace {
        check_trace(path, args.overwrite)?;
    }
    let progress = Progress::new(args.verbosity());

    let model = args.model.open()?;
    let model_name = model.name().to_owned();
    warn_of_leftovers(&model, &progress);
    let refiner = args.refiner.open()?;
    let device = args.device.open()?;
    let pipeline = args
        .device
        .load(&device, model, refiner, &progress, interrupt)?;
    let load_ms = milliseconds(started);

    let request = pipeline.resolve(&request)?;
    progress.note(settings(&request, &model_name, device.info()));
    let AdapterInfo {
        name,
        backend,
        driver,
        ..
    } = device.info();
    progress.detail(format_args!("device {name} · {backend} · {driver}"));
    let memory = pipeline.memory(&request)?;
    match memory.residence {
        Residence::Together => progress.detail(format_args!("memory {memory}")),
        // It takes time with every picture.
        Residence::InTurn => progress.note(format_args!("memory {memory}")),
    }

    let trace = args.trace.as_deref();
    let drawn = draw(&pipeline, &request, trace, &progress, interrupt)?;
    let saving = Instant::now();
    let images = save(
        (args.overwrite, output),
        &drawn.images,
        &request,
        &model_name,
    )?;
    let traced = match (&args.trace, &drawn.trace) {
        (Some(path), Some(trace)) if args.overwrite => trace.save_over(path),
        (Some(path), Some(trace)) => trace.save(path),
        _ => Ok(()),
    };
    let report = Report {
        request: &request,
        model: &model_name,
        device: device.info(),
        memory: &memory,
        images: &images,
        trace: args.trace.as_deref(),
        warnings: &drawn.warnings,
        timings: Timings {
            load_ms,
            steps_ms: drawn.steps_ms,
            decode_ms: drawn.decode_ms,
            save_ms: milliseconds(saving),
            total_ms: milliseconds(started),
        },
    };
    // The pictures are there, whatever became of the trace.
    report.show(args, &progress)?;
    Ok(traced?)
}

/// Says what of the model's files nobody uses: it may be what somebody counts on.
fn warn_of_leftovers(model: &Model, progress: &Progress) {
    if let Some(first) = model.leftovers().first() {
        let (count, first) = (model.leftovers().len(), first.escape_debug());
        progress.note(format_args!(
            "warning: not used: {count} of the model's tensors, such as {first}"
        ));
    }
}

/// The resolved settings in one line, so that a picture can be made again.
pub(super) fn settings(request: &Request, model: &str, device: &AdapterInfo) -> String {
    const RESOLVED: &str = "a resolved request has every field";
    let device_name = device.name.split(" (").next().unwrap_or(&device.name);
    let software = if device.software { " (software)" } else { "" };
    let pictures = match request.batch_size {
        1 => String::new(),
        count => format!(" · {count} pictures"),
    };
    let plural = if request.steps == Some(1) { "" } else { "s" };
    let again = request.hires;
    let again = again.map_or(String::new(), |hires| {
        format!(", again at {}×", hires.scale)
    });
    let refined = request.refiner_start;
    let refined = refined.map_or(String::new(), |start| format!(", refined from {start}"));
    format!(
        "{model} · {}×{}{pictures} · {} step{plural} {}/{}{refined}{again} · guidance {} · seed {} · \
         {device_name}{software}",
        request.width.expect(RESOLVED),
        request.height.expect(RESOLVED),
        request.steps.expect(RESOLVED),
        request.sampler.as_deref().expect(RESOLVED),
        request.schedule.as_deref().expect(RESOLVED),
        request.guidance_scale.expect(RESOLVED),
        request.seed.expect(RESOLVED),
    )
}

/// What a run gave.
pub(super) struct Drawn {
    pub(super) images: Vec<Image>,
    trace: Option<Trace>,
    pub(super) warnings: Vec<String>,
    steps_ms: f64,
    decode_ms: f64,
}

/// Runs all steps and decodes, keeping every intermediate for a trace's file; Ctrl-C drops the run after the step under way.
pub(super) fn draw(
    pipeline: &Pipeline,
    request: &Request,
    trace: Option<&Path>,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Outcome<Drawn> {
    let stepping = Instant::now();
    let mut run = match trace {
        Some(_) => pipeline.start_traced(request)?,
        None => pipeline.start(request)?,
    };
    let warnings = run.warnings().to_vec();
    for warning in &warnings {
        progress.note(format_args!("warning: {warning}"));
    }
    let bar = progress.stepping();
    bar.start(run.step_count());
    while let Some(step) = run.next_step()? {
        interrupt.check()?;
        bar.show(&step);
    }
    let steps_ms = milliseconds(stepping);

    let decoding = Instant::now();
    bar.decoding();
    let (images, trace) = if trace.is_some() {
        let (images, trace) = run.finish_traced()?;
        (images, Some(trace))
    } else {
        let images = run.finish_with_progress(&mut |tiles| {
            interrupt.exit_if_asked();
            bar.show_tile(&tiles);
        })?;
        (images, None)
    };
    interrupt.check()?;
    Ok(Drawn {
        images,
        trace,
        warnings,
        steps_ms,
        decode_ms: milliseconds(decoding),
    })
}

/// A picture that was written.
#[derive(Serialize)]
struct Saved {
    path: PathBuf,
    seed: u64,
    width: usize,
    height: usize,
}

fn save(
    (overwrite, output): (bool, &Pattern),
    images: &[Image],
    request: &Request,
    model: &str,
) -> Outcome<Vec<Saved>> {
    let mut paths = Vec::with_capacity(images.len());
    let mut saved = Vec::with_capacity(images.len());
    for (index, image) in images.iter().enumerate() {
        let (width, height) = (image.width(), image.height());
        let seed = image
            .seed()
            .or(request.seed)
            .expect("a picture made here has a seed");
        let facts = Facts {
            seed,
            index,
            model,
            width,
            height,
        };
        let path = if overwrite {
            output.save_over(image, &facts, &paths)?
        } else {
            output.save_new(image, &facts)?
        };
        paths.push(path.clone());
        saved.push(Saved {
            path,
            seed,
            width,
            height,
        });
    }
    Ok(saved)
}

/// Everything that a program would want to know of a run: what `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    request: &'a Request,
    model: &'a str,
    device: &'a AdapterInfo,
    memory: &'a Memory,
    images: &'a [Saved],
    trace: Option<&'a Path>,
    warnings: &'a [String],
    timings: Timings,
}

#[derive(Serialize)]
struct Timings {
    load_ms: f64,
    steps_ms: f64,
    decode_ms: f64,
    save_ms: f64,
    total_ms: f64,
}

impl Report<'_> {
    /// Prints the files' names, or all of it as JSON.
    fn show(&self, args: &DrawArgs, progress: &Progress) -> Outcome {
        let timings = &self.timings;
        progress.detail(format_args!(
            "load {:.0} ms · steps {:.0} ms · decode {:.0} ms · save {:.0} ms",
            timings.load_ms, timings.steps_ms, timings.decode_ms, timings.save_ms
        ));
        if args.json {
            return print_json(self);
        }
        let paths: Vec<String> = self
            .images
            .iter()
            .map(|saved| saved.path.display().to_string())
            .collect();
        print(paths.join("\n"))
    }
}

/// The time since a moment.
fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
