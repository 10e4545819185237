//! `aquatint plan`: what a picture would cost, before anything runs and with no adapter.

use aquatint::PlanOptions;

use super::args::PlanArgs;
use super::failure::Outcome;
use super::{open_model, print, print_json};

/// Prints each part's dispatches, work and memory.
pub(super) fn run(args: &PlanArgs) -> Outcome {
    let model = open_model(args.model.model.as_deref())?;
    let defaults = model.defaults();
    let report = model.plan(&PlanOptions {
        width: args.size.width.unwrap_or(defaults.width),
        height: args.size.height.unwrap_or(defaults.height),
        batch_size: args.size.batch_size,
        precision: args.size.precision.into(),
    })?;
    if args.json {
        print_json(&report)
    } else {
        print(&report)
    }
}
