//! `aquatint tune`: which kernels are fastest on this machine.

use std::time::Duration;

use aquatint::{AdapterInfo, Device, TunedShape, clear_tuning, tune};
use clap::Args;

use super::failure::Outcome;
use super::{print, print_json, say};

/// The arguments of `tune`.
#[derive(Debug, Args)]
pub(super) struct TuneArgs {
    /// Graphics adapter to measure: its index or a part of its name [default: the fastest kind]
    #[arg(long, value_name = "INDEX|NAME")]
    device: Option<String>,

    /// How long to measure, about; what is not reached keeps its default
    #[arg(long, value_name = "N", default_value = "30")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Forget what was found on the adapter
    #[arg(long)]
    clear: bool,

    /// Print a JSON object
    #[arg(long, conflicts_with = "clear")]
    json: bool,
}

/// Measures, or forgets.
pub(super) fn run(args: &TuneArgs) -> Outcome {
    let device = match args.device.as_deref() {
        None => Device::best()?,
        Some(index_or_name) => Device::select(index_or_name)?,
    };
    let info = device.info();
    if args.clear {
        return clear(info);
    }
    let seconds = args.seconds;
    say(format_args!(
        "measuring on {} for about {seconds} s",
        info.name
    ));
    let time = Duration::from_secs(seconds.into());
    let tuning = tune(&device, time, &mut |found| say(&found.class))?;
    if args.json {
        return print_json(&tuning);
    }
    let mut lines: Vec<String> = tuning.shapes.iter().map(line).collect();
    if !tuning.unmeasured.is_empty() {
        lines.push(format!("not reached: {}", tuning.unmeasured.join(", ")));
    }
    print(lines.join("\n"))
}

/// `linear/many  4096×640 → 640: tiled/64x64, 1.500 ms; the default tiled/128x64 takes 2.000 ms`
fn line(found: &TunedShape) -> String {
    let TunedShape {
        class,
        shape,
        tile,
        ms,
        table,
        table_ms,
        ..
    } = found;
    let default = match table_ms {
        _ if tile == table => ", the default".to_owned(),
        Some(table_ms) => format!("; the default {table} takes {table_ms:.3} ms"),
        None => format!("; the default {table} computes wrong here"),
    };
    format!("{class:18} {shape}: {tile}, {ms:.3} ms{default}")
}

fn clear(info: &AdapterInfo) -> Outcome {
    let name = &info.name;
    let said = if clear_tuning(info)? {
        format!("forgot what was found on {name}")
    } else {
        format!("there is nothing to forget of {name}")
    };
    print(said)
}
