//! The whole of a request, from the prompt to the picture's bytes in memory: tokens, text encoder,
//! every step with guidance, decoder. Weights are on the device already.

mod common;

use aquatint::{Model, PhaseReport, Pipeline, PlanOptions, Request, Rules};
use common::{Bench, Outcome, Subject, Work};
use std::path::Path;
use std::process::ExitCode;

/// A prompt that the demo model knows.
const PROMPT: &str = "a slice of pizza on a light blue background";

fn main() -> ExitCode {
    common::main("picture", |bench| {
        for (path, name, side_px) in bench.models(128)? {
            // A processor has enough to do with two steps of a full-size model.
            let few = bench.device.info().software && name != "demo";
            time(bench, &path, name, side_px, if few { 2 } else { 20 })?;
        }
        Ok(())
    })
}

fn time(bench: &Bench, checkpoint: &Path, model: &str, side_px: usize, steps: usize) -> Outcome {
    let size = format!("{model}, {side_px}², {steps} steps");
    if !bench.wants("picture", &size) {
        return Ok(());
    }
    let model = Model::open(checkpoint)?;
    let work = work(&model, bench, side_px, steps)?;
    let pipeline = Pipeline::new(&bench.device, model)?;
    let request = Request::new(PROMPT)
        .size(side_px, side_px)
        .steps(steps)
        .sampler("euler")
        .seed(42)
        .precision(bench.precision());
    let timing = bench.measure(|pictures| {
        for _ in 0..pictures {
            pipeline.generate(&request)?;
        }
        Ok(())
    })?;
    let subject = Subject {
        name: "picture",
        size: &size,
        dtype: &bench.dtype()?,
    };
    bench.rate(&subject, &timing, work)
}

/// What a picture costs by its plans.
fn work(model: &Model, bench: &Bench, side_px: usize, steps: usize) -> Outcome<Work> {
    let report = model.plan(&PlanOptions {
        vram_bytes: None,
        vae_tile: None,
        tile_latents: None,
        width: side_px,
        height: side_px,
        batch_size: 1,
        precision: bench.precision(),
        rules: Rules::all(),
    })?;
    let total = |of: fn(PhaseReport) -> u64| {
        let [text, unet, vae] =
            ["text_encoder", "unet", "vae_decoder"].map(|part| report.parts[part]);
        let once = [
            text.prologue,
            text.step,
            unet.prologue,
            vae.prologue,
            vae.step,
        ];
        let once: u64 = once.into_iter().map(of).sum();
        (once + steps as u64 * of(unet.step)) as f64
    };
    Ok(Work {
        flops: total(|phase| phase.flops),
        bytes: total(|phase| phase.bytes),
    })
}
