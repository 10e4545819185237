//! `aquatint plan`: what a picture would cost, before anything runs and with no adapter.

use std::collections::BTreeMap;

use aquatint::{DispatchReport, Hires, ModelReport, Phase, PlanOptions, Rules};
use clap::Args;
use serde::Serialize;

use super::args::SizeArgs;
use super::failure::Outcome;
use super::model::ModelArgs;
use super::values::{bytes, finite_number};
use super::{print, print_json};

/// The arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    size: SizeArgs,

    /// Most of a device's memory to use, as in 6GB or 800MiB [default: no limit]
    ///
    /// Shows whether parts would take turns, and whether the VAE would work in tiles.
    #[arg(long, value_name = "LIMIT", value_parser = bytes)]
    vram: Option<u64>,

    /// Show also a second pass at so many times the size, as `generate --hires` draws it
    #[arg(long, value_name = "TIMES", value_parser = finite_number)]
    #[arg(allow_negative_numbers = true, conflicts_with = "dispatches")]
    hires: Option<f64>,

    /// List every dispatch with its work, instead of the totals
    #[arg(long)]
    dispatches: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Prints each part's dispatches, work and memory.
pub(super) fn run(args: &PlanArgs) -> Outcome {
    let model = args.model.open()?;
    let defaults = model.defaults();
    let options = PlanOptions {
        width: args.size.width.unwrap_or(defaults.width),
        height: args.size.height.unwrap_or(defaults.height),
        batch_size: args.size.batch_size,
        precision: args.size.precision.into(),
        rules: Rules::all(),
        vram_bytes: args.vram,
        vae_tile: args.size.vae_tile,
        tile_latents: args.size.tile_latents(),
    };
    if args.dispatches {
        let parts = model.describe(&options)?;
        return if args.json {
            print_json(&parts)
        } else {
            print(listing(&parts))
        };
    }
    let first = model.plan(&options)?;
    let Some(scale) = args.hires else {
        return match args.json {
            true => print_json(&first),
            false => print(&first),
        };
    };
    let hires = Hires {
        scale,
        ..Hires::default()
    };
    let [width, height] = model.hires_size(&hires, [options.width, options.height])?;
    let hires = model.plan(&PlanOptions {
        width,
        height,
        ..options
    })?;
    match args.json {
        true => print_json(&Passes { first, hires }),
        false => print(format_args!(
            "{first}\nsecond pass, {width}×{height}\n{hires}"
        )),
    }
}

/// The reports of two passes: what `--json` prints.
#[derive(Serialize)]
struct Passes {
    #[serde(flatten)]
    first: ModelReport,
    hires: ModelReport,
}

/// One line for each dispatch: part, how often, operation, workgroups, work, bytes moved, place.
fn listing(parts: &BTreeMap<&str, Vec<DispatchReport>>) -> String {
    let head =
        "part             once a operation             groups        FLOP       bytes  near\n"
            .to_owned();
    let dispatches = parts
        .iter()
        .flat_map(|(part, list)| list.iter().map(move |dispatch| (part, dispatch)));
    let lines = dispatches.map(|(part, dispatch)| {
        let DispatchReport {
            phase,
            op,
            scope,
            groups,
            flops,
            bytes,
            ..
        } = dispatch;
        let once_a = match phase {
            Phase::Prologue => "run",
            Phase::Step => "step",
        };
        format!("{part:<16} {once_a:<6} {op:<18} {groups:>9} {flops:>11} {bytes:>11}  {scope}\n")
    });
    [head].into_iter().chain(lines).collect()
}
