//! `aquatint models pull`: a model from a hub into the models folder.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use aquatint::{Hub, Library, Pull, Pulled};
use clap::Args;
use serde::Serialize;

use super::failure::Outcome;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::values::Verbosity;
use super::{print, print_json};

const NOTES: &str = "\
A download that was cut goes on where it ended when it is asked for again. The hub is that of
$HF_ENDPOINT, or https://huggingface.co; $HF_TOKEN goes to it and to nobody else.

Examples:
  aquatint models pull stabilityai/sdxl-turbo
  aquatint models pull stabilityai/stable-diffusion-xl-base-1.0 sd_xl_base_1.0.safetensors";

/// The arguments of `models pull`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct PullArgs {
    /// The repository on the hub
    #[arg(value_name = "OWNER/REPO")]
    repo: String,

    /// A file of it [default: what makes up the model: a diffusers folder, or its one safetensors file]
    #[arg(value_name = "FILE")]
    file: Option<String>,

    /// Branch, tag or commit
    #[arg(long, value_name = "NAME", default_value = "main")]
    revision: String,

    /// Variant of a diffusers folder's weights, or `none` for those without [default: fp16 where there is one]
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    variant: Option<String>,

    /// Folder to download into, as FOLDER/OWNER/REPO [default: the first of $AQUATINT_MODELS, or the platform's]
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,

    /// Print a JSON object: the model's path and all its files
    #[arg(long)]
    json: bool,

    /// Say nothing but errors and the model's path
    #[arg(short, long)]
    quiet: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    path: &'a Path,
    files: &'a [PathBuf],
    unchecked: &'a [PathBuf],
}

/// Downloads a model and prints its path.
pub(super) fn run(args: &PullArgs) -> Outcome {
    let hub = Hub::from_env()?;
    let folder = match &args.into {
        Some(folder) => folder.clone(),
        None => Library::download_folder()?,
    };
    let pull = Pull {
        file: args.file.clone(),
        revision: args.revision.clone(),
        variant: args.variant.clone(),
        ..Pull::new(&args.repo)
    };
    let interrupt = Interrupt::listen()?;
    let progress = Progress::new(match args.quiet {
        true => Verbosity::Quiet,
        false => Verbosity::Normal,
    });
    let bar = progress.downloading();
    let pulled = hub.pull(&pull, &folder, &mut |progress| {
        bar.show(progress);
        match interrupt.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    drop(bar);
    report(args, &pulled, &progress)
}

fn report(args: &PullArgs, pulled: &Pulled, progress: &Progress) -> Outcome {
    let is_weights = |file: &&PathBuf| file.extension().is_some_and(|it| it == "safetensors");
    for file in pulled.unchecked.iter().filter(is_weights) {
        progress.note(format_args!(
            "warning: {}: the hub told no checksum, so only its length and header were checked",
            file.display()
        ));
    }
    if args.json {
        return print_json(&Report {
            path: &pulled.path,
            files: &pulled.files,
            unchecked: &pulled.unchecked,
        });
    }
    print(pulled.path.display())
}
