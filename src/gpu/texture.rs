//! Pictures as textures of the device.

use super::buffer::Buffer;
use super::device::Gpu;
use crate::error::{Error, Result};
pub(crate) use wgpu::Texture;

/// Red, green, blue and alpha, a byte each.
const PIXEL_BYTES: u32 = 4;

/// What apps do with a picture: draw it, read it, draw on it; and what fills it.
const USAGE: wgpu::TextureUsages = wgpu::TextureUsages::TEXTURE_BINDING
    .union(wgpu::TextureUsages::COPY_SRC)
    .union(wgpu::TextureUsages::COPY_DST)
    .union(wgpu::TextureUsages::RENDER_ATTACHMENT);

impl Gpu {
    /// That a texture of that width and height can be had.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the device's limit.
    pub(crate) fn check_texture(&self, [width, height]: [usize; 2]) -> Result<()> {
        let most = self.limits.max_texture_dimension_2d;
        if width.max(height) <= most as usize {
            return Ok(());
        }
        Err(Error::Unsupported(format!(
            "a picture of {width}×{height} as a texture, of which this device was opened for at most \
             {most} on a side (max_texture_dimension_2d); open it with Device::required_limits, or take \
             the picture as an image"
        )))
    }

    /// A texture of so many pixels that are in a buffer, row after row without gaps. It is filled once what
    /// was submitted before is done, and whatever is submitted after finds it so.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], and as [`Gpu::check_texture`] and [`Gpu::guarded`].
    pub(crate) fn texture_of(&self, pixels: &Buffer, size: [usize; 2]) -> Result<Texture> {
        let texture = self.texture(size)?;
        let (row, aligned) = (row_bytes(&texture), aligned_row_bytes(&texture));
        let rows = texture.height();
        let gapped = match row == aligned {
            true => None,
            false => {
                let bytes = u64::from(aligned) * u64::from(rows);
                let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
                Some(self.allocate("a picture's rows", bytes, usage, false)?)
            }
        };
        let commands = self.guarded(|| {
            let descriptor = wgpu::CommandEncoderDescriptor::default();
            let mut encoder = self.device.create_command_encoder(&descriptor);
            if let Some(gapped) = &gapped {
                for y in 0..u64::from(rows) {
                    let (from, to) = (y * u64::from(row), y * u64::from(aligned));
                    let bytes = u64::from(row);
                    encoder.copy_buffer_to_buffer(&pixels.inner, from, &gapped.inner, to, bytes);
                }
            }
            let from = wgpu::TexelCopyBufferInfo {
                buffer: &gapped.as_ref().unwrap_or(pixels).inner,
                layout: layout(aligned),
            };
            encoder.copy_buffer_to_texture(from, texture.as_image_copy(), texture.size());
            encoder.finish()
        })?;
        self.submit_short(commands)?;
        self.check()?;
        Ok(texture)
    }

    /// A texture of so many pixels from the CPU's memory, likewise.
    ///
    /// # Errors
    /// As [`Gpu::texture_of`].
    pub(crate) fn texture_from(&self, pixels: &[u8], size: [usize; 2]) -> Result<Texture> {
        let texture = self.texture(size)?;
        let (place, layout) = (texture.as_image_copy(), layout(row_bytes(&texture)));
        self.guarded(|| {
            self.queue
                .write_texture(place, pixels, layout, texture.size());
            self.queue.submit([]);
        })?;
        self.check()?;
        Ok(texture)
    }

    /// An empty texture of that width and height.
    fn texture(&self, size: [usize; 2]) -> Result<Texture> {
        self.check_texture(size)?;
        self.check_lost()?;
        let [width, height] = size.map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let create = || {
            self.device.create_texture(&wgpu::TextureDescriptor {
                label: Some("a picture"),
                size: wgpu::Extent3d {
                    width,
                    height,
                    depth_or_array_layers: 1,
                },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: wgpu::TextureFormat::Rgba8Unorm,
                usage: USAGE,
                view_formats: &[wgpu::TextureFormat::Rgba8UnormSrgb],
            })
        };
        self.guarded(create).map_err(|error| match error {
            Error::OutOfMemory { .. } => Error::OutOfMemory {
                what: "allocating a picture's texture".into(),
                needed_bytes: Some(u64::from(PIXEL_BYTES * width) * u64::from(height)),
                available_bytes: None,
            },
            other => other,
        })
    }
}

/// The bytes of a row of pixels.
fn row_bytes(texture: &Texture) -> u32 {
    PIXEL_BYTES * texture.width()
}

/// The bytes from one row to the next where a buffer is copied into a texture.
fn aligned_row_bytes(texture: &Texture) -> u32 {
    row_bytes(texture).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT)
}

/// Rows with so many bytes from one to the next.
fn layout(bytes_per_row: u32) -> wgpu::TexelCopyBufferLayout {
    wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(bytes_per_row),
        rows_per_image: None,
    }
}
