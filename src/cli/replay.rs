//! `aquatint replay`: a picture is made again from what its file says, and compared.

use std::path::{Path, PathBuf};

use aquatint::{
    AdapterInfo, Device, Difference, Error, HiresResize, Image, InputImage, Library, Model, Noise,
    PngInfo, Program, Recipe, Request, Upscaler,
};
use clap::Args;
use serde::Serialize;

use super::device::DeviceArgs;
use super::failure::{Failure, Outcome};
use super::fulfil::{draw, settings};
use super::hires;
use super::interrupt::Interrupt;
use super::model::{self, PartArgs, RefinerArgs};
use super::output::{Facts, Pattern};
use super::progress::Progress;
use super::values::{PrecisionArg, Verbosity};
use super::{print, print_json};

const EXIT_CODES: &str = "\
Exit codes:
  0    made again, whether or not the two are equal
  1    failed; or, with --require-equal, they differ or cannot be compared
  2    the arguments or the picture's settings cannot be followed
  130  cancelled";

/// The arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ReplayArgs {
    /// A PNG picture made by aquatint, or by AUTOMATIC1111 and those who write as it does
    ///
    /// Its texts tell the prompt and the settings, as `aquatint inspect PICTURE` shows them. What
    /// they do not tell comes from the model's family; what cannot be followed is said.
    #[arg(value_name = "PICTURE")]
    picture: PathBuf,

    /// Model to use: a path or a name [default: what the picture names]
    ///
    /// A name in a picture is looked up among the models that `aquatint models` lists.
    #[arg(short, long, value_name = "MODEL")]
    model: Option<PathBuf>,

    #[command(flatten)]
    parts: PartArgs,

    #[command(flatten)]
    refiner: RefinerArgs,

    /// Network that enlarged it between two passes: a path or a name [default: what the picture names]
    #[arg(long, value_name = "MODEL")]
    hires_upscaler: Option<PathBuf>,

    /// A picture that this one was made from, where it was; give the mask in the same way
    ///
    /// Pictures name what they were made from and do not carry it. It is known again by its pixels.
    #[arg(long = "image", value_name = "IMAGE")]
    images: Vec<PathBuf>,

    /// How numbers are stored on the device [default: as the picture says]
    #[arg(long, value_name = "TYPE", value_enum)]
    precision: Option<PrecisionArg>,

    #[command(flatten)]
    device: DeviceArgs,

    /// File to write, or a folder to write into; as for `generate`
    #[arg(short, long, value_name = "PATTERN", default_value = Pattern::DEFAULT)]
    #[arg(value_parser = Pattern::parse)]
    output: Pattern,

    /// Fail unless every pixel is the same
    #[arg(long)]
    require_equal: bool,

    /// Print one JSON object: what made the picture, the new file and the difference
    #[arg(long)]
    json: bool,

    /// Say nothing but errors, the name of the file and the difference
    #[arg(short, long)]
    quiet: bool,
}

/// Makes the picture again, writes it, and tells by how much it differs.
pub(super) fn run(args: &ReplayArgs) -> Outcome {
    let recipe = Recipe::read(&PngInfo::open(&args.picture)?)?;
    let request = request(&recipe, args)?;
    request.check()?;
    args.output.check()?;
    let original = Image::open(&args.picture);
    let interrupt = Interrupt::listen()?;
    let progress = Progress::new(match args.quiet {
        true => Verbosity::Quiet,
        false => Verbosity::Normal,
    });
    for warning in &recipe.warnings {
        progress.note(format_args!("warning: {warning}"));
    }
    let model = model(&recipe, args, &progress)?;
    let model_name = model.name().to_owned();
    let refiner = refiner(&recipe, args, &progress)?;
    let device = args.device.open()?;
    let upscaler = upscaler(&recipe, args, &device, &progress)?;
    let mut pipeline = args
        .device
        .load(&device, model, refiner, &progress, &interrupt)?;
    if let Some(upscaler) = upscaler {
        pipeline = pipeline.with_upscaler(upscaler)?;
    }
    let request = pipeline.resolve(&request)?;
    progress.note(settings(&request, &model_name, device.info()));

    let mut drawn = draw(&pipeline, &request, None, None, &progress, &interrupt)?;
    let image = drawn.images.remove(0);
    let facts = Facts {
        seed: image.seed().unwrap_or_default(),
        index: 0,
        model: &model_name,
        width: image.width(),
        height: image.height(),
    };
    let path = args.output.save_new(&image, &facts)?;
    let compared = original.and_then(|original| original.difference(&image));
    let report = Report {
        picture: &args.picture,
        recipe: &recipe,
        request: &request,
        model: &model_name,
        device: device.info(),
        path: &path,
        difference: compared.as_ref().ok(),
        not_compared: compared.as_ref().err().map(ToString::to_string),
        warnings: &drawn.warnings,
    };
    report.show(args)
}

