//! `aquatint devices`: the adapters that can be used, and what they can do.

use std::fmt;

use aquatint::{AdapterInfo, Device, KernelReport, kernel_report};
use clap::Args;
use serde::Serialize;

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
    let paragraphs = adapters.into_iter().map(|info| Paragraph {
        kernels: kernel_report(&info),
        info,
    });
    let paragraphs: Vec<Paragraph> = paragraphs.collect();
    if args.json {
        return print_json(&paragraphs);
    }
    let paragraphs: Vec<String> = paragraphs.iter().map(Paragraph::to_string).collect();
    print(paragraphs.join("\n"))
}

/// One adapter in a few lines.
#[derive(Serialize)]
struct Paragraph {
    #[serde(flatten)]
    info: AdapterInfo,
    kernels: KernelReport,
}

impl fmt::Display for Paragraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = &self.info;
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
        self.kernels(f)
    }
}

impl Paragraph {
    /// What earlier uses of the adapter found.
    fn kernels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernels = &self.kernels;
        let passed: Vec<&str> = kernels.passed.iter().map(String::as_str).collect();
        match passed.is_empty() {
            true => writeln!(f, "    kernels: not checked yet; the first use does")?,
            false => writeln!(f, "    kernels: {}", passed.join(", "))?,
        }
        for kernel in &kernels.lost {
            writeln!(
                f,
                "    warning: a check of {kernel} never ended here, and it is not used; \
                 `aquatint tune` tries it again"
            )?;
        }
        for kernel in kernels.failed.difference(&kernels.lost) {
            writeln!(
                f,
                "    warning: {kernel} computes wrong here and is not used; a newer driver may help"
            )?;
        }
        if let Some(tuning) = &kernels.tuning {
            let count = tuning.shapes.len();
            writeln!(f, "    tuned for {count} classes of shapes")?;
        }
        for reason in &kernels.ignored {
            writeln!(f, "    warning: {reason}; `aquatint tune` makes it anew")?;
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
