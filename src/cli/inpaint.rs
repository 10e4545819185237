//! `aquatint inpaint`: a part of a picture is repainted.

use std::path::PathBuf;

use aquatint::{Fill, Inpaint, InputImage, Rect, Task};
use clap::Args;

use super::drawing::DrawArgs;
use super::failure::Outcome;
use super::fulfil::fulfil;
use super::values::{fill, finite_number, rect, whole_number};

/// The arguments of `inpaint`.
#[derive(Debug, Args)]
pub(super) struct InpaintArgs {
    /// PNG, JPEG or WebP picture of which a part is repainted
    ///
    /// The rest stays as it is to the last bit, and so does its size.
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// What is to be seen there; put it in quotes
    #[arg(value_name = "PROMPT")]
    prompt: String,

    /// Picture of the same size: white is repainted, black kept [default: the image's transparency]
    ///
    /// Grey may change the less the darker it is: it stays until that share of the steps is done.
    #[arg(long, value_name = "MASK")]
    mask: Option<PathBuf>,

    /// Rectangle to repaint, besides the mask: left and top, width and height
    #[arg(long, value_name = "X,Y,W,H", value_parser = rect)]
    mask_rect: Option<Rect>,

    /// Repaint what is black and keep what is white
    #[arg(long)]
    invert_mask: bool,

    /// Pixels that the mask is grown by
    #[arg(long, value_name = "PX", default_value = "0", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    mask_grow: usize,

    /// Pixels inside of the mask over which the new part comes in from its edge
    #[arg(long, value_name = "PX", default_value = "4", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    mask_blur: usize,

    /// What stands there before: original, blur, noise, or a colour as in #8040c0
    ///
    /// At full strength nothing is seen of it.
    #[arg(
        long,
        visible_alias = "inpainting-fill",
        value_name = "FILL",
        default_value = "original"
    )]
    #[arg(value_parser = fill)]
    fill: Fill,

    /// How much of that may change, over 0 and up to 1
    #[arg(
        long,
        visible_alias = "denoising-strength",
        value_name = "SHARE",
        default_value = "1"
    )]
    #[arg(value_parser = finite_number, allow_negative_numbers = true)]
    strength: f64,

    /// Work on the mask and what is around it alone, at the model's size, and put that back
    ///
    /// For small parts of large pictures: they get as many pixels as the model can draw.
    #[arg(long, visible_alias = "inpaint-full-res")]
    only_masked: bool,

    /// Pixels around the mask that are worked on with --only-masked
    #[arg(long, value_name = "PX", default_value = "32", value_parser = whole_number)]
    #[arg(requires = "only_masked", allow_negative_numbers = true)]
    padding: usize,

    #[command(flatten)]
    draw: DrawArgs,
}

/// Reads the pictures, draws and writes.
pub(super) fn run(args: &InpaintArgs) -> Outcome {
    let mut inpaint = Inpaint::new(InputImage::open(&args.image)?).strength(args.strength);
    inpaint.mask = args.mask.as_ref().map(InputImage::open).transpose()?;
    inpaint.mask_rect = args.mask_rect;
    inpaint.invert_mask = args.invert_mask;
    inpaint.mask_grow_px = args.mask_grow;
    inpaint.mask_blur_px = args.mask_blur;
    inpaint.fill = args.fill;
    inpaint.only_masked_padding_px = args.only_masked.then_some(args.padding);
    let request = args.draw.request(&args.prompt);
    fulfil(&args.draw, request.task(Task::Inpaint(inpaint)))
}
