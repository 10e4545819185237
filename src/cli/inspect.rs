//! `aquatint inspect`: what a file is, what is in it, and what is missing for a picture; or what
//! made a picture, if the file is one.

use std::path::{Path, PathBuf};

use aquatint::{DamagedTensor, ModelFiles, PngInfo, Summary};
use clap::Args;
use serde_json::Value;

use super::failure::{Failure, Outcome};
use super::model::PartArgs;
use super::{model, picture, print, print_json};

/// The arguments of `inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// A .safetensors file or a diffusers folder, which need not be a whole model, or the name of one; or a PNG picture
    #[cfg_attr(
        feature = "demo-model",
        doc = " [default: the demo model inside this program]"
    )]
    #[arg(value_name = "FILE")]
    #[cfg_attr(not(feature = "demo-model"), arg(required_unless_present = "unet"))]
    file: Option<PathBuf>,

    #[command(flatten)]
    parts: PartArgs,

    /// Read all weights, and fail if there is NaN or infinity among them
    #[arg(long)]
    check: bool,

    /// List every tensor with its type and shape
    #[arg(long)]
    tensors: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Describes a file; one that is no whole model is described as well.
pub(super) fn run(args: &InspectArgs) -> Outcome {
    if let Some(path) = args.file.as_deref().filter(|path| is_picture(path)) {
        let asked = [("tensors", args.tensors), ("check", args.check)];
        if let Some((flag, _)) = asked.iter().find(|(_, asked)| *asked) {
            let reason = format!("{flag}: {} is a picture and has no tensors", path.display());
            return Err(Failure::Usage(reason));
        }
        return picture::show(path, args.json);
    }
    let files = args.parts.with(args.file.as_deref())?;
    let summary = describe(files.clone())?;
    let damaged = args.check.then(|| damaged_tensors(files)).transpose()?;
    if args.json {
        print_json(&as_json(&summary, damaged.as_deref(), args)?)?;
    } else {
        print(&summary)?;
        if let Some(damaged) = &damaged {
            print(damage_table(damaged))?;
        }
        if args.tensors {
            print(tensor_table(&summary))?;
        }
    }
    match damaged.as_deref() {
        None | Some([]) => Ok(()),
        Some(damaged) => Err(Failure::Damaged(format!(
            "{} of the tensors hold NaN or infinity; download the file again, or use another",
            damaged.len()
        ))),
    }
}

/// All that was asked for, as one object.
fn as_json(
    summary: &Summary,
    damaged: Option<&[DamagedTensor]>,
    args: &InspectArgs,
) -> Outcome<Value> {
    let mut value = serde_json::to_value(summary)?;
    if let Some(fields) = value.as_object_mut() {
        if !args.tensors {
            fields.remove("tensors");
        }
        if let Some(damaged) = damaged {
            fields.insert("damaged".to_owned(), serde_json::to_value(damaged)?);
        }
    }
    Ok(value)
}

/// Told by the file's first bytes. What cannot be read is left to those who open models, who say why.
fn is_picture(path: &Path) -> bool {
    PngInfo::recognises(path).unwrap_or(false)
}

fn describe(files: Option<ModelFiles>) -> Outcome<Summary> {
    match files {
        Some(files) => Ok(Summary::open(files)?),
        None => Ok(model::open(None)?.summary()),
    }
}

fn damaged_tensors(files: Option<ModelFiles>) -> Outcome<Vec<DamagedTensor>> {
    let files = files.ok_or_else(|| {
        let reason = "check: give the file to check; the model inside this program is sound";
        Failure::Usage(reason.to_owned())
    })?;
    Ok(files.damaged_tensors()?)
}

/// One line for each damaged tensor, or one that there are none.
fn damage_table(damaged: &[DamagedTensor]) -> String {
    if damaged.is_empty() {
        return "checked     all weights are finite".to_owned();
    }
    let lines = damaged.iter().map(|tensor| {
        let file = tensor.file.display();
        format!("damaged     {tensor} in {file}\n")
    });
    lines.collect()
}

/// One line for each tensor: type, shape, name.
fn tensor_table(summary: &Summary) -> String {
    let lines = summary.tensors.iter().map(|tensor| {
        let axes: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
        format!(
            "{:<5} {:<22} {}\n",
            tensor.dtype,
            format!("[{}]", axes.join(", ")),
            tensor.name.escape_debug()
        )
    });
    lines.collect()
}
