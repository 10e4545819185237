//! A list of dispatches over bound buffers, encoded again for each run.

use super::buffer::{Buffer, whole_words};
use super::device::Gpu;
use super::kernel::Kernel;
use super::pace::work;
use crate::error::{Error, Result};
use crate::tensor::{Cost, Dispatch};
use std::ops::Range;
use std::sync::Arc;

/// Workgroups that one axis of a grid may have, by WebGPU's default limits.
const MAX_GROUPS_PER_AXIS: usize = 65_535;

/// A buffer, or the bytes of it that a dispatch sees.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// The memory.
    pub(crate) buffer: Buffer,
    /// The bytes that are bound.
    pub(crate) bytes: Range<u64>,
    /// How many rows the buffer holds and the bytes from one to the next, where the bytes are those
    /// of the first row and a run works on one of them.
    pub(crate) rows: Option<(usize, u64)>,
}

#[derive(Debug)]
struct Command {
    kernel: Arc<Kernel>,
    /// One, or one for each row that a run may work on.
    bind_groups: Vec<wgpu::BindGroup>,
    grid: [u32; 2],
    work: u64,
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
    /// Compiles and binds `dispatches`, each with its buffers and its cost.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a grid is larger than the device allows; as [`Gpu::kernel`].
    pub(crate) async fn new(
        gpu: &Gpu,
        dispatches: &[(&Dispatch, Vec<Bound>, Cost)],
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
        for ((dispatch, bound, cost), (kernel, range)) in dispatches.iter().zip(kernels) {
            let uniform = Bound {
                buffer: params.clone(),
                bytes: range,
                rows: None,
            };
            commands.push(Command {
                bind_groups: bind(gpu, dispatch, &kernel, bound, &uniform),
                kernel,
                grid: grid(dispatch.groups)?,
                work: work(*cost),
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

    /// Encodes and submits everything once, at work on the row of that place, in as many submissions as
    /// the device's pace asks for, one compute pass each.
    ///
    /// # Errors
    /// As [`Gpu::check`].
    pub(crate) fn submit(&self, gpu: &Gpu, place: usize) -> Result<()> {
        let mut rest = self.commands.as_slice();
        loop {
            let most = gpu.pace.work();
            let mut total = 0_u64;
            let fits = |command: &&Command| {
                total = total.saturating_add(command.work);
                total <= most
            };
            let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
            let (now, later) = rest.split_at(count);
            rest = later;
            let mut encoder = gpu
                .device
                .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encode(&mut encoder, now, place);
            if rest.is_empty() {
                for Copy { from, to, bytes } in &self.copies {
                    encoder.copy_buffer_to_buffer(&from.inner, 0, &to.inner, 0, *bytes);
                }
            }
            let total = now.iter().map(|command| command.work).sum();
            gpu.submit(encoder.finish(), total)?;
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
        encode(&mut encoder, &self.commands, 0);
        drop(encoder.finish());
    }
}

/// One compute pass over `commands`.
fn encode(encoder: &mut wgpu::CommandEncoder, commands: &[Command], place: usize) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    for command in commands {
        pass.set_pipeline(&command.kernel.pipeline);
        let groups = &command.bind_groups;
        pass.set_bind_group(0, &groups[place.min(groups.len() - 1)], &[]);
        pass.dispatch_workgroups(command.grid[0], command.grid[1], 1);
    }
}

/// The bind group of a dispatch, or one for each row that it may work on.
fn bind(
    gpu: &Gpu,
    dispatch: &Dispatch,
    kernel: &Kernel,
    bound: &[Bound],
    params: &Bound,
) -> Vec<wgpu::BindGroup> {
    let rows = bound.iter().filter_map(|bound| bound.rows);
    let rows = rows.map(|(rows, _)| rows).max().unwrap_or(1);
    let row = |row: usize| {
        let (first, optional) = bound.split_at(kernel.reflection.params_binding);
        let bound = first.iter().chain([params]).chain(optional);
        let entries: Vec<wgpu::BindGroupEntry> = (0..)
            .zip(bound)
            .map(|(binding, bound)| entry(binding, bound, row))
            .collect();
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.shader),
            layout: &kernel.layout,
            entries: &entries,
        })
    };
    (0..rows).map(row).collect()
}

/// What is bound when a run works on a row.
fn entry(binding: u32, bound: &Bound, row: usize) -> wgpu::BindGroupEntry<'_> {
    let Bound {
        buffer,
        bytes,
        rows,
    } = bound;
    let stride = rows.map_or(0, |(_, stride)| stride);
    wgpu::BindGroupEntry {
        binding,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &buffer.inner,
            offset: bytes.start + row as u64 * stride,
            size: std::num::NonZeroU64::new(whole_words(bytes.end - bytes.start)),
        }),
    }
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
