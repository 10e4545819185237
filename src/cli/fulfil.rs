//! What every verb that draws does: it loads the model, draws what is asked for, and writes the files.

use std::path::Path;
use std::time::Instant;

use aquatint::{AdapterInfo, Error, Image, Memory, Model, Pipeline, Request, Residence, Trace};

use super::drawing::DrawArgs;
use super::dry_run::{Enlarging, Estimate};
use super::failure::{Failure, Outcome};
use super::hires;
use super::interrupt::Interrupt;
use super::kept::{Kept, Report, Timings, milliseconds};
use super::output::{Pattern, check_trace};
use super::preview::Preview;
use super::progress::Progress;
use super::sweep::Queue;
use super::{counted, print, print_json};

/// Loads the model, draws what is asked for, and writes the files.
pub(super) fn fulfil(args: &DrawArgs, request: Request) -> Outcome {
    let interrupt = Interrupt::listen()?;
    let none = Networks::default();
    fulfil_into(args, &args.output, request, none, &interrupt)
}

/// The networks that enlarge pictures, where there are any.
#[derive(Default)]
pub(super) struct Networks<'a> {
    /// What one would take that works before anything is drawn, of `--dry-run`.
    pub(super) before: Option<Enlarging>,
    /// One that works between two passes.
    pub(super) between: Option<&'a Path>,
}

/// As [`fulfil`], into files of another pattern, and with networks that enlarge.
pub(super) fn fulfil_into(
    args: &DrawArgs,
    output: &Pattern,
    request: Request,
    networks: Networks<'_>,
    interrupt: &Interrupt,
) -> Outcome {
    let started = Instant::now();
    let sweep = args.sweep.sweep(&request)?;
    output.check()?;
    args.preview.check()?;
    if let Some(path) = &args.trace {
        check_trace(path, args.overwrite)?;
    }
    let progress = Progress::new(args.verbosity());

    let model = args.model.open()?;
    let model_name = model.name().to_owned();
    warn_of_leftovers(&model, &progress);
    let refiner = args.refiner.open()?;
    let device = args.device.open()?;
    let preview = args.preview.open(&device)?;
    let upscaler = hires::open(networks.between, &device)?;
    let mut pipeline = args
        .device
        .load(&device, model, refiner, &progress, interrupt)?;
    if let Some(upscaler) = upscaler {
        pipeline = pipeline.with_upscaler(upscaler)?;
    }
    let load_ms = milliseconds(started);

    let queue = Queue::of(&pipeline, &request, &sweep, &args.sweep)?;
    let first = queue.jobs[0].request.clone();
    let memory = pipeline.memory(&first)?;
    let mut asked = first;
    if sweep.is_empty() {
        asked.batch_size = request.batch_size;
    }
    progress.note(settings(&asked, &model_name, device.info()));
    if args.dry_run {
        let estimate = Estimate::of(&pipeline, &model_name, &queue, networks.before)?;
        return match args.json {
            true => print_json(&estimate),
            false => print(estimate),
        };
    }
    if queue.jobs.len() > 1 && sweep.is_empty() {
        check_in_turn(args, queue.jobs.len(), &progress)?;
    }
    tell_device(device.info(), &memory, &progress);

    let mut kept = Kept::new(args, output, &model_name, queue);
    let ended = draw_all(&pipeline, &mut kept, &preview, &progress, interrupt);
    if kept.is_empty() {
        return ended;
    }
    let grid = kept.write_grid()?;
    let traced = match (&args.trace, &kept.trace) {
        (Some(path), Some(trace)) if args.overwrite => trace.save_over(path),
        (Some(path), Some(trace)) => trace.save(path),
        _ => Ok(()),
    };
    let report = Report {
        request: &asked,
        model: &model_name,
        device: device.info(),
        memory: &memory,
        images: &kept.saved,
        grid,
        failures: &kept.failures,
        trace: args.trace.as_deref(),
        warnings: &kept.warnings,
        timings: Timings {
            load_ms,
            total_ms: milliseconds(started),
            ..kept.timings
        },
    };
    // The pictures are there, whatever became of the trace.
    report.show(args.json, &progress)?;
    traced?;
    ended
}

