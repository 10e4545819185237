//! A device that a host opened and draws with itself.

use super::adapter::{self, AdapterInfo, EXPERIMENTAL};
use super::device::{self, Backend, Device, DeviceOptions, Gpu, Opened};
use crate::error::{Error, Result};
use std::sync::Arc;

/// The limits that kernels count on, at WebGPU's defaults.
const NEEDED_LIMITS: [&str; 7] = [
    "max_storage_buffers_per_shader_stage",
    "max_compute_workgroup_storage_size",
    "max_compute_invocations_per_workgroup",
    "max_compute_workgroup_size_x",
    "max_compute_workgroups_per_dimension",
    "max_storage_buffer_binding_size",
    "max_buffer_size",
];

impl Device {
    /// What a host asks of this adapter, beside what it needs itself, to share its device with
    /// aquatint: `f16` and subgroups where there are any, and what measures and keeps kernels.
    ///
    /// None of them is needed. A device that was opened without some works with kernels that do
    /// without, several times as slow without `f16`. Cooperative matrices are not among them, since
    /// wgpu wants a host to ask for what is experimental in so many words: [`Device::descriptor`] does.
    pub fn required_features(adapter: &wgpu::Adapter) -> wgpu::Features {
        adapter.features() & (adapter::optional_features() - EXPERIMENTAL)
    }

    /// The limits to open this adapter with: all that it has. Weights and activations are large, and
    /// what does not fit into one binding is refused or drawn in tiles.
    ///
    /// WebGPU's default limits are the least that [`Device::from_wgpu`] accepts.
    pub fn required_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
        adapter.limits()
    }

    /// What aquatint itself opens an adapter with, for hosts that have no wishes of their own, or few:
    /// [`Device::required_features`] and cooperative matrices, [`Device::required_limits`], and memory
    /// in small blocks.
    ///
    /// Where an adapter refuses it, [`wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX`] is to blame:
    /// take it out and ask again.
    pub fn descriptor(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
        device::descriptor(adapter, adapter.features() & adapter::optional_features())
    }

    /// Shares a host's device. Its handles are cheap clones, and are let go with the last pipeline.
    ///
    /// The host's handlers stay: neither its `on_uncaptured_error` nor its device-lost callback is
    /// replaced or hears of what goes wrong here, which is an [`Error`] of the call that met it. The
    /// host need not poll for aquatint, nor must it stop to; callbacks of its own may be called while
    /// aquatint polls or submits, on the thread that does.
    ///
    /// Of `options`, `adapter` says nothing here. No more work is on its way to the device at once than
    /// fits into [`DeviceOptions::submission_budget`], on adapters that are CPUs too.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the limit, if the device was opened with less than WebGPU's default;
    /// [`Error::DeviceLost`].
    pub fn from_wgpu(
        adapter: &wgpu::Adapter,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        options: &DeviceOptions,
    ) -> Result<Self> {
        let limits = device.limits();
        check_limits(&limits)?;
        let info = AdapterInfo::new(0, adapter, device.features(), &limits);
        let opened = Opened {
            adapter,
            device: device.clone(),
            queue: queue.clone(),
            is_shared: true,
        };
        let gpu = Gpu::new(info, opened, options)?;
        gpu.check_alive()?;
        Ok(Self {
            backend: Backend::Gpu(Arc::new(gpu)),
        })
    }

    /// What wgpu knows this device by, to draw or read textures that a run left on it
    /// ([`crate::Run::finish_on_gpu`]); `None` for the CPU interpreter.
    ///
    /// Leave the handlers of a device that was not yours alone: by them aquatint hears that it is lost. It
    /// is waited for without regard to frames; who draws many opens a device and shares it
    /// ([`Device::from_wgpu`]).
    pub fn wgpu(&self) -> Option<(&wgpu::Device, &wgpu::Queue)> {
        let gpu = self.gpu()?;
        Some((&gpu.device, &gpu.queue))
    }
}

/// That kernels can count on what WebGPU promises.
fn check_limits(limits: &wgpu::Limits) -> Result<()> {
    let defaults = wgpu::Limits::default();
    let least = wgpu::Limits {
        max_buffer_size: defaults.max_storage_buffer_binding_size, // no buffer need be larger
        ..defaults
    };
    let mut short = None;
    least.check_limits_with_fail_fn(limits, false, |limit, least, found| {
        if NEEDED_LIMITS.contains(&limit) {
            short.get_or_insert((limit, found, least));
        }
    });
    match short {
        None => Ok(()),
        Some((limit, found, least)) => Err(Error::Unsupported(format!(
            "a device that was opened with {limit} {found}; it takes {least} at least: open it with \
             Device::required_limits"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_limits_are_enough_and_smaller_ones_are_named() {
        check_limits(&wgpu::Limits::default()).expect("what WebGPU promises is enough");
        let error = check_limits(&wgpu::Limits::downlevel_webgl2_defaults());
        let error = error.expect_err("there are no compute shaders");
        assert!(error.to_string().contains("max_storage_buffers"), "{error}");
        let small = wgpu::Limits {
            max_storage_buffer_binding_size: 64 << 20,
            ..wgpu::Limits::default()
        };
        let error = check_limits(&small).expect_err("weights do not fit");
        assert!(error.to_string().contains("67108864"), "{error}");
    }
}
