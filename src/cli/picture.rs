//! What a picture's file says of itself, for `inspect`.

use std::collections::BTreeMap;
use std::path::Path;

use aquatint::{PngInfo, Recipe, Request};
use serde::Serialize;
use serde_json::Value;

use super::failure::Outcome;
use super::{print, print_json};

/// All that a picture's file says: what `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    path: &'a Path,
    width: usize,
    height: usize,
    recipe: Option<&'a Recipe>,
    /// Why there is no recipe.
    missing: Option<String>,
    texts: BTreeMap<&'a str, &'a str>,
}

/// Prints what made a picture, or why that is not known.
pub(super) fn show(path: &Path, json: bool) -> Outcome {
    let info = PngInfo::open(path)?;
    let recipe = Recipe::read(&info);
    if !json {
        let missing = recipe.as_ref().err().map(ToString::to_string);
        return print(description(&info, recipe.as_ref().ok(), missing)?);
    }
    print_json(&Report {
        path: info.path(),
        width: info.width(),
        height: info.height(),
        recipe: recipe.as_ref().ok(),
        missing: recipe.as_ref().err().map(ToString::to_string),
        texts: info
            .texts()
            .iter()
            .map(|(keyword, text)| (keyword.as_str(), text.as_str()))
            .collect(),
    })
}

/// The file, what made it and every setting, one a line.
fn description(
    info: &PngInfo,
    recipe: Option<&Recipe>,
    missing: Option<String>,
) -> Outcome<String> {
    let path = info.path().display();
    let mut lines = vec![format!("{path} (PNG, {}×{})", info.width(), info.height())];
    let mut line = |name: &str, text: &str| lines.push(format!("{name:<16} {}", shown(text)));
    if let Some(missing) = missing {
        line("no recipe", &missing);
    }
    if let Some(recipe) = recipe {
        let version = recipe.version.as_deref();
        let unversioned = recipe.program.to_string();
        line("made by", version.unwrap_or(&unversioned));
        let model = recipe.model.as_deref().unwrap_or("not named");
        let hash = recipe.model_hash.iter().map(|hash| format!(" ({hash})"));
        line("model", &format!("{model}{}", hash.collect::<String>()));
        for (part, file) in &recipe.parts {
            line(part, file);
        }
        if let Some(refiner) = &recipe.refiner {
            line("refiner", refiner);
        }
        if let Some(upscaler) = &recipe.hires_upscaler {
            line("hires_upscaler", upscaler);
        }
        for (name, value) in settings(&recipe.request)? {
            line(&name, &value);
        }
        for warning in &recipe.warnings {
            line("warning", warning);
        }
    }
    for (keyword, text) in info.texts() {
        line("text", &format!("{keyword}, {} bytes", text.len()));
    }
    Ok(lines.join("\n"))
}

/// Every setting that differs from saying nothing, by its name in the request.
fn settings(request: &Request) -> Outcome<Vec<(String, String)>> {
    let unsaid = serde_json::to_value(Request::default())?;
    let Value::Object(fields) = serde_json::to_value(request)? else {
        return Ok(Vec::new());
    };
    let said = fields
        .into_iter()
        .filter(|(name, value)| unsaid.get(name) != Some(value));
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(said.map(|(name, value)| (name, text(value))).collect())
}

/// A text of a file without what a terminal would obey; further lines are set in.
pub(super) fn shown(text: &str) -> String {
    let lines = text.lines().map(|line| {
        line.chars()
            .flat_map(|c| {
                // Quotation marks and letters of all scripts stay as they are.
                let obeyed = c.is_control() || c.escape_debug().len() > 2;
                let escaped = obeyed.then(|| c.escape_debug());
                escaped.into_iter().flatten().chain((!obeyed).then_some(c))
            })
            .collect::<String>()
    });
    lines.collect::<Vec<_>>().join("\n                 ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_texts_cannot_command_the_terminal() {
        assert_eq!(shown("a \u{1b}[2J\r\u{202e}b"), "a \\u{1b}[2J\\r\\u{202e}b");
        assert_eq!(shown("ein \"Fuchs\", 狐 é"), "ein \"Fuchs\", 狐 é");
        assert_eq!(shown("a\nb").lines().count(), 2);
    }

    #[test]
    fn only_what_was_said_is_listed() {
        let request = Request::new("a cat").steps(20).seed(0);
        let names: Vec<String> = settings(&request)
            .unwrap()
            .into_iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        assert_eq!(names, ["prompt a cat", "seed 0", "steps 20"]);
    }
}
