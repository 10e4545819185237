//! The values that flags take.

use aquatint::sampling::{NoisePath, Prediction, SigmaRules};
use aquatint::{Error, Fill, Noise, Precision, Preset, PromptStyle, Rect, ResizeMode, Seamless};
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

/// What `--resize-mode` says.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum ResizeModeArg {
    /// Each side on its own
    #[default]
    Stretch,
    /// Fill the size and cut off what goes beyond
    Crop,
    /// Fit into the size and draw the border on
    Pad,
}

impl From<ResizeModeArg> for ResizeMode {
    fn from(typed: ResizeModeArg) -> Self {
        match typed {
            ResizeModeArg::Stretch => Self::Stretch,
            ResizeModeArg::Crop => Self::Crop,
            ResizeModeArg::Pad => Self::Pad,
        }
    }
}

/// What `--seamless` says.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SeamlessArg {
    /// Left and right edges
    X,
    /// Top and bottom edges
    Y,
    /// All edges
    Xy,
}

impl From<SeamlessArg> for Seamless {
    fn from(typed: SeamlessArg) -> Self {
        match typed {
            SeamlessArg::X => Self::X,
            SeamlessArg::Y => Self::Y,
            SeamlessArg::Xy => Self::Xy,
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
        .map_err(|_| "must be a whole number from 0 on".to_owned())
}

/// An amount of memory with a unit: of the disk's kind (GB, 10⁹ bytes) or the
/// processor's (GiB, 2³⁰). A letter alone is of the latter kind, as for other programs.
pub(super) fn bytes(typed: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32, u32); 10] = [
        ("kb", 10, 3),
        ("mb", 10, 6),
        ("gb", 10, 9),
        ("kib", 2, 10),
        ("mib", 2, 20),
        ("gib", 2, 30),
        ("k", 2, 10),
        ("m", 2, 20),
        ("g", 2, 30),
        ("b", 2, 0),
    ];
    let lower = typed.trim().to_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = lower.split_at(digits.unwrap_or(lower.len()));
    let known = UNITS.iter().find(|(name, ..)| *name == unit.trim());
    // A number alone is more often meant in gigabytes than in bytes.
    let scale = known.map(|(_, base, exponent)| f64::from(*base).powi(exponent.cast_signed()));
    let amount = number.parse().ok().zip(scale);
    let amount = amount.map(|(number, scale): (f64, f64)| number * scale);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "there is no sign, and what is more than u64 holds is as good as its most"
    )]
    amount
        .filter(|amount| *amount >= 1.0)
        .map(|amount| amount as u64)
        .ok_or_else(|| "must be an amount of memory, as in 6GB, 5.5GiB or 800MB".to_owned())
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

/// A column, a row, a width and a height.
pub(super) fn rect(typed: &str) -> Result<Rect, String> {
    let numbers: Result<Vec<usize>, _> = typed
        .split(',')
        .map(|number| number.trim().parse())
        .collect();
    match numbers.as_deref() {
        Ok(&[left, top, width, height]) => Ok(Rect::new(left, top, width, height)),
        _ => Err(
            "must be four whole numbers: left, top, width and height, as in 10,20,64,64".to_owned(),
        ),
    }
}

/// What stands under a mask: a name, or a colour as web pages write it.
pub(super) fn fill(typed: &str) -> Result<Fill, String> {
    let colour = || {
        let digits = typed.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Fill::Colour([red, green, blue]))
    };
    match typed {
        "original" => Ok(Fill::Original),
        "blur" => Ok(Fill::Blur),
        "noise" => Ok(Fill::Noise),
        _ => colour()
            .ok_or_else(|| "must be original, blur, noise, or a colour as in #8040c0".to_owned()),
    }
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
