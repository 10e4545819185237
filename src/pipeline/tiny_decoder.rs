//! `TinyDecoder`: pictures under way at their full size, at little cost.

#[cfg(test)]
mod goldens;

use super::colour_runner::{ColourNetwork, ColourRunner};
use super::latent::LatentShape;
use super::request::Precision;
use super::vae::rgba8;
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::image::Image;
use crate::networks;
use crate::tensor::Tensor;
use crate::tuning;
use crate::weights::Weights;
use std::path::Path;

/// A decoder so small that it can show a picture after every step: TAESD (github.com/madebyollin/taesd)
/// from safetensors, in its own names or diffusers'. That of SDXL is another than that of Stable
/// Diffusion 1.x and 2.x; no file tells which it is.
///
/// ```no_run
/// use aquatint::{Device, Pipeline, Request, TinyDecoder};
///
/// # fn main() -> aquatint::Result<()> {
/// let device = Device::best()?;
/// let pipeline = Pipeline::load(&device, "v1-5-pruned-emaonly.safetensors")?;
/// let decoder = TinyDecoder::open(&device, "taesd_decoder.safetensors")?;
/// let mut run = pipeline.start(&Request::new("a lighthouse in a storm"))?;
/// while run.next_step()?.is_some() {
///     let pictures = run.preview_with(&decoder)?;
///     println!("{} pixels wide", pictures[0].width());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TinyDecoder {
    runner: ColourRunner<networks::TinyDecoder>,
}

impl TinyDecoder {
    /// Opens a decoder's file and puts its weights on the device when they are first needed.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadFile`], [`Error::UnknownModel`] if the file is of something else,
    /// [`Error::MissingTensor`], [`Error::TensorMismatch`] or [`Error::Unsupported`], which name the
    /// tensor.
    pub fn open(device: &Device, path: impl AsRef<Path>) -> Result<Self> {
        tuning::prepare(device)?;
        let weights = Weights::open_tiny_decoder(path.as_ref())?;
        let network = networks::TinyDecoder::load(&weights.scope("tiny_decoder"))?;
        Ok(Self {
            runner: ColourRunner::new(device, network, &weights),
        })
    }

    /// That it takes latents of so many channels.
    pub(super) fn check(&self, channels: usize) -> Result<()> {
        match self.runner.network.latent_channels() {
            known if known == channels => Ok(()),
            known => Err(Error::Unsupported(format!(
                "a preview by a decoder of latents of {known} channels, where the model's have \
                 {channels}; use the TAESD of the model's family"
            ))),
        }
    }

    /// latents `[N, h, w, C]` as the sampler has them → their pictures
    pub(super) async fn decode(&self, latents: &[f32], shape: LatentShape) -> Result<Vec<Image>> {
        let [_, height, width] = shape.chw;
        let [height_px, width_px] = [height, width].map(|side| side * self.runner.network.scale());
        let precision = Precision::Auto;
        let mut compute = precision.compute_on(&self.runner.device)?;
        let mut images = Vec::with_capacity(shape.batch);
        for latent in latents.chunks_exact(shape.picture_len()) {
            let limited = latent.iter().copied().map(networks::TinyDecoder::limited);
            let limited: Vec<f32> = limited.collect();
            let (size, compute) = ([height, width], &mut compute);
            let colours = self.runner.colours(size, &limited, compute, precision);
            let colours = colours.await?;
            let signed: Vec<f32> = colours.iter().map(|colour| 2.0 * colour - 1.0).collect();
            images.push(Image::from_rgba(width_px, height_px, rgba8(&signed))?);
        }
        Ok(images)
    }
}

impl ColourNetwork for networks::TinyDecoder {
    const STAGE: &'static str = "tiny_decoder";

    fn channels(&self) -> usize {
        self.latent_channels()
    }

    fn forward<'g>(&self, limited: Tensor<'g>) -> Tensor<'g> {
        self.forward(limited)
    }
}
