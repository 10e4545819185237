//! One denoising step with guidance: scaling, two evaluations of the UNet, sampler, finite check; and the
//! same with the check's answer waited for each time, as runs do.

mod common;

use aquatint::Model;
use aquatint::bench::Replay;
use common::{Bench, Outcome};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    common::main("unet_step", |bench| {
        let mut models = bench.models(128)?.into_iter();
        models.try_for_each(|(path, name, side_px)| time(bench, &path, name, side_px))
    })
}

fn time(bench: &Bench, checkpoint: &Path, model: &str, side_px: usize) -> Outcome {
    let size = format!("{model}, {side_px}²");
    if !bench.wants("step", &size) {
        return Ok(());
    }
    let model = Model::open(checkpoint)?;
    let replay = Replay::of_step(&bench.device, &model, [side_px; 2], bench.precision())?;
    bench.time("step", &size, &replay)?;
    let ask = || Ok(replay.is_finite().map(drop)?);
    bench.time_with("step, then asked", &size, &replay, ask)
}
