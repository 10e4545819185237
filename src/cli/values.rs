//! The values that flags take.

use aquatint::{Noise, Precision};
use clap::ValueEnum;

/// How much is said on the way, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verbosity {
    /// Errors and results only.
    Quiet,
    /// The settings, progress bars and warnings.
    Normal,
    /// Also the device, memory and timings.
    Verbose,
}

/// What `-s` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seed {
    /// `-1`: draw one.
    Draw,
    /// This one, 0 included.
    Fixed(u64),
}

/// What `--precision` says.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum PrecisionArg {
    #[default]
    Auto,
    F32,
    F16,
}

impl From<PrecisionArg> for Precision {
    fn from(typed: PrecisionArg) -> Self {
        match typed {
            PrecisionArg::Auto => Self::Auto,
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::F16 => Self::F16,
        }
    }
}

/// A count or a length; which values make sense is the library's to say.
pub(super) fn whole_number(typed: &str) -> Result<usize, String> {
    typed
        .parse()
        .map_err(|_| "must be a whole number of at least 1".to_owned())
}

/// A number that is not NaN and not infinite.
pub(super) fn finite_number(typed: &str) -> Result<f64, String> {
    let number = typed.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "must be a number, as in 7.5".to_owned())
}

pub(super) fn seed(typed: &str) -> Result<Seed, String> {
    if typed == "-1" {
        return Ok(Seed::Draw);
    }
    typed.parse().map(Seed::Fixed).map_err(|_| {
        format!(
            "must be a whole number from 0 to {}, or -1 to draw one",
            u64::MAX
        )
    })
}

pub(super) fn noise(typed: &str) -> Result<Noise, String> {
    match typed {
        "torch-cpu" => Ok(Noise::TorchCpu),
        "philox" => Ok(Noise::Philox),
        path if path.ends_with(".safetensors") => Ok(Noise::Recorded(path.into())),
        _ => Err("must be torch-cpu, philox or a .safetensors file with recorded noise".to_owned()),
    }
}
