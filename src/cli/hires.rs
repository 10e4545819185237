//! The flags of a second pass at a larger size.

use std::path::{Path, PathBuf};

use aquatint::{Device, Hires, HiresResize, Library, Upscaler};
use clap::{Args, ValueEnum};

use super::failure::Outcome;
use super::values::{finite_number, whole_number};

/// The flags of a second pass at a larger size.
#[derive(Debug, Args)]
pub(super) struct HiresArgs {
    /// Draw again at so many times the size, from what was drawn at the size asked for
    ///
    /// Large pictures keep the composition that the model has at its own size. The second pass has the same
    /// seed, whose noise is drawn anew at the larger size; sides are rounded to a multiple of the model's
    /// latent factor.
    #[arg(long, visible_alias = "hires-scale", value_name = "TIMES", value_parser = finite_number)]
    #[arg(allow_negative_numbers = true)]
    hires: Option<f64>,

    /// How much the second pass may change, over 0 and up to 1 [default: 0.7]
    #[arg(
        long,
        visible_alias = "hires-denoising-strength",
        value_name = "SHARE",
        requires = "hires"
    )]
    #[arg(value_parser = finite_number, allow_negative_numbers = true)]
    hires_strength: Option<f64>,

    /// Steps that the second pass does [default: as many as the first]
    #[arg(long, value_name = "N", value_parser = whole_number, requires = "hires")]
    #[arg(allow_negative_numbers = true)]
    hires_steps: Option<usize>,

    /// How the picture is enlarged between the passes [default: latent]
    #[arg(long, value_name = "WAY", value_enum, requires = "hires")]
    hires_resize: Option<HiresResizeArg>,

    /// Network that enlarges the picture between the passes: a .safetensors file, or a name as for `upscale`
    ///
    /// ESRGAN, Real-ESRGAN and SPAN networks. Where one makes less of it than the size takes, it works up
    /// to three times; where more, a Lanczos filter makes the rest smaller.
    #[arg(
        long,
        value_name = "MODEL",
        requires = "hires",
        conflicts_with = "hires_resize"
    )]
    hires_upscaler: Option<PathBuf>,
}

/// How the picture is enlarged.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HiresResizeArg {
    /// Its latent, between neighbours: takes a strength over 0.5 to become sharp
    Latent,
    /// Its pixels, by a Lanczos filter: stays nearer to the first pass
    Lanczos,
}

impl HiresArgs {
    /// The second pass that was asked for, if one was.
    pub(super) fn hires(&self) -> Option<Hires> {
        let own = Hires::default();
        Some(Hires {
            scale: self.hires?,
            strength: self.hires_strength.unwrap_or(own.strength),
            steps: self.hires_steps,
            resize: match self.hires_resize {
                None if self.hires_upscaler.is_some() => HiresResize::Network,
                None => own.resize,
                Some(HiresResizeArg::Latent) => HiresResize::Latent,
                Some(HiresResizeArg::Lanczos) => HiresResize::Lanczos,
            },
        })
    }

    /// The network that was asked for, if one was.
    pub(super) fn upscaler(&self) -> Option<&Path> {
        self.hires_upscaler.as_deref()
    }
}

/// Opens a network that enlarges between two passes, by its path or name, if there is one.
pub(super) fn open(upscaler: Option<&Path>, device: &Device) -> Outcome<Option<Upscaler>> {
    let path = upscaler.map(Library::locate_upscaler).transpose()?;
    Ok(path.map(|path| Upscaler::open(device, path)).transpose()?)
}
