//! Pictures that stay on the device.

use super::Run;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Texture, block_on};
use crate::pipeline::tasks::Painting;
use std::sync::Arc;

impl Run {
    /// Does the steps that are left, and gives the pictures as textures of the device, one each, without a
    /// way through the CPU's memory: for an app that draws them with the device that it shares
    /// ([`crate::Device::from_wgpu`]), or that takes [`crate::Device::wgpu`].
    ///
    /// A texture is `Rgba8Unorm`, opaque, rows from the top, with the bytes that [`Run::finish`] has: colours
    /// in sRGB. Its default view gives those values as they are, to toolkits that work in them, such as egui;
    /// a view in `Rgba8UnormSrgb` gives linear ones, to renderers. Its usages are `TEXTURE_BINDING`,
    /// `RENDER_ATTACHMENT`, `COPY_SRC` and `COPY_DST`. It belongs to the caller, and whatever is submitted to
    /// the device's queue after this returned finds it filled.
    ///
    /// Pictures that are put together on the CPU, from tiles of the VAE or around a mask, are uploaded
    /// into textures: the same for who draws them.
    ///
    /// Textures carry no texts and no seed. [`Run::finish`] still gives the pictures with them after this, to be
    /// saved, by decoding once more; as long as the run is kept, so is its memory.
    ///
    /// # Errors
    /// As [`Run::next_step`]. Before any step, and without harm to the run: [`Error::Unsupported`] on the CPU
    /// interpreter, and where the device was opened for textures smaller than the picture.
    pub fn finish_on_gpu(&mut self) -> Result<Vec<Texture>> {
        block_on(self.finish_on_gpu_async())
    }

    /// As [`Run::finish_on_gpu`], for any executor: [`crate::Pipeline::start_async`] says what it does to a
    /// thread. Dropped in a step, it ends the run.
    ///
    /// # Errors
    /// As [`Run::finish_on_gpu`].
    pub async fn finish_on_gpu_async(&mut self) -> Result<Vec<Texture>> {
        let gpu = self.gpu_for_textures()?;
        while self.next_step_async().await?.is_some() {}
        let canceller = self.canceller.clone();
        canceller.unless_cancelled(self.textures(&gpu)).await
    }

    async fn textures(&mut self, gpu: &Gpu) -> Result<Vec<Texture>> {
        if self.painting.is_none() {
            let state = self.last_state().await?;
            let latents = self.latents_of(&state);
            if let Some(textures) = self.decoder.decode_on_gpu(&latents).await? {
                return Ok(textures);
            }
        }
        let images = self.images(&mut |_| ()).await?.into_iter();
        let textures =
            images.map(|image| gpu.texture_from(image.pixels(), [image.width(), image.height()]));
        textures.collect()
    }

    /// The device, if it can hold the pictures as textures.
    fn gpu_for_textures(&self) -> Result<Arc<Gpu>> {
        let Some(gpu) = self.pipeline.device().gpu() else {
            return Err(Error::Unsupported(
                "textures on the CPU interpreter, which has no graphics device; use Run::finish"
                    .into(),
            ));
        };
        gpu.check_texture(self.picture_size()?)?;
        Ok(Arc::clone(gpu))
    }

    /// Width and height of the pictures.
    fn picture_size(&self) -> Result<[usize; 2]> {
        let painted = self.painting.as_ref().map(Painting::pictures);
        if let Some(picture) = painted.and_then(|pictures| pictures.first()) {
            return Ok([picture.width(), picture.height()]);
        }
        let second = self.pipeline.model().second_pass(&self.asked)?;
        let last = second.as_ref().unwrap_or(&self.asked);
        Ok([last.width(), last.height()])
    }
}
