//! `aquatint plan`: what a picture would cost, before anything runs and with no adapter.

use std::collections::BTreeMap;

use aquatint::{DispatchReport, Phase, PlanOptions, Rules};
use clap::Args;

use super::args::SizeArgs;
use super::failure::Outcome;
use super::model::ModelArgs;
use super::values::bytes;
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
    let report = model.plan(&options)?;
    if args.json {
        print_json(&report)
    } else {
        print(&report)
    }
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
