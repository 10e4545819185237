//! Runs that are kept between steps and gone on with elsewhere, as after a device that was lost.

use crate::device;
use crate::embedding::Host;
use crate::goldens::{model, pipeline};
use aquatint::sampling::{NoisePath, SAMPLERS};
use aquatint::{
    BatchNoise, Checkpoint, Device, Error, Hires, HiresResize, Image, Inpaint, Outpaint, Pipeline,
    Precision, PromptStyle, Rect, Request, Result, Run, Task, TileLatents, wgpu,
};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const MODEL: &str = "tiny_bksdm";

fn request() -> Request {
    let request = Request::new("a row of houses").negative("fog").size(36, 28);
    request.steps(5).seed(4).precision(Precision::F32)
}

/// A run's checkpoints, before the first step and after each, and its pictures.
fn kept(mut run: Run) -> (Vec<Checkpoint>, Vec<Image>) {
    let mut kept = vec![run.checkpoint().unwrap()];
    while run.next_step().unwrap().is_some() {
        kept.push(run.checkpoint().unwrap());
    }
    (kept, run.finish().unwrap())
}

/// That a run gone on with at each of its steps, on a pipeline of its own, draws what it draws without a
/// break.
#[track_caller]
fn assert_resumable(begun: &Pipeline, again: &Pipeline, request: &Request, what: &str) {
    let expected = begun.generate(request).unwrap();
    let (kept, pictures) = kept(begun.start(request).unwrap());
    assert!(pictures == expected, "{what}: keeping it changes it");
    for (done, checkpoint) in kept.iter().enumerate() {
        assert_eq!(checkpoint.steps_done(), done, "{what}");
        assert_eq!(checkpoint.step_count(), kept.len() - 1, "{what}");
        let mut run = again.resume(checkpoint).unwrap();
        assert_eq!(run.request(), checkpoint.request());
        if let Some(step) = run.next_step().unwrap() {
            assert_eq!((step.index, step.count), (done, kept.len() - 1), "{what}");
        }
        let pictures = run.finish().unwrap();
        assert!(
            pictures == expected,
            "{what}: other pictures after step {done}"
        );
    }
}

#[test]
fn every_sampler_goes_on_as_if_nothing_had_been() {
    let (begun, again) = (pipeline(MODEL), pipeline(MODEL));
    for sampler in SAMPLERS {
        let request = request().sampler(sampler.name);
        let expected = begun.generate(&request).unwrap();
        let mut run = begun.start(&request).unwrap();
        for _ in 0..2 {
            run.next_step().unwrap();
        }
        let checkpoint = run.checkpoint().unwrap();
        drop(run);
        let pictures = again.resume(&checkpoint).unwrap().finish().unwrap();
        assert!(
            pictures == expected,
            "{} draws another picture",
            sampler.name
        );
    }
}

#[test]
fn batches_and_brownian_noise_go_on_at_any_step() {
    let (begun, again) = (pipeline(MODEL), pipeline(MODEL));
    let batch = request().sampler("dpmpp_sde").batch_size(2);
    let brownian = NoisePath::Brownian;
    for noise in [BatchNoise::Each, BatchNoise::Together] {
        let request = batch.clone().batch_noise(noise).noise_path(brownian);
        assert_resumable(&begun, &again, &request, "a batch");
    }
    let windows = TileLatents {
        size_px: Some(64),
        overlap_px: Some(32),
    };
    let wide = request().size(96, 64).tile_latents(windows);
    assert_resumable(&begun, &again, &wide, "windows");
    let editing = Request::new("[a fox:a crow:0.4]")
        .prompt_style(PromptStyle::A1111)
        .size(36, 28)
        .steps(5)
        .seed(1);
    assert_resumable(&begun, &again, &editing, "a prompt that changes");
}

