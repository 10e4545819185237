//! `Upscaler`: a network that enlarges pictures, on a device.

#[cfg(test)]
mod goldens;
mod memory;
mod tiles;
mod to_size;

use super::colour_runner::{ColourNetwork, ColourRunner};
use super::request::Precision;
use crate::error::{Error, Result};
use crate::gpu::{Device, block_on};
use crate::image::Image;
use crate::networks;
use crate::tensor::{DType, Tensor};
use crate::tuning;
use crate::weights::Weights;
use std::ops::ControlFlow;
use std::path::Path;
use tiles::{Canvas, Cut};

/// The side of a tile, in pixels of the picture to enlarge.
const DEFAULT_TILE_PX: usize = 256;
/// The least side of a tile: below it, nothing but overlap would be left.
pub const MIN_UPSCALE_TILE_PX: usize = 32;
/// The most pixels of what comes out: 20 bytes each are taken in the host's memory.
const MAX_RESULT_PIXELS: usize = 1 << 28;

/// An upscaling network on a device: ESRGAN and its relatives, Real-ESRGAN's compact
/// network, SPAN, from safetensors.
///
/// ```no_run
/// use aquatint::{Device, Image, UpscaleOptions, Upscaler};
/// use std::ops::ControlFlow;
///
/// # fn main() -> aquatint::Result<()> {
/// let upscaler = Upscaler::open(&Device::best()?, "RealESRGAN_x4plus.safetensors")?;
/// let small = Image::open("lighthouse.png")?;
/// let large = upscaler.upscale(&small, &UpscaleOptions::default(), &mut |tiles| {
///     println!("{} of {}", tiles.done, tiles.count);
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(large.width(), upscaler.scale() * small.width());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Upscaler {
    runner: ColourRunner<networks::Upscaler>,
    name: String,
}

/// How a picture is enlarged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpscaleOptions {
    /// The side of the tiles that the picture is enlarged in, in its own pixels, at least
    /// [`MIN_UPSCALE_TILE_PX`]. Memory grows with its square.
    pub tile_px: usize,
    /// How activations are stored.
    pub precision: Precision,
}

impl Default for UpscaleOptions {
    fn default() -> Self {
        Self {
            tile_px: DEFAULT_TILE_PX,
            precision: Precision::default(),
        }
    }
}

/// A tile that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpscaleProgress {
    /// How many are done.
    pub done: usize,
    /// How many there are.
    pub count: usize,
}

impl Upscaler {
    /// Opens an upscaling network's file. Its weights come to the device with the first picture.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadFile`], [`Error::UnknownModel`] if the file is of something else,
    /// [`Error::MissingTensor`], [`Error::Unsupported`]; [`Error::OutOfMemory`], [`Error::DeviceLost`]
    /// or [`Error::Gpu`] from the device.
    pub fn open(device: &Device, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        tuning::prepare(device)?;
        let weights = Weights::open_upscaler(path)?;
        let network = networks::Upscaler::load(&weights.scope("upscaler"))?;
        let name = path.file_stem().unwrap_or_default();
        Ok(Self {
            runner: ColourRunner::new(device, network, &weights),
            name: name.to_string_lossy().into_owned(),
        })
    }

    /// Where it enlarges.
    pub(super) fn device(&self) -> &Device {
        &self.runner.device
    }

    /// How many times as wide and high the result is.
    pub fn scale(&self) -> usize {
        self.runner.network.scale()
    }

    /// What its kind of network is called, such as "ESRGAN".
    pub fn architecture(&self) -> &'static str {
        self.runner.network.name()
    }

    /// The file's name without its ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A picture → one [`Upscaler::scale`] times as wide and high, with the alpha of the nearest
    /// pixels. `progress` is told of each tile and may stop.
    ///
    /// # Errors
    /// [`Error::Request`] if the result would be too large or tiles too small, [`Error::Cancelled`] if
    /// `progress` stops, [`Error::NotFinite`], [`Error::OutOfMemory`], [`Error::DeviceLost`] or
    /// [`Error::Gpu`].
    pub fn upscale(
        &self,
        image: &Image,
        options: &UpscaleOptions,
        progress: &mut dyn FnMut(UpscaleProgress) -> ControlFlow<()>,
    ) -> Result<Image> {
        block_on(self.upscale_async(image, options, progress))
    }

    async fn upscale_async(
        &self,
        image: &Image,
        options: &UpscaleOptions,
        progress: &mut dyn FnMut(UpscaleProgress) -> ControlFlow<()>,
    ) -> Result<Image> {
        let compute = options.precision.compute_on(&self.runner.device)?;
        self.upscale_in(image, options, compute, progress).await
    }

    /// As [`Upscaler::upscale`], beginning with activations of a type.
    async fn upscale_in(
        &self,
        image: &Image,
        options: &UpscaleOptions,
        mut compute: DType,
        progress: &mut (impl FnMut(UpscaleProgress) -> ControlFlow<()> + ?Sized),
    ) -> Result<Image> {
        let size = [image.height(), image.width()];
        check(size, self.scale(), options)?;
        let cut = Cut::of(size, options.tile_px, self.runner.network.multiple());
        let mut canvas = Canvas::new(size, self.scale());
        let tiles = cut.tiles();
        let count = tiles.len();
        for (done, corner) in (1..).zip(tiles) {
            let pixels = cut.pixels(image, corner, self.runner.network.input());
            let (compute, precision) = (&mut compute, options.precision);
            let colours = self.runner.colours(cut.size, &pixels, compute, precision);
            let colours = colours.await?;
            canvas.add(&cut, corner, &colours);
            if progress(UpscaleProgress { done, count }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        Image::from_rgba(
            size[1] * self.scale(),
            size[0] * self.scale(),
            canvas.rgba(image),
        )
    }
}

impl ColourNetwork for networks::Upscaler {
    const STAGE: &'static str = "upscaler";

    fn channels(&self) -> usize {
        3
    }

    fn forward<'g>(&self, pixels: Tensor<'g>) -> Tensor<'g> {
        self.forward(pixels)
    }
}

/// That tiles are large enough and the result is small enough.
fn check(size: [usize; 2], scale: usize, options: &UpscaleOptions) -> Result<()> {
    if options.tile_px < MIN_UPSCALE_TILE_PX {
        let found = options.tile_px;
        let reason = format!("must be at least {MIN_UPSCALE_TILE_PX} pixels, not {found}");
        return Err(Error::request("tile", reason));
    }
    let [height, width] = size.map(|side| side.saturating_mul(scale));
    if height.saturating_mul(width) > MAX_RESULT_PIXELS {
        let reason = format!(
            "would become {width}×{height} with {scale} times the size, more than \
             {MAX_RESULT_PIXELS} pixels; use a smaller picture"
        );
        return Err(Error::request("image", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_all_memory_is_refused_before_anything_runs() {
        let options = UpscaleOptions::default();
        assert!(check([4096, 4096], 4, &options).is_ok());
        for size in [[4096, 4097], [1 << 40, 1 << 40]] {
            let error = check(size, 4, &options).unwrap_err().to_string();
            assert!(error.contains("smaller picture"), "{error}");
        }
        let small = UpscaleOptions {
            tile_px: MIN_UPSCALE_TILE_PX - 1,
            ..options
        };
        assert!(check([8, 8], 4, &small).is_err());
    }
}
