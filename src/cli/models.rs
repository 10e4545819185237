//! `aquatint models`: the models on this machine, and where they are looked for.

use std::fmt::Write as _;
use std::path::PathBuf;

use aquatint::{Library, LibraryModel, ModelKind, Place, Purpose};
use clap::{Args, Subcommand};
use indicatif::DecimalBytes;
use serde::Serialize;

use super::failure::Outcome;
use super::picture::shown;
use super::{print, print_json, say};

const EXAMPLES: &str = "\
Examples:
  aquatint models                        # what there is
  aquatint models add ~/ComfyUI          # use another program's models where they are
  aquatint \"a lighthouse\" -m dreamshaper_8

Models are looked for in the folders that $AQUATINT_MODELS lists, in the platform's data folder
and in the folders that were added. Only the headers of files are read.";

/// A type with less than this share of a file's bytes is left out of the table.
const LEAST_SHARE: f64 = 0.01;

/// The arguments of `models`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    verb: Option<ModelsVerb>,

    #[command(flatten)]
    list: ListArgs,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
enum ModelsVerb {
    /// List the models: name, family, size, types and use (what `models` alone does)
    List(ListArgs),
    /// Look for models in a folder from now on: a plain one, or a tree of A1111, Forge or ComfyUI
    Add(PathArgs),
    /// No longer look for models in a folder that was added; nothing in it is touched
    Remove(PathArgs),
    /// Download a model from a hub into the models folder
    #[cfg(feature = "pull")]
    Pull(super::pull::PullArgs),
}

/// The arguments of `models list`.
#[derive(Debug, Args)]
struct ListArgs {
    /// Print a JSON object: the places, and the models with their paths
    #[arg(long)]
    json: bool,
}

/// The arguments of `models add` and `models remove`.
#[derive(Debug, Args)]
struct PathArgs {
    /// The folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

/// Lists models, or changes where they are looked for.
pub(super) fn run(args: &ModelsArgs) -> Outcome {
    match &args.verb {
        None => list(&args.list),
        Some(ModelsVerb::List(args)) => list(args),
        Some(ModelsVerb::Add(args)) => add(args),
        #[cfg(feature = "pull")]
        Some(ModelsVerb::Pull(args)) => super::pull::run(args),
        Some(ModelsVerb::Remove(args)) => {
            let path = Library::remove(&args.path)?;
            say(format_args!(
                "models are no longer looked for in {}",
                path.display()
            ));
            Ok(())
        }
    }
}

fn add(args: &PathArgs) -> Outcome {
    let path = Library::add(&args.path)?;
    let count = Library::of_folders([&path]).files().len();
    let found = match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    say(format_args!(
        "models are looked for in {} from now on: {found} there; `aquatint models` lists them",
        path.display()
    ));
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    places: &'a [Place],
    models: &'a [LibraryModel],
}

fn list(args: &ListArgs) -> Outcome {
    let library = Library::open()?;
    let mut models = library.models();
    models.sort_by_key(|model| (rank(model.kind), model.name.to_lowercase()));
    for place in library.places() {
        if let Some(problem) = &place.problem {
            say(format_args!("warning: {place}: {problem}"));
        }
    }
    if args.json {
        let places = library.places();
        let models = &models;
        return print_json(&Report { places, models });
    }
    match models.as_slice() {
        [] => {
            say(library.nothing_found());
            Ok(())
        }
        models => print(table(models)),
    }
}

/// Whole models stand first, what is broken last.
fn rank(kind: ModelKind) -> usize {
    match kind {
        ModelKind::Model => 0,
        ModelKind::Unknown => 2,
        _ => 1,
    }
}

/// One line for each model, under a head.
fn table(models: &[LibraryModel]) -> String {
    let head = ["NAME", "FAMILY", "SIZE", "TYPES", "USE"].map(str::to_owned);
    let rows = models.iter().map(|model| {
        [
            name(model, models),
            model.family.unwrap_or("-").to_owned(),
            DecimalBytes(model.size_bytes).to_string(),
            types(model),
            usage(model),
        ]
    });
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let [names, families, sizes, all_types] = [0, 1, 2, 3].map(width);
    let mut table = String::new();
    for [name, family, size, types, usage] in &rows {
        let written = writeln!(
            table,
            "{name:<names$}  {family:<families$}  {size:>sizes$}  {types:<all_types$}  {usage}"
        );
        written.expect("a string takes everything");
    }
    table
}

/// The model's name, or its path where others have the same name.
fn name(model: &LibraryModel, all: &[LibraryModel]) -> String {
    let namesakes = all
        .iter()
        .filter(|other| other.name.eq_ignore_ascii_case(&model.name));
    if namesakes.count() > 1 {
        return shown(&model.path.to_string_lossy());
    }
    shown(&model.name)
}

/// The types that make up the file, the one of the most bytes first.
fn types(model: &LibraryModel) -> String {
    let total: u64 = model.dtypes.values().sum();
    let is_notable = |bytes: u64| bytes as f64 >= LEAST_SHARE * total as f64;
    let mut types: Vec<(&String, u64)> = model
        .dtypes
        .iter()
        .map(|(dtype, bytes)| (dtype, *bytes))
        .filter(|(_, bytes)| is_notable(*bytes))
        .collect();
    types.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    match types.as_slice() {
        [] => "-".to_owned(),
        types => {
            let names: Vec<&str> = types.iter().map(|(dtype, _)| dtype.as_str()).collect();
            names.join("+")
        }
    }
}

/// What the model is good for.
fn usage(model: &LibraryModel) -> String {
    let parts = || match model.parts.as_slice() {
        [] => "part of a model".to_owned(),
        parts => parts.join("+"),
    };
    match (model.kind, model.purpose) {
        (ModelKind::Model, Some(Purpose::Inpaint)) => "inpaint".to_owned(),
        (ModelKind::Model, Some(Purpose::Instruct)) => "instruct".to_owned(),
        (ModelKind::Model, _) => "generate".to_owned(),
        (ModelKind::Parts, _) => parts(),
        (ModelKind::Lora, _) => "lora".to_owned(),
        (ModelKind::Embedding, _) => "embedding".to_owned(),
        (ModelKind::ControlNet, _) => "controlnet".to_owned(),
        (ModelKind::Upscaler, _) => "upscale".to_owned(),
        _ => {
            let problem = model.problem.as_deref().unwrap_or("not known");
            format!("none: {}", shown(problem))
        }
    }
}
