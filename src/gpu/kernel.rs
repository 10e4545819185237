//! Kernels: compiled shader variants with their interfaces, made once per device.

use super::device::Gpu;
use super::prelude::prelude;
use super::reflect::Reflection;
use super::shaders::assemble;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::tensor::{Caps, Dispatch};
use std::sync::{Arc, Mutex};

/// A compiled shader variant.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) reflection: Reflection,
}

/// A kernel's place: empty until it is compiled, locked meanwhile.
pub(super) type Slot = Arc<Mutex<Option<Arc<Kernel>>>>;

/// What tells the shader variant that `dispatch` asks for from every other on a device of those
/// capabilities.
pub(crate) fn variant_key(dispatch: &Dispatch, caps: &Caps) -> String {
    key(dispatch, &prelude(dispatch, caps))
}

fn key(dispatch: &Dispatch, prelude: &str) -> String {
    format!("{}\n{prelude}", dispatch.shader)
}

impl Gpu {
    /// The kernel that `dispatch` asks for, compiled at its first use. Who asks for one that another
    /// thread is compiling waits for it; after a failure each tries for itself, and hears the reason.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the variant does not compile or declares other bindings than asked for.
    pub(crate) fn kernel(&self, dispatch: &Dispatch) -> Result<Arc<Kernel>> {
        let prelude = prelude(dispatch, &self.caps);
        let slot = lock(&self.kernels)
            .entry(key(dispatch, &prelude))
            .or_default()
            .clone();
        let mut compiled = lock(&slot);
        if let Some(kernel) = compiled.as_ref() {
            return Ok(Arc::clone(kernel));
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
        Ok(Arc::clone(compiled.insert(kernel)))
    }

    /// Whether the kernel that `dispatch` asks for is there, or being compiled.
    pub(super) fn has_kernel(&self, dispatch: &Dispatch) -> bool {
        lock(&self.kernels).contains_key(&variant_key(dispatch, &self.caps))
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
        let make = || {
            // SAFETY: every shader guards its own bounds and its loops end; the tests run each at odd
            // sizes against its reference, and once more with the checks on.
            let module = unsafe { self.device.create_shader_module_trusted(descriptor, checks) };
            let layout = self.bind_group_layout(dispatch.shader, &reflection);
            let pipeline_layout =
                self.device
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
            (layout, pipeline)
        };
        // Guarded by scopes, which belong to threads: each hears of its own compilation alone.
        let (layout, pipeline) = self.guarded(make)?;
        self.check_lost()?;
        Ok(Kernel {
            pipeline,
            layout,
            reflection,
        })
    }

    /// Storage bindings as declared, with the uniform `Params` in its place among them, at an offset
    /// that is told when it is bound. A binding that a variant does not use is bound all the same.
    fn bind_group_layout(&self, label: &str, reflection: &Reflection) -> wgpu::BindGroupLayout {
        let storage = reflection
            .storage
            .iter()
            .map(|binding| wgpu::BufferBindingType::Storage {
                read_only: !binding.written,
            });
        let mut types: Vec<wgpu::BufferBindingType> = storage.collect();
        types.insert(reflection.params_binding, wgpu::BufferBindingType::Uniform);
        let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..)
            .zip(types)
            .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty,
                    has_dynamic_offset: ty == wgpu::BufferBindingType::Uniform,
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