#[test]
fn both_passes_over_a_picture_are_gone_on_with() {
    let (begun, again) = (pipeline(MODEL), pipeline(MODEL));
    for resize in [HiresResize::Latent, HiresResize::Lanczos] {
        let hires = Hires {
            resize,
            steps: Some(3),
            ..Hires::default()
        };
        let request = request().steps(2).sampler("euler_ancestral").hires(hires);
        assert_resumable(&begun, &again, &request, &format!("{resize:?}"));
    }
}

#[test]
fn a_refiner_is_gone_on_with_before_and_after_it_takes_over() {
    let refined = || {
        pipeline("tiny_xl")
            .with_refiner(pipeline("tiny_refiner"))
            .unwrap()
    };
    let request = request()
        .size(28, 28)
        .sampler("dpmpp_2m")
        .refiner_start(0.5);
    assert_resumable(&refined(), &refined(), &request, "a refiner");
}

fn picture() -> Image {
    let pixels = (0..36 * 28_usize).flat_map(|i| {
        let [row, column] = [i / 36, i % 36].map(|place| u8::try_from(place).unwrap());
        [7 * column, 9 * row, 128, 255]
    });
    Image::from_rgba(36, 28, pixels.collect()).unwrap()
}

#[test]
fn pictures_that_are_changed_filled_in_and_drawn_on_are_gone_on_with() {
    let transform = Task::ImageToImage {
        image: picture().into(),
        strength: 0.7,
    };
    let mut inpaint = Inpaint::new(picture());
    inpaint.mask_rect = Some(Rect::new(8, 8, 16, 12));
    let outpaint = Outpaint::new(picture(), [0, 40, 0, 0]);
    for (what, model, task) in [
        ("changed", MODEL, transform),
        ("filled in", MODEL, Task::Inpaint(inpaint.clone())),
        ("seen and filled in", "tiny_inpaint", Task::Inpaint(inpaint)),
        ("drawn on in rounds", MODEL, Task::Outpaint(outpaint)),
    ] {
        let request = Request::new("a meadow").task(task).steps(3).seed(2);
        let request = request.sampler("euler_ancestral").precision(Precision::F32);
        let request = request.size(36, 28);
        assert_resumable(&pipeline(model), &pipeline(model), &request, what);
        let brownian = request.sampler("dpmpp_sde").noise_path(NoisePath::Brownian);
        assert_resumable(&pipeline(model), &pipeline(model), &brownian, what);
    }
}

#[test]
fn a_trace_goes_on_too() {
    let (begun, again) = (pipeline(MODEL), pipeline(MODEL));
    let traced = begun.start_traced(&request()).unwrap();
    let (_, expected) = traced.finish_traced().unwrap();
    let mut run = begun.start_traced(&request()).unwrap();
    run.next_step().unwrap();
    let resumed = again.resume(&run.checkpoint().unwrap()).unwrap();
    let (_, found) = resumed.finish_traced().unwrap();
    assert!(found == expected);
}

#[test]
fn a_checkpoint_of_another_model_is_refused_by_name() {
    let run = pipeline(MODEL).start(&request()).unwrap();
    let checkpoint = run.checkpoint().unwrap();
    let refusal = |pipeline: &Pipeline| pipeline.resume(&checkpoint).unwrap_err().to_string();
    let error = refusal(&pipeline("tiny_a"));
    for name in [MODEL, "tiny_a", "load the files"] {
        assert!(error.contains(name), "{error}");
    }
    // A refiner that was not there changes the picture as well.
    let refined = pipeline("tiny_xl")
        .with_refiner(pipeline("tiny_refiner"))
        .unwrap();
    let run = refined.start(&request().size(28, 28)).unwrap();
    let checkpoint = run.checkpoint().unwrap();
    let alone = pipeline("tiny_xl");
    assert!(matches!(
        alone.resume(&checkpoint),
        Err(Error::Unsupported(_))
    ));
}

#[test]
fn a_run_that_was_called_off_is_kept_no_more() {
    let mut run = pipeline(MODEL).start(&request()).unwrap();
    run.canceller().cancel();
    run.next_step().unwrap_err();
    assert!(matches!(run.checkpoint(), Err(Error::Cancelled)));
}

