//! The frames of an app that lends its device: how long each takes while a picture is made, beside
//! what it takes alone.

mod common;

use aquatint::{DeviceOptions, Model, Pipeline, Request};
use common::host::{Host, percentile};
use common::{Bench, Outcome, Subject, checkpoint};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    common::main("frames", |bench| {
        let adapter = &bench.device.info().name;
        let host = Host::open(adapter)?.ok_or("the adapter is gone")?;
        let count = if bench.is_quick() { 60 } else { 300 };
        report(
            bench,
            "no picture",
            &host.draw_while(|drawn| drawn < count)?,
        )?;
        let models = match bench.device.info().software {
            true => vec![(checkpoint::DEMO.into(), "demo", 128)], // others take minutes a picture
            false => bench.models(128)?,
        };
        for (path, name, side_px) in models {
            let pipeline = Pipeline::new(&host.share()?, Model::open(path)?)?;
            let request = Request::new("a slice of pizza on a light blue background")
                .size(side_px, side_px)
                .steps(20)
                .seed(42)
                .precision(bench.precision());
            // Drivers compile kernels when they are used first, and what was submitted waits for that.
            let size = format!("{name}, {side_px}²");
            report(
                bench,
                &format!("{size}, first picture"),
                &meanwhile(&host, &pipeline, &request, 1)?,
            )?;
            report(bench, &size, &meanwhile(&host, &pipeline, &request, count)?)?;
        }
        Ok(())
    })
}

/// The times of so many frames at least, drawn while one picture after the other is made.
fn meanwhile(
    host: &Host,
    pipeline: &Pipeline,
    request: &Request,
    count: usize,
) -> Outcome<Vec<Duration>> {
    let mut times = Vec::new();
    while times.len() < count {
        let (frames, picture) = host.draw_during(|| pipeline.generate(request))?;
        picture?;
        times.extend(frames);
    }
    times.sort();
    Ok(times)
}

fn report(bench: &Bench, size: &str, times: &[Duration]) -> Outcome {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let figures = [
        ("ms median", ms(percentile(times, 50))),
        ("ms 95 %", ms(percentile(times, 95))),
        ("ms 99 %", ms(percentile(times, 99))),
        ("ms longest", ms(percentile(times, 100))),
        ("frames", times.len() as f64),
        ("ms budget", ms(DeviceOptions::DEFAULT_BUDGET)),
    ];
    let subject = Subject {
        name: "frame",
        size,
        dtype: &bench.dtype()?,
    };
    bench.report(&subject, &figures)
}
