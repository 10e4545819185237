//! What was typed. What it means is decided by the verbs and by the library's `Request::check`.

use std::ffi::OsString;

use aquatint::TileLatents;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Command, CommandFactory, Parser, Subcommand};

use super::devices::DevicesArgs;
use super::edit::EditArgs;
use super::families::FamiliesArgs;
use super::generate::GenerateArgs;
use super::inpaint::InpaintArgs;
use super::inspect::InspectArgs;
use super::manual::{CompletionsArgs, ManArgs};
use super::models::ModelsArgs;
use super::outpaint::OutpaintArgs;
use super::plan::PlanArgs;
use super::replay::ReplayArgs;
use super::samplers::SamplersArgs;
use super::transform::TransformArgs;
use super::tune::TuneArgs;
use super::upscale::UpscaleArgs;
use super::values::{PrecisionArg, whole_number};
use super::version::Detail;

/// Pictures from prompts, on any GPU.
#[derive(Debug, Parser)]
#[command(
    name = "aquatint",
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "aquatint [OPTIONS] PROMPT\n       aquatint <COMMAND>",
    after_help = EXAMPLES,
)]
struct CommandLine {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// Print the version
    #[arg(short = 'V', long, required = true)]
    version: bool,

    /// With --version, print also the commit, features, backends and compiler, for bug reports
    #[arg(short, long)]
    verbose: bool,
}

impl CommandLine {
    fn verb(self) -> Verb {
        let detail = match self.verbose {
            true => Detail::Verbose,
            false => Detail::Plain,
        };
        self.verb.unwrap_or(Verb::Version(detail))
    }
}

const EXAMPLES: &str = "\
Examples:
  aquatint \"a slice of pizza on a light blue background\"
  aquatint \"a lighthouse in a storm\" -m model.safetensors -W 768 -H 512 --steps 28 -s 7
  aquatint inspect model.safetensors
  aquatint plan -m model.safetensors -W 1024 -H 1024

A prompt alone is short for `aquatint generate`; `aquatint generate --help` explains its flags.
A prompt that is also a verb's name needs the long form: aquatint generate \"plan\".";

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Draw pictures from a prompt (what a prompt alone does)
    Generate(Box<GenerateArgs>),
    /// Draw a picture from a picture and a prompt
    #[command(visible_alias = "img2img")]
    Transform(Box<TransformArgs>),
    /// Edit a picture as the prompt says, with a checkpoint that was trained for it
    Edit(Box<EditArgs>),
    /// Enlarge a picture with an upscaling network, a prompt, or both
    Upscale(Box<UpscaleArgs>),
    /// Repaint a part of a picture
    Inpaint(Box<InpaintArgs>),
    /// Draw a picture on beyond its edges
    Outpaint(Box<OutpaintArgs>),
    /// List the graphics adapters that can be used
    Devices(DevicesArgs),
    /// Say what a model file is, what is in it and what is missing, or what made a picture
    Inspect(InspectArgs),
    /// Make a picture again from what its file says, and compare the two
    Replay(ReplayArgs),
    /// Say what a picture would cost in work and memory, without drawing it
    Plan(PlanArgs),
    /// List the models on this machine, and say where they are looked for
    Models(ModelsArgs),
    /// List the kinds of models that can draw, with their defaults
    Families(FamiliesArgs),
    /// List the samplers and schedules, with their names in other programs
    Samplers(SamplersArgs),
    /// Measure which kernels are fastest on this machine, and keep what is found
    Tune(TuneArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a folder
    Man(ManArgs),
    /// Print the version, which flags ask for
    #[command(skip)]
    Version(Detail),
}

/// How large, how many and how exact: what a plan depends on.
#[derive(Debug, Args)]
pub(super) struct SizeArgs {
    /// Width in pixels [default: from the model's family]
    #[arg(short = 'W', long, value_name = "PX", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    pub(super) width: Option<usize>,