/// What the picture says; how numbers are stored may be said anew. A file that it names is not
/// opened: the picture may come from anybody.
fn request(recipe: &Recipe, args: &ReplayArgs) -> Outcome<Request> {
    let mut request = recipe.request.clone();
    if let Some(Noise::Recorded(path)) = &request.noise {
        return Err(Failure::Usage(format!(
            "noise: {} was made from noise recorded in {path:?}, which it does not carry; give that \
             file with --noise to `aquatint generate`, and the settings that `inspect` shows",
            args.picture.display()
        )));
    }
    let given: Result<Vec<_>, Error> = args.images.iter().map(InputImage::open).collect();
    let given = given?;
    let lacking = |named: &&(&str, &InputImage)| {
        let mut same = given.iter().map(InputImage::sha256);
        !same.any(|digits| digits == named.1.sha256())
    };
    if let Some((what, image)) = recipe.request.task.images().iter().find(lacking) {
        let among = match given.as_slice() {
            [] => String::new(),
            given => format!("; among {} given is none of its pixels", given.len()),
        };
        return Err(Failure::Usage(format!(
            "{what}: {} was made from {image}, which it does not carry; give that file with --image \
             FILE{among}",
            args.picture.display()
        )));
    }
    request.task = request.task.with_images(&given)?;
    if let Some(precision) = args.precision {
        request.precision = precision.into();
    }
    Ok(request)
}

/// The model of `-m`, or the one that the picture names: inside the program, or among those on this
/// machine. Its name never becomes part of a path, since the picture may come from anybody.
fn model(recipe: &Recipe, args: &ReplayArgs, progress: &Progress) -> Outcome<Model> {
    let named = recipe.model.as_deref();
    let parts = parts(recipe, args, progress);
    // Parts without a UNet are of the model that the picture names.
    let is_whole = args.model.is_some() || parts.has("unet") || !parts.has_any();
    let found = named.filter(|_| !is_whole).map(on_this_machine);
    let model = found.transpose().unwrap_or_default();
    let model = args.model.as_deref().or(model.as_deref());
    if let Some(files) = parts.with(model)? {
        let model = model::open(Some(files))?;
        if let Some(named) = named.filter(|named| *named != model.name()) {
            let given = model.name();
            progress.note(format_args!(
                "warning: the picture names the model {named:?}; this one is {given:?}"
            ));
        }
        return Ok(model);
    }
    let made_here = recipe.program == Program::Aquatint;
    if let Some(inside) = named
        .filter(|_| made_here)
        .and_then(|named| model::open(None).ok().filter(|model| model.name() == named))
    {
        return Ok(inside);
    }
    let found = named.map(on_this_machine);
    if let Some(Ok(path)) = found {
        progress.note(format_args!("model {}", path.display()));
        return Ok(Model::open(path)?);
    }
    let not_found = found.and_then(Result::err);
    Err(Failure::Usage(unknown_model(recipe, args, not_found)))
}

/// The parts that were given, and those that the picture names as far as they are found by that name.
fn parts(recipe: &Recipe, args: &ReplayArgs, progress: &Progress) -> PartArgs {
    let mut parts = args.parts.clone();
    for (part, named) in &recipe.parts {
        if parts.has(part) {
            continue;
        }
        let library = Library::open();
        match library.and_then(|library| library.find_part(named).map(Path::to_owned)) {
            Ok(path) => {
                progress.note(format_args!("{part} {}", path.display()));
                parts.set(part, path);
            }
            Err(_) => {
                let flag = part.replace('_', "-");
                progress.note(format_args!(
                    "warning: the picture's {part} was {named:?}; give it with --{flag} PATH"
                ));
            }
        }
    }
    parts
}

