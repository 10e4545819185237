//! Kernels: compiled shader variants with their interfaces, made once per device.

use super::device::Gpu;
use super::prelude::prelude;
use super::reflect::Reflection;
use super::shaders::assemble;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::tensor::Dispatch;
use std::sync::Arc;

/// A compiled shader variant.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) reflection: Reflection,
}

impl Gpu {
    /// The kernel that `dispatch` asks for, compiled at its first use.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the variant does not compile or declares other bindings than asked for.
    pub(crate) fn kernel(&self, dispatch: &Dispatch) -> Result<Arc<Kernel>> {
        let prelude = prelude(dispatch, &self.caps);
        let key = format!("{}\n{prelude}", dispatch.shader);
        let known = lock(&self.kernels).get(&key).cloned();
        if let Some(kernel) = known {
            return Ok(kernel);
        }
        let kernel = Arc::new(self.compile(dispatch, &assemble(dispatch.shader, &prelude))?);
        let names = kernel
            .reflection
            .storage
            .iter()
            .map(|binding| (binding.name.as_str(), binding.written));
        if !names.eq(dispatch
            .storage
            .iter()
            .map(|storage| (storage.name, storage.written)))
        {
            return Err(Error::Gpu(format!(
                "{} declares other bindings than asked for",
                dispatch.shader
            )));
        }
        lock(&self.kernels).insert(key, Arc::clone(&kernel));
        Ok(kernel)
    }

    pub(super) fn compile(&self, dispatch: &Dispatch, source: &str) -> Result<Kernel> {
        let label = Some(dispatch.shader);
        let module = naga::front::wgsl::parse_str(source).map_err(|error| {
            Error::Gpu(format!(
                "{}: {}",
                dispatch.shader,
                error.emit_to_string(source)
            ))
        })?;
        let reflection = Reflection::of(&module)?;
        let descriptor = wgpu::ShaderModuleDescriptor {
            label,
            source: wgpu::ShaderSource::Naga(std::borrow::Cow::Owned(module)),
        };
        let checks = if self.runtime_checks {
            wgpu::ShaderRuntimeChecks::checked()
        } else {
            wgpu::ShaderRuntimeChecks::unchecked()
        };
        // SAFETY: every shader guards its own bounds and its loops end; the tests run each at odd
        // sizes against its reference, and once more with the checks on.
        let module = unsafe { self.device.create_shader_module_trusted(descriptor, checks) };
        let layout = self.bind_group_layout(dispatch.shader, &reflection);
        let pipeline_layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label,
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: self.runtime_checks,
                    ..wgpu::PipelineCompilationOptions::default()
                },
                cache: self.cache.as_ref().map(|cache| &cache.cache),
            });
        self.check()?;
        Ok(Kernel {
            pipeline,
            layout,
            reflection,
        })
    }

    /// Storage bindings as declared, then the uniform `Params`. A binding that a variant does not
    /// use is bound all the same.
    fn bind_group_layout(&self, label: &str, reflection: &Reflection) -> wgpu::BindGroupLayout {
        let storage = reflection
            .storage
            .iter()
            .map(|binding| wgpu::BufferBindingType::Storage {
                read_only: !binding.written,
            });
        let types = storage.chain([wgpu::BufferBindingType::Uniform]);
        let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..)
            .zip(types)
            .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        self.device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(label),
                entries: &entries,
            })
    }
}