/// What is drawn until it fails; what was kept of it last.
fn drawn(
    pipeline: &Pipeline,
    last: &mut Option<Checkpoint>,
    each: impl Fn(usize),
) -> Result<Vec<Image>> {
    let mut run = pipeline.start(&request())?;
    while let Some(step) = run.next_step()? {
        *last = Some(run.checkpoint()?);
        each(step.index);
    }
    run.finish()
}

/// Numbers of which the next follows from the last (Knuth, MMIX).
fn next(random: &mut u64) -> u64 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *random >> 33
}

/// Every other time between two steps, and otherwise from another thread, at any time of a run.
#[test]
fn a_device_destroyed_at_any_point_of_a_run_is_recovered_from() {
    const POINTS: usize = 10;
    let Some(host) = Host::open(Device::descriptor) else {
        return;
    };
    let load = |host: &Host| Pipeline::new(&host.share().unwrap(), model(MODEL)).unwrap();
    let calm = load(&host);
    let expected = calm.generate(&request()).unwrap();
    let start = Instant::now();
    drawn(&calm, &mut None, |_| ()).unwrap();
    let took = start.elapsed();
    let mut random = 2026;
    let mut lost = 0;
    for point in 0..POINTS {
        let host = Host::open(Device::descriptor).unwrap();
        let pipeline = load(&host);
        let doomed = host.device.clone();
        let mut last = None;
        let result = if point % 2 == 0 {
            let after = usize::try_from(next(&mut random) % 5).unwrap();
            drawn(&pipeline, &mut last, |step| {
                if step == after {
                    doomed.destroy();
                }
            })
        } else {
            let delay = took.mul_f64((next(&mut random) % 1000) as f64 / 1000.0);
            let (done, is_done) = mpsc::channel::<()>();
            let killer = thread::spawn(move || {
                thread::sleep(delay);
                doomed.destroy();
                // A host goes on with its frames: it polls.
                while is_done.recv_timeout(Duration::from_micros(50))
                    == Err(mpsc::RecvTimeoutError::Timeout)
                {
                    drop(doomed.poll(wgpu::PollType::Poll));
                }
            });
            let result = drawn(&pipeline, &mut last, |_| ());
            drop(done);
            killer.join().unwrap();
            result
        };
        let error = match result {
            Ok(pictures) => {
                assert!(pictures == expected, "point {point}");
                continue;
            }
            Err(error) => error,
        };
        assert!(
            matches!(error, Error::DeviceLost { .. }),
            "point {point}: {error}"
        );
        lost += 1;
        drop((pipeline, host));
        let host = Host::open(Device::descriptor).unwrap();
        let pipeline = load(&host);
        let pictures = match &last {
            Some(checkpoint) => pipeline.resume(checkpoint).unwrap().finish(),
            None => pipeline.generate(&request()),
        };
        assert!(pictures.unwrap() == expected, "point {point}");
    }
    eprintln!("{lost} of {POINTS} runs lost their device and were gone on with");
    assert!(
        lost >= POINTS / 2,
        "only {lost} of {POINTS} were lost in time"
    );
    // And whoever had nothing to do with any of them.
    assert!(calm.generate(&request()).unwrap() == expected);
}

#[test]
fn another_device_goes_on_with_nearly_the_same_picture() {
    let Some(device) = device::graphics() else {
        return;
    };
    let begun = Pipeline::new(device, model(MODEL)).unwrap();
    let mut run = begun.start(&request()).unwrap();
    run.next_step().unwrap();
    let checkpoint = run.checkpoint().unwrap();
    let expected = run.finish().unwrap().remove(0);
    let reference = Pipeline::new(&Device::reference(), model(MODEL)).unwrap();
    let picture = reference
        .resume(&checkpoint)
        .unwrap()
        .finish()
        .unwrap()
        .remove(0);
    let distance = picture.difference(&expected).unwrap();
    assert!(
        distance.psnr_db.is_none_or(|psnr| psnr > 45.0),
        "{distance:?}"
    );
}
