//! Mapped memory, held while it is read or written.
//!
//! Once a device is lost, whoever polls it next makes wgpu give the memory of its buffers back, that which
//! another thread has mapped too (wgpu-core 30.0.1, `Device::release_gpu_resources`). wgpu waits with that
//! as long as somebody holds a buffer's driver handle.

use super::buffer::Buffer;
use super::device::Gpu;
use crate::error::Result;
#[cfg(windows)]
use wgpu::hal::api::Dx12;
#[cfg(target_vendor = "apple")]
use wgpu::hal::api::Metal;
#[cfg(not(target_vendor = "apple"))]
use wgpu::hal::api::Vulkan;

impl Gpu {
    /// Works on what is mapped of a buffer. `work` calls nothing of wgpu's: others may be waiting for it.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`] if the memory is gone.
    pub(super) fn held<T>(&self, buffer: &Buffer, work: impl FnOnce() -> T) -> Result<T> {
        match self.backend {
            #[cfg(not(target_vendor = "apple"))]
            wgpu::Backend::Vulkan => self.held_by::<Vulkan, T>(buffer, work),
            #[cfg(target_vendor = "apple")]
            wgpu::Backend::Metal => self.held_by::<Metal, T>(buffer, work),
            #[cfg(windows)]
            wgpu::Backend::Dx12 => self.held_by::<Dx12, T>(buffer, work),
            // A host's own choice, with which no handles are known here.
            _ => Ok(work()),
        }
    }

    fn held_by<A: wgpu::hal::Api, T>(
        &self,
        buffer: &Buffer,
        work: impl FnOnce() -> T,
    ) -> Result<T> {
        // SAFETY: nothing is done with the handle.
        let done = unsafe { buffer.inner.as_hal::<A>() }.map(|_held| work());
        done.ok_or_else(|| self.failure(&"the memory of a mapped buffer is gone"))
    }
}
