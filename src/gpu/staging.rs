//! The staging ring: large uploads in bounded memory.

use super::arrange::Arranged;
use super::buffer::{Buffer, whole_words};
use super::device::Gpu;
use super::transfer::Mapping;
use super::wait::Commands;
use crate::error::{Error, Result};
use crate::tensor::Param;
use std::sync::Arc;

/// Mapped buffers that take turns: two are on their way while one is filled.
const BUFFERS: usize = 3;
/// Bytes of each. With three of them an upload takes 96 MB beside the weights themselves.
const BUFFER_BYTES: u64 = 32 << 20;

/// One buffer of the ring.
struct Stage {
    buffer: Buffer,
    /// Its way back, once it was sent; `None` while the CPU may write to it.
    sent: Option<Sent>,
}

/// The commands that read a stage, and the mapping that follows them.
struct Sent {
    commands: Commands,
    mapping: Mapping,
}

/// A copy from the stage being filled.
struct Copy {
    from: u64,
    to: Buffer,
    at: u64,
    bytes: u64,
}

/// Moves bytes from the CPU's memory into buffers.
pub(crate) struct StagingRing<'a> {
    gpu: &'a Arc<Gpu>,
    stages: Vec<Stage>,
    stage_bytes: u64,
    current: usize,
    filled: u64,
    copies: Vec<Copy>,
    scratch: Vec<u8>,
}

impl<'a> StagingRing<'a> {
    /// A ring for `total` bytes: smaller stages where little is to be moved.
    pub(crate) fn new(gpu: &'a Arc<Gpu>, total: u64) -> Self {
        Self {
            gpu,
            stages: Vec::new(),
            stage_bytes: whole_words(total.clamp(4, BUFFER_BYTES)),
            current: 0,
            filled: 0,
            copies: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Copies a weight's bytes into a new buffer; a convolution's are laid out channels last on the
    /// way. The CPU does it: it touches the bytes anyway, and no pass over them on the device follows.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Gpu`].
    pub(crate) async fn upload(&mut self, param: &Param, bytes: &[u8]) -> Result<Buffer> {
        let target = self.gpu.storage(&param.name, bytes.len() as u64)?;
        self.copy(&Arranged::new(param, bytes), &target).await?;
        Ok(target)
    }

    /// Sends what is still waiting, and waits until all of it has arrived.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.gpu.wait().await
    }

    async fn copy(&mut self, bytes: &Arranged<'_>, target: &Buffer) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            self.ready().await?;
            let room = usize::try_from(self.stage_bytes - self.filled).unwrap_or(usize::MAX);
            let part = bytes.part(done, room);
            if part.is_empty() {
                if self.copies.is_empty() {
                    return Err(Error::Unsupported(format!(
                        "a weight of which one row takes more than {} MiB",
                        self.stage_bytes >> 20
                    )));
                }
                self.flush()?;
                continue;
            }
            let padded = whole_words(part.len() as u64);
            let stage = &self.stages[self.current].buffer;
            let mut range = stage
                .inner
                .slice(self.filled..self.filled + padded)
                .get_mapped_range_mut()
                .map_err(|error| self.gpu.failure(&error))?;
            let write = |at: usize, piece: &[u8]| {
                range.slice(at..at + piece.len()).copy_from_slice(piece);
            };
            let scratch = &mut self.scratch;
            self.gpu
                .held(stage, || bytes.write(part.clone(), scratch, write))?;
            self.copies.push(Copy {
                from: self.filled,
                to: target.clone(),
                at: done as u64,
                bytes: padded,
            });
            self.filled += padded.next_multiple_of(wgpu::MAP_ALIGNMENT);
            done = part.end;
        }
        Ok(())
    }

    /// Makes the current stage writable: waits for the commands that read it, not for later ones.
    async fn ready(&mut self) -> Result<()> {
        if self.stages.len() <= self.current {
            let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
            let buffer = self
                .gpu
                .allocate("the staging ring", self.stage_bytes, usage, true)?;
            self.stages.push(Stage { buffer, sent: None });
        }
        if let Some(Sent { commands, mapping }) = self.stages[self.current].sent.take() {
            self.gpu.done(commands).await?;
            mapping.done(self.gpu).await?;
        }
        Ok(())
    }

    /// Submits the copies from the current stage and turns to the next one.
    fn flush(&mut self) -> Result<()> {
        if self.copies.is_empty() {
            return Ok(());
        }
        let stage = &mut self.stages[self.current];
        let copies = self.copies.drain(..);
        let commands = self.gpu.guarded(|| {
            stage.buffer.inner.unmap();
            let mut encoder = self
                .gpu
                .device
                .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for Copy {
                from,
                to,
                at,
                bytes,
            } in copies
            {
                encoder.copy_buffer_to_buffer(&stage.buffer.inner, from, &to.inner, at, bytes);
            }
            encoder.finish()
        })?;
        let commands = self.gpu.submit_short(commands)?;
        let mapping = self
            .gpu
            .guarded(|| Mapping::of(&stage.buffer, wgpu::MapMode::Write))?;
        stage.sent = Some(Sent { commands, mapping });
        self.current = (self.current + 1) % BUFFERS;
        self.filled = 0;
        self.gpu.check()
    }
}
