//! `aquatint edit`: a picture is edited by instruction.

use std::path::PathBuf;

use aquatint::{InputImage, Task};
use clap::Args;

use super::drawing::DrawArgs;
use super::failure::Outcome;
use super::fulfil::fulfil;
use super::values::{ResizeModeArg, finite_number};

/// The arguments of `edit`.
#[derive(Debug, Args)]
pub(super) struct EditArgs {
    /// PNG, JPEG or WebP picture to edit
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// What to do with it, as in "make it winter"; put it in quotes
    #[arg(value_name = "PROMPT")]
    prompt: String,

    /// How strongly the picture is kept, from 0; 1 turns guidance by it off
    #[arg(
        long,
        visible_alias = "img-cfg-scale",
        value_name = "SCALE",
        default_value = "1.5"
    )]
    #[arg(value_parser = finite_number, allow_negative_numbers = true)]
    image_guidance_scale: f64,

    /// How the picture comes to a size of another shape
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    resize_mode: ResizeModeArg,

    #[command(flatten)]
    draw: DrawArgs,
}

/// Reads the picture, draws and writes.
pub(super) fn run(args: &EditArgs) -> Outcome {
    let task = Task::Instruct {
        image: InputImage::open(&args.image)?,
        image_guidance_scale: args.image_guidance_scale,
    };
    let request = args.draw.request(&args.prompt).task(task);
    fulfil(&args.draw, request.resize_mode(args.resize_mode.into()))
}
