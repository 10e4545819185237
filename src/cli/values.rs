//! The values that flags take.

use aquatint::sampling::{NoisePath, Prediction, SigmaRules};
use aquatint::{Error, Noise, Precision, Preset, PromptStyle};
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

/// What `--sigma-rules` says.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SigmaRulesArg {
    Diffusers,
    #[value(alias = "k-diffusion")]
    A1111,
    #[value(alias = "comfy")]
    Comfyui,
}

impl From<SigmaRulesArg> for SigmaRules {
    fn from(typed: SigmaRulesArg) -> Self {
        match typed {
            SigmaRulesArg::Diffusers => Self::Diffusers,
            SigmaRulesArg::A1111 => Self::KDiffusion,
            SigmaRulesArg::Comfyui => Self::Comfy,
        }
    }
}

/// What `--noise-path` says.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum NoisePathArg {
    Independent,
    Brownian,
}

impl From<NoisePathArg> for NoisePath {
    fn from(typed: NoisePathArg) -> Self {
        match typed {
            NoisePathArg::Independent => Self::Independent,
            NoisePathArg::Brownian => Self::Brownian,
        }
    }
}

/// What `--prompt-style` says.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum PromptStyleArg {
    Plain,
    A1111,
    #[value(alias = "comfyui")]
    Comfy,
}

impl From<PromptStyleArg> for PromptStyle {
    fn from(typed: PromptStyleArg) -> Self {
        match typed {
            PromptStyleArg::Plain => Self::Plain,
            PromptStyleArg::A1111 => Self::A1111,
            PromptStyleArg::Comfy => Self::Comfy,
        }
    }
}

/// What `--sigmas` says: one value of the flag, whatever commas are in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sigmas(pub(super) Vec<f64>);

/// Numbers between commas, in brackets or not; which make sense is the library's to say.
pub(super) fn sigmas(typed: &str) -> Result<Sigmas, String> {
    let bare = typed.trim().trim_start_matches('[').trim_end_matches(']');
    let numbers = bare.split(',').map(|number| finite_number(number.trim()));
    let numbers: Result<Vec<f64>, String> = numbers.collect();
    numbers
        .map(Sigmas)
        .map_err(|_| "must be numbers between commas, as in 14.6,3.9,0.9,0".to_owned())
}

pub(super) fn prediction(typed: &str) -> Result<Prediction, String> {
    Prediction::find(typed).map_err(|error| match error {
        Error::Request { reason, .. } => reason,
        other => other.to_string(),
    })
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

/// A width and a height, as height and width.
pub(super) fn size(typed: &str) -> Result<[usize; 2], String> {
    pair(typed, 'x').ok_or_else(|| "must be a width and a height, as in 1024x768".to_owned())
}

/// A column and a row, as row and column.
pub(super) fn corner(typed: &str) -> Result<[usize; 2], String> {
    pair(typed, ',').ok_or_else(|| "must be two whole numbers, as in 0,64".to_owned())
}

/// Two whole numbers, the second one first.
fn pair(typed: &str, between: char) -> Option<[usize; 2]> {
    let (first, second) = typed.split_once(between)?;
    Some([second.parse().ok()?, first.parse().ok()?])
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

pub(super) fn preset(typed: &str) -> Result<Preset, String> {
    let found = Preset::ALL.into_iter().find(|(name, _)| *name == typed);
    let names = || Preset::ALL.map(|(name, _)| name).join(", ");
    found
        .map(|(_, preset)| preset)
        .ok_or_else(|| format!("must be one of {}", names()))
}

pub(super) fn noise(typed: &str) -> Result<Noise, String> {
    match typed {
        "torch-cpu" => Ok(Noise::TorchCpu),
        "philox" => Ok(Noise::Philox),
        path if path.ends_with(".safetensors") => Ok(Noise::Recorded(path.into())),
        _ => Err("must be torch-cpu, philox or a .safetensors file with recorded noise".to_owned()),
    }
}
