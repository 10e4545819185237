//! One decoding: from a latent to a picture's bytes.

mod common;

use aquatint::Model;
use aquatint::bench::Replay;
use common::{Bench, Outcome};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    common::main("vae_decode", |bench| {
        let mut models = bench.models(512)?.into_iter();
        models.try_for_each(|(path, name, side_px)| time(bench, &path, name, side_px))
    })
}

fn time(bench: &Bench, checkpoint: &Path, model: &str, side_px: usize) -> Outcome {
    let size = format!("{model}, {side_px}²");
    if !bench.wants("decode", &size) {
        return Ok(());
    }
    let model = Model::open(checkpoint)?;
    let replay = Replay::of_decoder(&bench.device, &model, [side_px; 2], bench.precision())?;
    bench.time("decode", &size, &replay)
}
