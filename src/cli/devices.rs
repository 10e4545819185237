//! `aquatint devices`: the adapters that can be used, and what they can do.

use std::fmt;

use aquatint::{AdapterInfo, Device};
use clap::Args;

use super::failure::Outcome;
use super::{print, print_json};

/// The arguments of `devices`.
#[derive(Debug, Args)]
pub(super) struct DevicesArgs {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists the adapters; fails as `generate` would where there are none.
pub(super) fn run(args: &DevicesArgs) -> Outcome {
    let adapters = Device::list();
    if adapters.is_empty() {
        // The refusal says which package to install.
        Device::best()?;
    }
    if args.json {
        return print_json(&adapters);
    }
    let paragraphs: Vec<String> = adapters
        .iter()
        .map(|info| Paragraph(info).to_string())
        .collect();
    print(paragraphs.join("\n"))
}

/// One adapter in a few lines.
struct Paragraph<'a>(&'a AdapterInfo);

impl fmt::Display for Paragraph<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.0;
        let mark = if info.software {
            "  [software: runs on the CPU]"
        } else {
            ""
        };
        writeln!(f, "{:>2}  {}{mark}", info.index, info.name)?;
        writeln!(
            f,
            "    {}, {}, driver {}",
            info.backend, info.kind, info.driver
        )?;
        let features = if info.features.is_empty() {
            "none of the optional ones".to_owned()
        } else {
            info.features.join(", ")
        };
        writeln!(f, "    features: {features}")?;
        writeln!(f, "    limits:")?;
        let width = info.limits.keys().map(String::len).max().unwrap_or(0);
        for (name, &value) in &info.limits {
            writeln!(f, "      {name:width$}  {}", limit(name, value))?;
        }
        Ok(())
    }
}

/// A limit's value, in readable units where it counts bytes.
fn limit(name: &str, value: u64) -> String {
    if name.ends_with("_bytes") {
        indicatif::BinaryBytes(value).to_string()
    } else {
        value.to_string()
    }
}
