//! Pictures under way, in a file for somebody who watches it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use aquatint::{Device, Run, Step, TinyDecoder};
use clap::Args;

use super::failure::{Failure, Outcome};
use super::output::check_writable;

/// The flags of pictures under way.
#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    /// Write what the picture is becoming into this file after each step, in the place of what is there
    ///
    /// Small, a pixel for each latent: an eighth of the width and height, unless --taesd is given. The other
    /// pictures of a batch that is drawn at once go into files of their own, with a number before the
    /// extension: preview.png, preview-1.png, … The last ones stay.
    #[arg(long, visible_alias = "preview-path", value_name = "FILE.png", value_parser = picture_path)]
    preview: Option<PathBuf>,

    /// Decode previews at full size by this TAESD: its decoder, as .safetensors
    ///
    /// The one of the model's family: there is one for Stable Diffusion 1.x and 2.x, and another for SDXL.
    #[arg(long, visible_alias = "tae", value_name = "FILE", requires = "preview")]
    taesd: Option<PathBuf>,

    /// Do so after every so many steps
    #[arg(long, value_name = "N", default_value = "1", requires = "preview")]
    preview_interval: NonZeroUsize,
}

impl PreviewArgs {
    /// Makes sure that previews can be written, before the time for them is spent.
    pub(super) fn check(&self) -> Outcome {
        let Some(path) = &self.preview else {
            return Ok(());
        };
        if path.is_dir() {
            let reason = format!("preview: {} is a folder; give a file in it", path.display());
            return Err(Failure::Usage(reason));
        }
        check_writable("preview", path.parent().unwrap_or(Path::new("")))
    }

    /// Opens what decodes previews, if anything does.
    pub(super) fn open(&self, device: &Device) -> Outcome<Preview<'_>> {
        let decoder = self.taesd.as_ref();
        let decoder = decoder.map(|path| TinyDecoder::open(device, path));
        Ok(Preview {
            args: self,
            decoder: decoder.transpose()?,
        })
    }
}

/// What writes previews, if any are asked for.
pub(super) struct Preview<'a> {
    args: &'a PreviewArgs,
    decoder: Option<TinyDecoder>,
}

impl Preview<'_> {
    /// Writes what a run's pictures are after a step, where that is asked for.
    pub(super) fn write(&self, run: &Run, step: &Step) -> Outcome {
        let Some(path) = &self.args.preview else {
            return Ok(());
        };
        let is_last = step.index + 1 == step.count;
        if !is_last && !(step.index + 1).is_multiple_of(self.args.preview_interval.get()) {
            return Ok(());
        }
        let images = match &self.decoder {
            Some(decoder) => run.preview_with(decoder)?,
            None => run.preview()?,
        };
        for (index, image) in images.iter().enumerate() {
            image.save_over(numbered(path, index))?;
        }
        Ok(())
    }
}

/// `preview.png`, `preview-1.png`, `preview-2.png`, …
fn numbered(path: &Path, index: usize) -> PathBuf {
    if index == 0 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{index}.png"))
}

/// The name of a PNG file.
fn picture_path(typed: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(typed);
    let extension = path.extension().unwrap_or_default();
    match extension.eq_ignore_ascii_case("png") {
        true => Ok(path),
        false => Err("must end in .png".to_owned()),
    }
}
