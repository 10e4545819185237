//! `aquatint outpaint`: a picture is drawn on beyond its edges.

use std::path::PathBuf;

use aquatint::{Fill, InputImage, Outpaint, Task};
use clap::{Args, ValueEnum};

use super::drawing::DrawArgs;
use super::failure::{Failure, Outcome};
use super::fulfil::fulfil;
use super::values::{fill, finite_number, size, whole_number};

/// The arguments of `outpaint`.
#[derive(Debug, Args)]
pub(super) struct OutpaintArgs {
    /// PNG, JPEG or WebP picture to draw on
    ///
    /// It stays as it is to the last bit.
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// What is to be seen around it; put it in quotes
    #[arg(value_name = "PROMPT")]
    prompt: String,

    /// Pixels to draw left of it
    #[arg(long, value_name = "PX", default_value = "0", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    left: usize,

    /// Pixels to draw right of it
    #[arg(long, value_name = "PX", default_value = "0", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    right: usize,

    /// Pixels to draw above it
    #[arg(long, value_name = "PX", default_value = "0", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    top: usize,

    /// Pixels to draw below it
    #[arg(long, value_name = "PX", default_value = "0", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    bottom: usize,

    /// Size of the new picture, in place of the four
    #[arg(long, value_name = "WxH", value_parser = size)]
    #[arg(conflicts_with_all = ["left", "right", "top", "bottom"])]
    to: Option<[usize; 2]>,

    /// Where the picture lies in the new one
    #[arg(
        long,
        value_name = "PLACE",
        value_enum,
        default_value_t,
        requires = "to"
    )]
    anchor: Anchor,

    /// What stands there before: blur, noise, or a colour as in #8040c0
    ///
    /// `blur` draws the picture's colours on. At full strength nothing is seen of it.
    #[arg(long, value_name = "FILL", default_value = "blur", value_parser = fill)]
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

    #[command(flatten)]
    draw: DrawArgs,
}

/// Where a picture lies in a larger one.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Anchor {
    #[default]
    #[value(alias = "center")]
    Centre,
    Left,
    Right,
    Top,
    Bottom,
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl Anchor {
    /// How much of what is to be drawn lies left of the picture and above it, in halves.
    fn halves(self) -> [usize; 2] {
        match self {
            Self::Centre => [1, 1],
            Self::Left => [0, 1],
            Self::Right => [2, 1],
            Self::Top => [1, 0],
            Self::Bottom => [1, 2],
            Self::TopLeft => [0, 0],
            Self::TopRight => [2, 0],
            Self::BottomLeft => [0, 2],
            Self::BottomRight => [2, 2],
        }
    }
}

/// Reads the picture, draws and writes.
pub(super) fn run(args: &OutpaintArgs) -> Outcome {
    let image = InputImage::open(&args.image)?;
    let sides = sides(args, &image)?;
    let mut outpaint = Outpaint::new(image, sides);
    outpaint.fill = args.fill;
    outpaint.strength = args.strength;
    let request = args.draw.request(&args.prompt);
    fulfil(&args.draw, request.task(Task::Outpaint(outpaint)))
}

/// How much is drawn at the left, right, top and bottom.
fn sides(args: &OutpaintArgs, image: &InputImage) -> Outcome<[usize; 4]> {
    let Some([height, width]) = args.to else {
        return Ok([args.left, args.right, args.top, args.bottom]);
    };
    let (own_width, own_height) = (image.width(), image.height());
    let more = width
        .checked_sub(own_width)
        .zip(height.checked_sub(own_height));
    let (wide, high) = more.ok_or_else(|| {
        Failure::Usage(format!(
            "to: {width}x{height} is smaller than the image, {own_width}x{own_height}; nothing is \
             cut off here"
        ))
    })?;
    let [left, top] = args.anchor.halves();
    let (left, top) = (wide * left / 2, high * top / 2);
    Ok([left, wide - left, top, high - top])
}