    /// Height in pixels [default: from the model's family]
    #[arg(short = 'H', long, value_name = "PX", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    pub(super) height: Option<usize>,

    /// Number of pictures made at once, with the seeds N, N+1, …
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = whole_number)]
    #[arg(allow_negative_numbers = true)]
    pub(super) batch_size: usize,

    /// How numbers are stored on the device
    ///
    /// Sums are kept in f32 in any case. `auto` takes f16 where the device has it and the model
    /// stands it.
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    pub(super) precision: PrecisionArg,

    /// Decode and encode in tiles of at most so many pixels on a side [default: only if it must be]
    ///
    /// Tiles overlap and are normalised alike, so no seams are seen; the picture differs a little from
    /// one that is decoded whole. Without SIZE they have 512 pixels. Where the whole would not fit,
    /// the largest tiles that do are taken unasked.
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "512", value_parser = whole_number)]
    pub(super) vae_tile: Option<usize>,

    #[command(flatten)]
    tiles: TileArgs,
}

/// The windows in which the network sees the latents.
#[derive(Debug, Args)]
struct TileArgs {
    /// Denoise in windows of so many pixels on a side, for panoramas and other large pictures
    ///
    /// Each step the network sees one window after another, which overlap, and the picture is denoised by
    /// the average of all (MultiDiffusion): memory is a window's, the model draws at a size that it knows,
    /// and the parts are of one piece. Without SIZE the windows have the model's own.
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true)]
    #[arg(value_parser = whole_number)]
    tile_latents: Option<Option<usize>>,

    /// Pixels that the windows share at least [default: a quarter of their side]
    #[arg(long, value_name = "PX", value_parser = whole_number, requires = "tile_latents")]
    #[arg(allow_negative_numbers = true)]
    tile_overlap: Option<usize>,
}

impl SizeArgs {
    /// The windows that were asked for, if any were.
    pub(super) fn tile_latents(&self) -> Option<TileLatents> {
        let size_px = self.tiles.tile_latents?;
        let overlap_px = self.tiles.tile_overlap;
        Some(TileLatents {
            size_px,
            overlap_px,
        })
    }
}

/// The definition of the command line.
pub(super) fn command() -> Command {
    CommandLine::command()
}

/// Reads the command line; the error is clap's, which may also be help that was asked for.
pub(super) fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Verb, clap::Error> {
    let mut argv: Vec<OsString> = argv.into_iter().collect();
    if begins_a_prompt(&argv) {
        argv.insert(1, "generate".into());
    }
    match CommandLine::try_parse_from(argv) {
        Ok(line) => Ok(line.verb()),
        Err(answer) => Err(with_tip_on_quotes(answer)),
    }
}

/// Words after the prompt are most often a prompt without quotes.
fn with_tip_on_quotes(mut answer: clap::Error) -> clap::Error {
    let is_word = |value: &ContextValue| matches!(value, ContextValue::String(argument) if !argument.starts_with('-'));
    if answer.kind() == ErrorKind::UnknownArgument
        && answer.get(ContextKind::InvalidArg).is_some_and(is_word)
    {
        let tip = "a prompt of several words goes in quotes".into();
        answer.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    answer
}

/// Whether the arguments are the short form: the first is neither a verb nor a flag of the program
/// itself.
fn begins_a_prompt(argv: &[OsString]) -> bool {
    const OWN: [&str; 7] = ["help", "-h", "--help", "-V", "--version", "-Vv", "-vV"];
    let is_own = |argument: &OsString| OWN.iter().any(|own| argument == *own);
    let Some(first) = argv.get(1) else {
        return false;
    };
    // `-v` is a flag of the verbs that draw as well.
    let is_about_version = first == "-v" || first == "--verbose";
    let is_own_flag = is_own(first) || is_about_version && argv.get(2).is_some_and(is_own);
    !is_own_flag
        && !CommandLine::command().get_subcommands().any(|verb| {
            let mut names = verb.get_all_aliases().chain([verb.get_name()]);
            names.any(|name| first == name)
        })
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
