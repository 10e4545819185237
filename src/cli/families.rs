//! `aquatint families`: the kinds of models that can draw, and what each is asked for by default.

use aquatint::FamilyInfo;
use clap::Args;

use super::failure::Outcome;
use super::{counted, print, print_json};

/// The arguments of `families`.
#[derive(Debug, Args)]
pub(super) struct FamiliesArgs {
    /// Print a table in Markdown, as it stands in the README
    #[arg(long, conflicts_with = "json")]
    markdown: bool,

    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Prints the registry.
pub(super) fn run(args: &FamiliesArgs) -> Outcome {
    let families = aquatint::families();
    if args.json {
        return print_json(&families);
    }
    let line = if args.markdown { row } else { entry };
    let lines: Vec<String> = families.iter().map(line).collect();
    let head = match args.markdown {
        true => {
            "| family | pixels | steps | guidance | sampler | schedule | known by |\n|---|---|---|---|---|---|---|\n"
        }
        false => "",
    };
    print(format_args!("{head}{}", lines.join("\n")))
}

/// The defaults on one line, what the family is known by on the next.
fn entry(family: &FamilyInfo) -> String {
    let FamilyInfo {
        title,
        known_by,
        steps,
        guidance_scale,
        sampler,
        schedule,
        ..
    } = family;
    let size = size(family);
    let steps = counted(*steps, "step");
    format!(
        "{title}: {size}, {steps} of {sampler}/{schedule}, guidance {guidance_scale}\n    {known_by}"
    )
}

fn row(family: &FamilyInfo) -> String {
    let cells = [
        family.title.to_owned(),
        size(family),
        family.steps.to_string(),
        family.guidance_scale.to_string(),
        format!("`{}`", family.sampler),
        format!("`{}`", family.schedule),
        family.known_by.clone(),
    ];
    format!("| {} |", cells.join(" | "))
}

fn size(family: &FamilyInfo) -> String {
    match family.side_px {
        Some(side) => format!("{side}×{side}"),
        None => "as its family".to_owned(),
    }
}
