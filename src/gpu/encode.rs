//! A list of dispatches over bound buffers, encoded again for each run.

use super::buffer::{Buffer, whole_words};
use super::device::Gpu;
use super::kernel::Kernel;
use crate::error::{Error, Result};
use crate::tensor::Dispatch;
use std::ops::Range;
use std::sync::Arc;

/// Workgroups that one axis of a grid may have, by WebGPU's default limits.
const MAX_GROUPS_PER_AXIS: usize = 65_535;
/// Work after which a submission ends, in floating-point operations: about 0.1 s at 1 TFLOP/s, so
/// that the watchdogs of desktop systems (2 s) stay quiet on slow devices.
const SUBMISSION_FLOPS: u64 = 100_000_000_000;

/// A buffer, or the bytes of it that a dispatch sees.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// The memory.
    pub(crate) buffer: Buffer,
    /// The bytes that are bound.
    pub(crate) bytes: Range<u64>,
}

#[derive(Debug)]
struct Command {
    kernel: Arc<Kernel>,
    bind_group: wgpu::BindGroup,
    grid: [u32; 2],
    flops: u64,
}

/// A copy at the end of a run.
#[derive(Debug)]
struct Copy {
    from: Buffer,
    to: Buffer,
    bytes: u64,
}

/// Dispatches and closing copies, ready to be encoded any number of times.
#[derive(Debug)]
pub(crate) struct CommandList {
    commands: Vec<Command>,
    copies: Vec<Copy>,
}

/// Folds a number of workgroups into a grid of two axes with as few idle groups as can be.
fn grid(groups: usize) -> Result<[u32; 2]> {
    let rows = groups.div_ceil(MAX_GROUPS_PER_AXIS).max(1);
    let columns = groups.div_ceil(rows);
    let fits = |axis: usize| {
        u32::try_from(axis).map_err(|_| Error::Unsupported(format!("{groups} workgroups")))
    };
    if rows > MAX_GROUPS_PER_AXIS {
        return Err(Error::Unsupported(format!("{groups} workgroups")));
    }
    Ok([fits(columns)?, fits(rows)?])
}

impl CommandList {
    /// Compiles and binds `dispatches`, each with its buffers and its cost in floating-point
    /// operations.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a grid is larger than the device allows; as [`Gpu::kernel`].
    pub(crate) async fn new(
        gpu: &Gpu,
        dispatches: &[(&Dispatch, Vec<Bound>, u64)],
    ) -> Result<Self> {
        let stride = u64::from(gpu.limits.min_uniform_buffer_offset_alignment).max(256);
        let mut params = Vec::new();
        let mut kernels = Vec::new();
        for (dispatch, _, _) in dispatches {
            let kernel = gpu.kernel(dispatch)?;
            let bytes = kernel.reflection.params(&dispatch.params)?;
            let start = params.len() as u64;
            params.extend_from_slice(&bytes);
            let range = start..params.len() as u64;
            params.resize(
                params
                    .len()
                    .next_multiple_of(usize::try_from(stride).unwrap_or(256)),
                0,
            );
            kernels.push((kernel, range));
        }
        let params = gpu.uniform("parameters", &params).await?;
        let mut commands = Vec::with_capacity(dispatches.len());
        for ((dispatch, bound, flops), (kernel, range)) in dispatches.iter().zip(kernels) {
            let uniform = Bound {
                buffer: params.clone(),
                bytes: range,
            };
            commands.push(Command {
                bind_group: bind(gpu, dispatch, &kernel, bound, &uniform),
                kernel,
                grid: grid(dispatch.groups)?,
                flops: *flops,
            });
        }
        gpu.check()?;
        Ok(Self {
            commands,
            copies: Vec::new(),
        })
    }

    /// Adds a copy at the end of each run.
    pub(crate) fn copy_after(&mut self, from: &Buffer, to: &Buffer, bytes: u64) {
        self.copies.push(Copy {
            from: from.clone(),
            to: to.clone(),
            bytes: whole_words(bytes),
        });
    }

    /// Encodes and submits everything once.
    ///
    /// # Errors
    /// As [`Gpu::check`].
    pub(crate) fn submit(&self, gpu: &Gpu) -> Result<()> {
        let mut rest = self.commands.as_slice();
        loop {
            let mut flops = 0;
            let fits = |command: &&Command| {
                flops += command.flops;
                flops <= SUBMISSION_FLOPS
            };
            let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
            let (now, later) = rest.split_at(count);
            rest = later;
            let mut encoder = gpu
                .device
                .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encode(&mut encoder, now);
            if rest.is_empty() {
                for Copy { from, to, bytes } in &self.copies {
                    encoder.copy_buffer_to_buffer(&from.inner, 0, &to.inner, 0, *bytes);
                }
            }
            gpu.queue.submit([encoder.finish()]);
            if rest.is_empty() {
                return gpu.check();
            }
        }
    }

    /// Encodes everything once without submitting: what a bench of the encoding measures.
    pub(crate) fn encode_only(&self, gpu: &Gpu) {
        let mut encoder = gpu
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encode(&mut encoder, &self.commands);
        drop(encoder.finish());
    }
}

/// One compute pass over `commands`.
fn encode(encoder: &mut wgpu::CommandEncoder, commands: &[Command]) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    for command in commands {
        pass.set_pipeline(&command.kernel.pipeline);
        pass.set_bind_group(0, &command.bind_group, &[]);
        pass.dispatch_workgroups(command.grid[0], command.grid[1], 1);
    }
}

fn bind(
    gpu: &Gpu,
    dispatch: &Dispatch,
    kernel: &Kernel,
    bound: &[Bound],
    params: &Bound,
) -> wgpu::BindGroup {
    let mut entries = Vec::with_capacity(bound.len() + 1);
    let (first, optional) = bound.split_at(kernel.reflection.params_binding);
    let bound = first.iter().chain([params]).chain(optional);
    for (binding, Bound { buffer, bytes }) in (0..).zip(bound) {
        let size = whole_words(bytes.end - bytes.start);
        entries.push(wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &buffer.inner,
                offset: bytes.start,
                size: std::num::NonZeroU64::new(size),
            }),
        });
    }
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(dispatch.shader),
        layout: &kernel.layout,
        entries: &entries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_fold_with_few_idle_groups() {
        for groups in [1, 65_535, 65_536, 65_537, 1_000_003, 131_072] {
            let [columns, rows] = grid(groups).expect("fits").map(|axis| axis as usize);
            assert!(columns <= MAX_GROUPS_PER_AXIS && rows <= MAX_GROUPS_PER_AXIS);
            assert!(columns * rows >= groups && columns * rows - groups < rows);
        }
    }
}
