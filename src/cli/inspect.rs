//! `aquatint inspect`: what a file is, what is in it, and what is missing for a picture; or what
//! made a picture, if the file is one.

use std::path::Path;

use aquatint::{PngInfo, Summary};

use super::args::InspectArgs;
use super::failure::{Failure, Outcome};
use super::{model, picture, print, print_json};

/// Describes a file; one that is no whole model is described as well.
pub(super) fn run(args: &InspectArgs) -> Outcome {
    if let Some(path) = args.file.as_deref().filter(|path| is_picture(path)) {
        if args.tensors {
            let reason = format!("tensors: {} is a picture and has none", path.display());
            return Err(Failure::Usage(reason));
        }
        return picture::show(path, args.json);
    }
    let summary = describe(args)?;
    if args.json {
        let mut value = serde_json::to_value(&summary)?;
        if let Some(fields) = value.as_object_mut().filter(|_| !args.tensors) {
            fields.remove("tensors");
        }
        return print_json(&value);
    }
    print(&summary)?;
    if args.tensors {
        print(tensor_table(&summary))?;
    }
    Ok(())
}

/// Told by the file's first bytes. What cannot be read is left to those who open models, who say why.
fn is_picture(path: &Path) -> bool {
    PngInfo::recognises(path).unwrap_or(false)
}

fn describe(args: &InspectArgs) -> Outcome<Summary> {
    match args.parts.with(args.file.as_deref())? {
        Some(files) => Ok(Summary::open(files)?),
        None => Ok(model::open(None)?.summary()),
    }
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