/// Warns that pictures are made in turn, which a trace is not made for.
fn check_in_turn(args: &DrawArgs, count: usize, progress: &Progress) -> Outcome {
    progress.note(format_args!(
        "warning: the {count} pictures do not fit at once, so they are made one after another; they \
         are the same"
    ));
    if args.trace.is_some() {
        let reason = "trace: holds one run, and the pictures do not fit at once; use -b 1";
        return Err(Failure::Usage(reason.to_owned()));
    }
    Ok(())
}

/// Says what draws, and in how much memory.
fn tell_device(device: &AdapterInfo, memory: &Memory, progress: &Progress) {
    let AdapterInfo {
        name,
        backend,
        driver,
        ..
    } = device;
    progress.detail(format_args!("device {name} · {backend} · {driver}"));
    match memory.residence {
        Residence::Together => progress.detail(format_args!("memory {memory}")),
        // It takes time with every picture.
        Residence::InTurn => progress.note(format_args!("memory {memory}")),
    }
}

/// Does all runs and keeps what they give, until one fails for a reason that is not its own, or Ctrl-C.
fn draw_all(
    pipeline: &Pipeline,
    kept: &mut Kept<'_>,
    preview: &Preview<'_>,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Outcome {
    let count = kept.queue.jobs.len();
    let mut ended = Ok(());
    for job in 0..count {
        let current = &kept.queue.jobs[job];
        let labels = match current.labels.is_empty() {
            true => format!("seed {}", current.request.seed.unwrap_or_default()),
            false => current.labels.join(" · "),
        };
        if count > 1 {
            progress.note(format_args!("{} of {count}  {labels}", job + 1));
        }
        let trace = kept.args.trace.as_deref();
        let drawn = draw(
            pipeline,
            &current.request,
            trace,
            Some(preview),
            progress,
            interrupt,
        );
        match drawn.and_then(|drawn| kept.keep(drawn, job)) {
            Ok(()) => {}
            // The others may come out all the same.
            Err(Failure::Library(error)) if count > 1 && concerns_one(&error) => {
                let failure = format!("{labels}: {error}");
                progress.note(format_args!("error: {failure}"));
                kept.failures.push(failure);
                ended = Err(Failure::Library(error));
            }
            Err(failure) => return Err(failure),
        }
    }
    ended
}

/// Whether an error is of one run alone: others may come out.
fn concerns_one(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFinite { .. } | Error::OutOfMemory { .. } | Error::Unsupported(_)
    )
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
    let again = request.hires;
    let again = again.map_or(String::new(), |hires| {
        format!(", again at {}×", hires.scale)
    });
    let refined = request.refiner_start;
    let refined = refined.map_or(String::new(), |start| format!(", refined from {start}"));
    format!(
        "{model} · {}×{}{pictures} · {} {}/{}{refined}{again} · guidance {} · seed {} · \
         {device_name}{software}",
        request.width.expect(RESOLVED),
        request.height.expect(RESOLVED),
        counted(request.steps.expect(RESOLVED), "step"),
        request.sampler.as_deref().expect(RESOLVED),
        request.schedule.as_deref().expect(RESOLVED),
        request.guidance_scale.expect(RESOLVED),
        request.seed.expect(RESOLVED),
    )
}

/// What a run gave.
pub(super) struct Drawn {
    pub(super) images: Vec<Image>,
    pub(super) trace: Option<Trace>,
    pub(super) warnings: Vec<String>,
    pub(super) steps_ms: f64,
    pub(super) decode_ms: f64,
}

/// Runs all steps and decodes, keeping every intermediate for a trace's file and writing what is becoming of
/// the pictures where that is asked for; Ctrl-C drops the run after the step under way.
pub(super) fn draw(
    pipeline: &Pipeline,
    request: &Request,
    trace: Option<&Path>,
    preview: Option<&Preview<'_>>,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Outcome<Drawn> {
    let stepping = Instant::now();
    let mut run = match trace {
        Some(_) => pipeline.start_traced(request)?,
        None => pipeline.start(request)?,
    };
    let told = run.warnings().len();
    for warning in run.warnings() {
        progress.note(format_args!("warning: {warning}"));
    }
    let bar = progress.stepping();
    bar.start(run.step_count());
    while let Some(step) = run.next_step()? {
        interrupt.check()?;
        bar.show(&step);
        preview.map_or(Ok(()), |preview| preview.write(&run, &step))?;
    }
    let steps_ms = milliseconds(stepping);
    // A second pass may have more to say.
    let warnings = run.warnings().to_vec();
    for warning in &warnings[told..] {
        progress.note(format_args!("warning: {warning}"));
    }

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
