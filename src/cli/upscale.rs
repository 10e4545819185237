//! `aquatint upscale`: a picture becomes a larger one.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use aquatint::{
    Image, InputImage, Library, ResizeMode, Task, TileLatents, UpscaleOptions, Upscaler,
};
use clap::Args;

use super::drawing::DrawArgs;
use super::dry_run::Enlarging;
use super::failure::{Failure, Outcome};
use super::fulfil::{Networks, fulfil_into};
use super::interrupt::Interrupt;
use super::output::{Facts, Pattern};
use super::print;
use super::progress::Progress;
use super::typed::Typed;
use super::values::{finite_number, whole_number};

const EXAMPLES: &str = "\
Examples:
  aquatint upscale photo.png \"a castle on a hill\" -m model.safetensors --scale 2
  aquatint upscale photo.png --upscaler RealESRGAN_x4plus
  aquatint upscale photo.png --upscaler models/4x-UltraSharp.safetensors --tile 128 -o large.png

Upscalers are .safetensors files of ESRGAN, Real-ESRGAN (compact ones too) and SPAN networks. Those of
.pth files can run code when they are opened; convert them with a program that you trust with that.";

/// The factor where a prompt refines and nothing else is said.
const REFINED_SCALE: f64 = 2.0;
/// What sides are rounded to where a prompt refines: the latent factor of every family.
const REFINED_MULTIPLE: f64 = 8.0;

/// What says how a network enlarges, when nothing is drawn.
const ENLARGING: [&str; 12] = [
    "image",
    "upscaler",
    "scale",
    "tile",
    "precision",
    "device",
    "no_tuning",
    "output",
    "overwrite",
    "quiet",
    "verbose",
    "dry_run",
];

/// The arguments of `upscale`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct UpscaleArgs {
    #[command(flatten)]
    typed: Typed,

    /// Picture to enlarge
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// What the picture shows: its details are drawn anew, in windows of the model's size that overlap
    ///
    /// Without it, the network alone enlarges. --tile-latents and --tile-overlap say how large the windows
    /// are; memory is one window's, however large the picture.
    #[arg(value_name = "PROMPT", required_unless_present = "upscaler")]
    prompt: Option<String>,

    /// Upscaling network: a .safetensors file, or a name that `aquatint models` lists
    ///
    /// With a prompt, the picture is enlarged by a Lanczos filter where there is no network. To `replay`
    /// what a network and a prompt made, give it what the network alone makes: `upscale` without a prompt.
    #[arg(short, long, visible_alias = "upscale-model", value_name = "MODEL")]
    upscaler: Option<PathBuf>,

    /// How many times as wide and high the picture becomes
    /// [default: what the network was made for; 2 with a prompt alone]
    ///
    /// Where that is less than the network gives, its result is made smaller. With a prompt, sides are
    /// rounded to multiples of 8.
    #[arg(long, value_name = "FACTOR", value_parser = finite_number)]
    #[arg(allow_negative_numbers = true)]
    scale: Option<f64>,

    /// How much a prompt may change, over 0 and up to 1
    #[arg(
        long,
        visible_alias = "denoising-strength",
        value_name = "SHARE",
        default_value = "0.35"
    )]
    #[arg(value_parser = finite_number, allow_negative_numbers = true)]
    strength: f64,

    /// Side of the tiles that the network enlarges in; smaller ones take less memory
    #[arg(long, value_name = "PX", value_parser = whole_number, requires = "upscaler")]
    #[arg(allow_negative_numbers = true)]
    tile: Option<usize>,

    #[command(flatten)]
    draw: DrawArgs,
}

/// Enlarges and writes the file; or enlarges, has the details drawn, and writes.
pub(super) fn run(args: &UpscaleArgs) -> Outcome {
    match &args.prompt {
        Some(prompt) => refine(args, prompt),
        None => enlarge(args),
    }
}

/// The picture's name with the factor, unless a name was given.
fn output(args: &UpscaleArgs, scale: f64) -> Pattern {
    let given = &args.draw.output;
    match Pattern::parse(Pattern::DEFAULT) {
        Ok(default) if *given == default => Pattern::of_name(&enlarged_name(args, scale)),
        _ => given.clone(),
    }
}

/// The picture's name with the factor.
fn enlarged_name(args: &UpscaleArgs, scale: f64) -> String {
    let stem = args.image.file_stem().unwrap_or_default().to_string_lossy();
    format!("{stem}-{scale}x")
}

