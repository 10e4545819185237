//! A list of dispatches over bound buffers, encoded again for each run.

use super::buffer::{Buffer, whole_words};
use super::cut::{Cut, grid};
use super::device::Gpu;
use super::kernel::Kernel;
use super::pace::work;
use crate::error::{Error, Result};
use crate::tensor::{Cost, Dispatch};
use std::ops::Range;
use std::sync::Arc;

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

/// A dispatch, and the pieces in which it can be run.
#[derive(Debug)]
struct Command {
    kernel: Arc<Kernel>,
    /// One, or one for each row that a run may work on.
    bind_groups: Vec<wgpu::BindGroup>,
    cut: Cut,
    /// Where the parameters of the first piece begin, and the bytes to those of the next.
    params: u32,
    stride: u32,
}

/// What is encoded next: a command, and its first piece that has not been.
#[derive(Clone, Copy, Debug, Default)]
struct Next {
    command: usize,
    piece: usize,
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

impl CommandList {
    /// Compiles and binds `dispatches`, each with its buffers and its cost.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a grid is larger than the device allows; as [`Gpu::kernel`].
    pub(crate) async fn new(
        gpu: &Gpu,
        dispatches: &[(&Dispatch, Vec<Bound>, Cost)],
    ) -> Result<Self> {
        let stride = gpu.limits.min_uniform_buffer_offset_alignment.max(256) as usize;
        let mut params = Vec::new();
        let mut kernels = Vec::new();
        for (dispatch, _, cost) in dispatches {
            let kernel = gpu.kernel(dispatch)?;
            grid(dispatch.groups)?;
            let has_pieces = kernel.reflection.has_pieces();
            let cut = Cut::new(work(*cost), dispatch.groups, gpu.pace.least(), has_pieces);
            let start = params.len();
            for piece in 0..cut.pieces() {
                let first_group = as_u32(piece * cut.groups_each)?;
                let bytes = kernel.reflection.params(&dispatch.params, first_group)?;
                params.extend_from_slice(&bytes);
                params.resize(params.len().next_multiple_of(stride), 0);
            }
            kernels.push((kernel, cut, as_u32(start)?));
        }
        let params = gpu.uniform("parameters", &params)?;
        let mut commands = Vec::with_capacity(dispatches.len());
        for ((dispatch, bound, _), (kernel, cut, start)) in dispatches.iter().zip(kernels) {
            let uniform = Bound {
                buffer: params.clone(),
                bytes: 0..kernel.reflection.params_bytes(),
                rows: None,
            };
            commands.push(Command {
                bind_groups: gpu.guarded(|| bind(gpu, dispatch, &kernel, bound, &uniform))?,
                kernel,
                cut,
                params: start,
                stride: as_u32(stride)?,
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
    pub(crate) async fn submit(&self, gpu: &Arc<Gpu>, place: usize) -> Result<()> {
        let mut next = Next::default();
        loop {
            let most = gpu.pace.work();
            let (commands, work) = gpu.guarded(|| self.encoded(gpu, &mut next, most, place))??;
            gpu.submit(commands, work).await?;
            if self.is_end(next) {
                return gpu.check();
            }
        }
    }

    /// Encodes everything once without submitting: what a bench of the encoding measures.
    ///
    /// # Errors
    /// None that [`CommandList::new`] did not find.
    pub(crate) fn encode_only(&self, gpu: &Gpu) -> Result<()> {
        self.encoded(gpu, &mut Next::default(), u64::MAX, 0)
            .map(drop)
    }

    fn is_end(&self, next: Next) -> bool {
        next.command == self.commands.len()
    }

    /// What comes next and is no more than `most` work, with the copies where it is the last; and the
    /// work that it holds.
    fn encoded(
        &self,
        gpu: &Gpu,
        next: &mut Next,
        most: u64,
        place: usize,
    ) -> Result<(wgpu::CommandBuffer, u64)> {
        let mut encoder = gpu
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let work = self.encode(&mut encoder, next, most, place)?;
        if self.is_end(*next) {
            for Copy { from, to, bytes } in &self.copies {
                encoder.copy_buffer_to_buffer(&from.inner, 0, &to.inner, 0, *bytes);
            }
        }
        Ok((encoder.finish(), work))
    }

    /// One compute pass over what comes next and is no more than `most` work, at work on the row of
    /// that place. The work that it holds.
    fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        next: &mut Next,
        most: u64,
        place: usize,
    ) -> Result<u64> {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        let mut work = 0_u64;
        while let Some(command) = self.commands.get(next.command) {
            let Command { cut, .. } = command;
            let pieces = cut.fitting(next.piece, work, most);
            if pieces == 0 {
                break;
            }
            command.encode(&mut pass, next.piece, pieces, place)?;
            work = work.saturating_add(cut.work_of(pieces));
            next.piece += pieces;
            if next.piece == cut.pieces() {
                *next = Next {
                    command: next.command + 1,
                    piece: 0,
                };
            }
        }
        Ok(work)
    }
}

impl Command {
    /// Encodes so many pieces from `first` on.
    fn encode(
        &self,
        pass: &mut wgpu::ComputePass,
        first: usize,
        pieces: usize,
        place: usize,
    ) -> Result<()> {
        let groups = &self.bind_groups;
        let params = self.params + as_u32(first)? * self.stride;
        let [columns, rows] = grid(self.cut.groups_of(first, pieces))?;
        pass.set_pipeline(&self.kernel.pipeline);
        pass.set_bind_group(0, &groups[place.min(groups.len() - 1)], &[params]);
        pass.dispatch_workgroups(columns, rows, 1);
        Ok(())
    }
}

fn as_u32(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Unsupported(format!("{value} in one dispatch")))
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
