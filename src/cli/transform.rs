//! `aquatint transform`: a picture becomes another.

use std::path::PathBuf;

use aquatint::{InputImage, Task};
use clap::Args;

use super::drawing::DrawArgs;
use super::failure::Outcome;
use super::fulfil::fulfil;
use super::values::{ResizeModeArg, finite_number};

/// The arguments of `transform`.
#[derive(Debug, Args)]
pub(super) struct TransformArgs {
    /// PNG, JPEG or WebP picture to start from
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// What the picture is to become; put it in quotes
    #[arg(value_name = "PROMPT")]
    prompt: String,

    /// How much may change, over 0 and up to 1
    ///
    /// It is the share of the steps that are done, as in diffusers; under --preset a1111 one step is
    /// added as there, and under comfyui all steps are done over that share of the noise.
    #[arg(
        long,
        visible_alias = "denoising-strength",
        value_name = "SHARE",
        default_value = "0.75"
    )]
    #[arg(value_parser = finite_number, allow_negative_numbers = true)]
    strength: f64,

    /// How the picture comes to a size of another shape
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    resize_mode: ResizeModeArg,

    #[command(flatten)]
    draw: DrawArgs,
}

/// Reads the picture, draws and writes.
pub(super) fn run(args: &TransformArgs) -> Outcome {
    let task = Task::ImageToImage {
        image: InputImage::open(&args.image)?,
        strength: args.strength,
    };
    let request = args.draw.request(&args.prompt).task(task);
    fulfil(&args.draw, request.resize_mode(args.resize_mode.into()))
}
