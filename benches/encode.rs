//! What a replayed dispatch costs the processor: the demo model's step, encoded and thrown away.

mod common;

use aquatint::Model;
use aquatint::bench::Replay;
use common::{Subject, checkpoint};
use std::process::ExitCode;

fn main() -> ExitCode {
    common::main("encode", |bench| {
        let model = Model::open(checkpoint::DEMO)?;
        let replay = Replay::of_step(&bench.device, &model, [128; 2], bench.precision())?;
        replay.wait()?; // for the weights, so that the device is idle
        let timing = bench.measure(|replays| {
            (0..replays).try_for_each(|_| replay.encode())?;
            Ok(())
        })?;
        let dispatches = replay.report().step.dispatches as f64;
        let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / dispatches;
        let mut figures = vec![("µs/dispatch", each(timing.wall))];
        figures.extend(timing.cpu.map(|cpu| ("CPU-µs/dispatch", each(cpu))));
        figures.extend([
            ("dispatches", dispatches),
            ("samples", f64::from(timing.samples)),
        ]);
        let subject = Subject {
            name: "step",
            size: "demo, 128²",
            dtype: &format!("{}/f16", replay.dtype()),
        };
        bench.report(&subject, &figures)
    })
}
