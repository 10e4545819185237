//! `aquatint --version`: what this program is, and with `--verbose` what it was made of, for bug
//! reports.

use std::fmt;

use aquatint::Device;

use super::failure::Outcome;
use super::print;

/// How much to say of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// The name and the version.
    Plain,
    /// The commit, features, backends, target and compiler as well.
    Verbose,
}

/// The optional features, and whether this build has them.
const FEATURES: [(&str, bool); 2] = [
    ("demo-model", cfg!(feature = "demo-model")),
    ("pull", cfg!(feature = "pull")),
];

/// Prints the version.
pub(super) fn run(detail: Detail) -> Outcome {
    let version = concat!("aquatint ", env!("CARGO_PKG_VERSION"));
    match detail {
        Detail::Plain => print(version),
        Detail::Verbose => print(format_args!("{version}\n{}", Build)),
    }
}

/// What the program was made of, a line each.
struct Build;

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features = FEATURES.iter().filter(|(_, enabled)| *enabled);
        let features: Vec<&str> = features.map(|(name, _)| *name).collect();
        writeln!(f, "commit:   {}", env!("AQUATINT_COMMIT"))?;
        writeln!(f, "features: {}", list(&features))?;
        writeln!(f, "backends: {}", list(&Device::backends()))?;
        writeln!(f, "target:   {}", env!("AQUATINT_TARGET"))?;
        write!(f, "compiler: {}", env!("AQUATINT_COMPILER"))
    }
}

fn list(names: &[&str]) -> String {
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}
