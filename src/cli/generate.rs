//! `aquatint generate`: a prompt becomes pictures.

use clap::Args;

use super::drawing::DrawArgs;
use super::failure::Outcome;
use super::fulfil::{Networks, fulfil_into};
use super::hires::HiresArgs;
use super::interrupt::Interrupt;

/// The arguments of `generate`.
#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// What to draw; put it in quotes
    #[arg(value_name = "PROMPT")]
    pub(super) prompt: String,

    #[command(flatten)]
    pub(super) hires: HiresArgs,

    #[command(flatten)]
    pub(super) draw: DrawArgs,
}

/// Draws from the prompt alone.
pub(super) fn run(args: &GenerateArgs) -> Outcome {
    let mut request = args.draw.request(&args.prompt);
    request.hires = args.hires.hires();
    let interrupt = Interrupt::listen()?;
    let draw = &args.draw;
    let networks = Networks {
        between: args.hires.upscaler(),
        before: None,
    };
    fulfil_into(draw, &draw.output, request, networks, &interrupt)
}
