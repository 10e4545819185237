//! `aquatint upscale`: a picture becomes a larger one.

use std::ops::ControlFlow;
use std::path::PathBuf;

use aquatint::{Image, Library, ResizeMode, UpscaleOptions, Upscaler};
use clap::Args;

use super::device::DeviceArgs;
use super::failure::{Failure, Outcome};
use super::interrupt::Interrupt;
use super::output::{Facts, Pattern};
use super::print;
use super::progress::Progress;
use super::values::{PrecisionArg, Verbosity, finite_number, whole_number};

const EXAMPLES: &str = "\
Examples:
  aquatint upscale photo.png --upscaler RealESRGAN_x4plus
  aquatint upscale photo.png --upscaler models/4x-UltraSharp.safetensors --tile 128 -o large.png

Upscalers are .safetensors files of ESRGAN, Real-ESRGAN (compact ones too) and SPAN networks. Those of
.pth files can run code when they are opened; convert them with a program that you trust with that.";

/// The arguments of `upscale`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct UpscaleArgs {
    /// Picture to enlarge
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// Upscaling network: a .safetensors file, or a name that `aquatint models` lists
    #[arg(short, long, visible_alias = "upscale-model", value_name = "MODEL")]
    upscaler: PathBuf,

    /// How many times as wide and high the picture becomes [default: what the network was made for]
    ///
    /// Where that is less than the network gives, its result is made smaller.
    #[arg(long, value_name = "FACTOR", value_parser = finite_number)]
    #[arg(allow_negative_numbers = true)]
    scale: Option<f64>,

    /// Side of the tiles that the picture is enlarged in; smaller ones take less memory
    #[arg(long, value_name = "PX", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    tile: Option<usize>,

    /// How numbers are stored on the device
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    precision: PrecisionArg,

    #[command(flatten)]
    device: DeviceArgs,

    /// Where to write the picture [default: IMAGE's name with -4x or the like]
    ///
    /// A file that is there already is left alone, and the new one gets a number.
    #[arg(short, long, value_name = "FILE", value_parser = Pattern::parse)]
    output: Option<Pattern>,

    /// Say nothing but errors and the name of the file
    #[arg(short, long)]
    quiet: bool,
}

/// Loads the network, enlarges, and writes the file.
pub(super) fn run(args: &UpscaleArgs) -> Outcome {
    let mut options = UpscaleOptions::default();
    options.precision = args.precision.into();
    options.tile_px = args.tile.unwrap_or(options.tile_px);
    let image = Image::open(&args.image)?;
    if let Some(output) = &args.output {
        output.check()?;
    }
    let interrupt = Interrupt::listen()?;
    let progress = Progress::new(match args.quiet {
        true => Verbosity::Quiet,
        false => Verbosity::Normal,
    });
    for warning in image.warnings() {
        progress.note(format_args!("warning: {warning}"));
    }
    let path = Library::locate_upscaler(&args.upscaler)?;
    let upscaler = Upscaler::open(&args.device.open()?, path)?;
    let scale = wanted_scale(args, &upscaler)?;
    let [width, height] = [image.width(), image.height()].map(|side| scaled(side, scale));
    progress.note(format_args!(
        "{} · {} · {}×{} → {}×{}",
        upscaler.name(),
        upscaler.architecture(),
        image.width(),
        image.height(),
        width,
        height
    ));
    let bar = progress.tiling();
    let enlarged = upscaler.upscale(&image, &options, &mut |tile| {
        bar.show(&tile);
        match interrupt.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    drop(bar);
    interrupt.check()?;
    let enlarged = enlarged?.resized(width, height, ResizeMode::Stretch)?;
    let default = || {
        let stem = args.image.file_stem().unwrap_or_default().to_string_lossy();
        Pattern::of_name(&format!("{stem}-{scale}x"))
    };
    let output = args.output.clone().unwrap_or_else(default);
    let facts = Facts {
        seed: 0,
        index: 0,
        model: upscaler.name(),
        width: enlarged.width(),
        height: enlarged.height(),
    };
    print(output.save_new(&enlarged, &facts)?.display())
}

/// The factor that was asked for, which the network can give.
fn wanted_scale(args: &UpscaleArgs, upscaler: &Upscaler) -> Outcome<f64> {
    let most = upscaler.scale() as f64;
    match args.scale {
        None => Ok(most),
        Some(scale) if scale > 0.0 && scale <= most => Ok(scale),
        Some(scale) => Err(Failure::Usage(format!(
            "scale: must be over 0 and at most {most}, what {} gives, not {scale}",
            upscaler.name()
        ))),
    }
}

/// A side times a factor, in whole pixels.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the factor is positive and not above the network's"
)]
fn scaled(side: usize, factor: f64) -> usize {
    ((side as f64 * factor).round() as usize).max(1)
}
