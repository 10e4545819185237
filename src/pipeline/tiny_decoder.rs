//! `TinyDecoder`: pictures under way at their full size, at little cost.

#[cfg(test)]
mod goldens;

use super::latent::LatentShape;
use super::vae::rgba8;
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::image::Image;
use crate::lock::lock;
use crate::networks;
use crate::plan::{Plan, Residency, Runner};
use crate::tensor::{Caps, DType, Recorder};
use crate::tuning;
use crate::weights::Weights;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Names of the plan's ends.
mod ends {
    /// Limited latents `[1, h, w, C]`.
    pub(super) const LATENT: &str = "latent";
    /// Colours `[1, H, W, 3]`, 0 to 1 and a little beyond.
    pub(super) const COLOURS: &str = "colours";
    /// How many values are not finite.
    pub(super) const NONFINITE: &str = "nonfinite";
}

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
    device: Device,
    network: networks::TinyDecoder,
    residency: Arc<Residency>,
    /// The last plan, of latents of that height and width.
    runner: Mutex<Option<([usize; 2], DType, Runner)>>,
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
            device: device.clone(),
            network,
            residency: Arc::new(Residency::new(device, &weights)),
            runner: Mutex::default(),
        })
    }

    /// That it takes latents of so many channels.
    pub(super) fn check(&self, channels: usize) -> Result<()> {
        match self.network.latent_channels() {
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
        let [height_px, width_px] = [height, width].map(|side| side * self.network.scale());
        let mut compute = super::Precision::Auto.compute_on(&self.device)?;
        let mut images = Vec::with_capacity(shape.batch);
        for latent in latents.chunks_exact(shape.picture_len()) {
            let limited = latent.iter().copied().map(networks::TinyDecoder::limited);
            let limited: Vec<f32> = limited.collect();
            let colours = loop {
                match self.run([height, width], &limited, compute).await? {
                    Some(colours) => break colours,
                    None if compute == DType::F16 => compute = DType::F32,
                    None => {
                        return Err(Error::NotFinite {
                            stage: "tiny_decoder",
                            step: None,
                        });
                    }
                }
            };
            let signed: Vec<f32> = colours.iter().map(|colour| 2.0 * colour - 1.0).collect();
            images.push(Image::from_rgba(width_px, height_px, rgba8(&signed))?);
        }
        Ok(images)
    }

    /// limited latents `[h, w, C]` → colours `[H, W, 3]`; `None` if they are not all finite
    async fn run(
        &self,
        size: [usize; 2],
        latent: &[f32],
        compute: DType,
    ) -> Result<Option<Vec<f32>>> {
        let runner = self.take_runner(size, compute).await?;
        runner.write(ends::LATENT, latent)?;
        runner.run().await?;
        let counts = runner.read(ends::NONFINITE).await?;
        let colours = match counts.iter().all(|&count| count == 0.0) {
            true => Some(runner.read(ends::COLOURS).await?),
            false => None,
        };
        *lock(&self.runner) = Some((size, compute, runner));
        Ok(colours)
    }

    /// The last runner if it is of that size and type, else a new one in its place.
    async fn take_runner(&self, size: [usize; 2], compute: DType) -> Result<Runner> {
        let last = lock(&self.runner).take();
        if let Some((of, stored, runner)) = last
            && of == size
            && stored == compute
        {
            return Ok(runner);
        }
        let plan = plan(&self.network, size, compute, &self.device.caps())?;
        Runner::new(&self.device, plan, &self.residency).await
    }
}

/// One latent of that height and width.
fn plan(
    network: &networks::TinyDecoder,
    [height, width]: [usize; 2],
    compute: DType,
    caps: &Caps,
) -> Result<Plan> {
    let recorder = Recorder::new(compute);
    let shape = [1, height, width, network.latent_channels()];
    let latent = recorder.input(ends::LATENT, shape, DType::F32);
    let colours = network.forward(latent.to(compute)).to(DType::F32);
    recorder.output(ends::COLOURS, colours);
    recorder.output(ends::NONFINITE, colours.count_nonfinite());
    Plan::lower(recorder.finish()?, caps)
}