/// The refiner of `--refiner`, or the one that the picture names, if one took part.
fn refiner(recipe: &Recipe, args: &ReplayArgs, progress: &Progress) -> Outcome<Option<Model>> {
    let given = args.refiner.open()?;
    if let (Some(given), Some(named)) = (&given, &recipe.refiner)
        && given.name() != named
    {
        let given = given.name();
        progress.note(format_args!(
            "warning: the picture names the refiner {named:?}; this one is {given:?}"
        ));
    }
    if given.is_some() || recipe.request.refiner_start.is_none() {
        return Ok(given);
    }
    let found = recipe.refiner.as_deref().map(on_this_machine);
    if let Some(Ok(path)) = found {
        return Ok(Some(Model::open(path)?));
    }
    let picture = args.picture.display();
    let named = recipe.refiner.as_deref().unwrap_or("that it does not name");
    Err(Failure::Usage(format!(
        "refiner: the last steps of {picture} were made with the refiner {named}; give its file, \
         folder or name with --refiner MODEL"
    )))
}

/// The network of `--hires-upscaler`, or the one that the picture names, if one enlarged it.
fn upscaler(
    recipe: &Recipe,
    args: &ReplayArgs,
    device: &Device,
    progress: &Progress,
) -> Outcome<Option<Upscaler>> {
    let picture = args.picture.display();
    let given = args.hires_upscaler.as_deref();
    let hires = recipe.request.hires.as_ref();
    if hires.is_none_or(|hires| hires.resize != HiresResize::Network) {
        return match given {
            None => Ok(None),
            Some(_) => Err(Failure::Usage(format!(
                "hires_upscaler: no network enlarged {picture} between two passes; leave it out"
            ))),
        };
    }
    let given = hires::open(given, device)?;
    let Some(named) = recipe.hires_upscaler.as_deref() else {
        return Ok(given);
    };
    if let Some(given) = given {
        if given.name() != named {
            let given = given.name();
            progress.note(format_args!(
                "warning: the picture names the upscaler {named:?}; this one is {given:?}"
            ));
        }
        return Ok(Some(given));
    }
    match Library::open()?.find_upscaler(named) {
        Ok(path) => hires::open(Some(path), device),
        Err(reason) => Err(Failure::Usage(format!(
            "hires_upscaler: {picture} was enlarged between its passes by {named:?}; give its file or \
             name with --hires-upscaler MODEL ({reason})"
        ))),
    }
}

/// The file or folder of a model of this name.
fn on_this_machine(named: &str) -> Result<PathBuf, Error> {
    Library::open()?.find(named).map(Path::to_owned)
}

/// What the picture says of its model, why that was not found, and what to do.
fn unknown_model(recipe: &Recipe, args: &ReplayArgs, not_found: Option<Error>) -> String {
    let hash = recipe.model_hash.as_deref();
    let hash = hash.map_or(String::new(), |hash| format!(", hash {hash}"));
    let by = match recipe.model.as_deref() {
        Some(named) => format!("the model {named:?}{hash}"),
        None => "a model that it does not name".to_owned(),
    };
    let reason = not_found.map_or(String::new(), |reason| format!(" ({reason})"));
    let picture = args.picture.display();
    format!(
        "model: {picture} was made with {by}; give its file, folder or name with -m MODEL{reason}"
    )
}

/// Everything that a program would want to know: what `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    picture: &'a Path,
    recipe: &'a Recipe,
    request: &'a Request,
    model: &'a str,
    device: &'a AdapterInfo,
    path: &'a Path,
    difference: Option<&'a Difference>,
    not_compared: Option<String>,
    warnings: &'a [String],
}

impl Report<'_> {
    /// Prints the new file's name and the difference, or all of it as JSON.
    fn show(&self, args: &ReplayArgs) -> Outcome {
        let verdict = match (self.difference, &self.not_compared) {
            (Some(difference), _) => difference.to_string(),
            (None, reason) => format!("not compared: {}", reason.as_deref().unwrap_or_default()),
        };
        if args.json {
            print_json(self)?;
        } else {
            print(format_args!("{}\n{verdict}", self.path.display()))?;
        }
        if args.require_equal && !self.difference.is_some_and(Difference::is_none) {
            return Err(Failure::Different(verdict));
        }
        Ok(())
    }
}