/// By the network alone.
fn enlarge(args: &UpscaleArgs) -> Outcome {
    if let Some(flag) = args.typed.other_than(&ENLARGING) {
        let reason = format!("{flag}: means nothing without a prompt; give one, or leave it out");
        return Err(Failure::Usage(reason));
    }
    let image = Image::open(&args.image)?;
    args.draw.output.check()?;
    if args.draw.dry_run {
        let (enlarging, _) = estimate(args, [image.width(), image.height()])?;
        return print(enlarging);
    }
    let interrupt = Interrupt::listen()?;
    let progress = Progress::new(args.draw.verbosity());
    for warning in image.warnings() {
        progress.note(format_args!("warning: {warning}"));
    }
    let (enlarged, scale, name) = by_network(args, &image, &progress, &interrupt)?;
    let facts = Facts {
        seed: 0,
        index: 0,
        model: &name,
        width: enlarged.width(),
        height: enlarged.height(),
    };
    let output = output(args, scale);
    let taken = args.draw.overwrite.then_some(&[][..]);
    let path = output.save(&enlarged, &facts, taken)?;
    print(path.display())
}

/// By the network, or a filter, and by a model that draws the details.
fn refine(args: &UpscaleArgs, prompt: &str) -> Outcome {
    let image = InputImage::open(&args.image)?;
    // The factor is in the file's name alone.
    output(args, args.scale.unwrap_or(REFINED_SCALE)).check()?;
    let interrupt = Interrupt::listen()?;
    let own = [image.width(), image.height()];
    let mut networks = Networks::default();
    let (image, scale) = match &args.upscaler {
        Some(_) if args.draw.dry_run => {
            let (enlarging, scale) = estimate(args, own)?;
            networks.before = Some(enlarging);
            (image, scale)
        }
        Some(_) => {
            let progress = Progress::new(args.draw.verbosity());
            let (enlarged, scale, _) = by_network(args, image.image()?, &progress, &interrupt)?;
            let name = format!("{}.png", enlarged_name(args, scale));
            (InputImage::from(enlarged).named(name), scale)
        }
        None => (image, args.scale.unwrap_or(REFINED_SCALE)),
    };
    if scale <= 0.0 {
        return Err(Failure::Usage(format!(
            "scale: must be over 0, not {scale}"
        )));
    }
    let strength = args.strength;
    let mut request = args
        .draw
        .request(prompt)
        .task(Task::ImageToImage { image, strength });
    let [width, height] = own.map(|side| {
        let multiples = scaled(side, scale / REFINED_MULTIPLE);
        multiples.saturating_mul(scaled(1, REFINED_MULTIPLE))
    });
    request.width = request.width.or(Some(width));
    request.height = request.height.or(Some(height));
    request.tile_latents = request.tile_latents.or(Some(TileLatents::default()));
    let output = output(args, scale);
    fulfil_into(&args.draw, &output, request, networks, &interrupt)
}

/// The picture as the network enlarges it, to the factor asked for; that factor, and the network's name.
fn by_network(
    args: &UpscaleArgs,
    image: &Image,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Outcome<(Image, f64, String)> {
    let (upscaler, options) = args.network()?;
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
    let enlarged = upscaler.upscale(image, &options, &mut |tile| {
        bar.show(&tile);
        match interrupt.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    drop(bar);
    interrupt.check()?;
    let enlarged = enlarged?.resized(width, height, ResizeMode::Stretch)?;
    Ok((enlarged, scale, upscaler.name().to_owned()))
}

/// What the network would take for a picture of a width and height, and the factor.
fn estimate(args: &UpscaleArgs, size: [usize; 2]) -> Outcome<(Enlarging, f64)> {
    let (upscaler, options) = args.network()?;
    let scale = wanted_scale(args, &upscaler)?;
    let (memory, tiles) = upscaler.memory(size, &options)?;
    Ok((Enlarging { tiles, memory }, scale))
}

impl UpscaleArgs {
    /// The network that was asked for, and how.
    fn network(&self) -> Outcome<(Upscaler, UpscaleOptions)> {
        let mut options = UpscaleOptions::default();
        options.precision = self.draw.size.precision.into();
        options.tile_px = self.tile.unwrap_or(options.tile_px);
        let path = Library::locate_upscaler(self.upscaler.as_deref().unwrap_or(Path::new("")))?;
        Ok((Upscaler::open(&self.draw.device.open()?, path)?, options))
    }
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
    reason = "the factor is positive, and what is too large is refused later"
)]
fn scaled(side: usize, factor: f64) -> usize {
    ((side as f64 * factor).round() as usize).max(1)
}
