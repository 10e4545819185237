//! `aquatint samplers`: the samplers and schedules that there are, and their names elsewhere.

use aquatint::sampling::{SAMPLERS, SCHEDULES};
use clap::Args;
use serde::Serialize;

use super::failure::Outcome;
use super::{print, print_json};

/// The arguments of `samplers`.
#[derive(Debug, Args)]
pub(super) struct SamplersArgs {
    /// Print tables in Markdown, as they stand in the README
    #[arg(long, conflicts_with = "json")]
    markdown: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// What is said of a sampler or a schedule.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    aliases: &'static [&'static str],
    summary: &'static str,
}

/// All that can be chosen.
#[derive(Serialize)]
struct Choices {
    samplers: Vec<Entry>,
    schedules: Vec<Entry>,
}

/// Prints the registries.
pub(super) fn run(args: &SamplersArgs) -> Outcome {
    let choices = Choices {
        samplers: SAMPLERS
            .iter()
            .map(|sampler| Entry {
                name: sampler.name,
                aliases: sampler.aliases,
                summary: sampler.summary,
            })
            .collect(),
        schedules: SCHEDULES
            .iter()
            .map(|schedule| Entry {
                name: schedule.name,
                aliases: schedule.aliases,
                summary: schedule.summary,
            })
            .collect(),
    };
    if args.json {
        return print_json(&choices);
    }
    let tables = [
        ("sampler", &choices.samplers),
        ("schedule", &choices.schedules),
    ];
    let shown = match args.markdown {
        true => tables.map(|(title, entries)| markdown(title, entries)),
        false => tables.map(|(title, entries)| plain(title, entries)),
    };
    print(shown.join("\n"))
}

/// A name and its meaning on one line, its names elsewhere on the next.
fn plain(title: &str, entries: &[Entry]) -> String {
    let lines = entries.iter().map(|entry| {
        let also = match entry.aliases {
            [] => String::new(),
            aliases => format!("{:23}also {}\n", "", aliases.join(", ")),
        };
        format!("  {:<20} {}\n{also}", entry.name, entry.summary)
    });
    format!("{title}s\n{}", lines.collect::<String>())
}

/// A table in Markdown.
fn markdown(title: &str, entries: &[Entry]) -> String {
    let rows = entries.iter().map(|entry| {
        let aliases: Vec<String> = entry
            .aliases
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let cells = [
            format!("`{}`", entry.name),
            entry.summary.to_owned(),
            aliases.join(", "),
        ];
        let escaped = cells.map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", escaped.join(" | ").trim_end())
    });
    format!(
        "| {title} | | also known as |\n|---|---|---|\n{}",
        rows.collect::<String>()
    )
}
