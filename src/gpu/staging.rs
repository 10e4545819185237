//! The staging ring: large uploads in bounded memory.

use super::buffer::{Buffer, whole_words};
use super::device::Gpu;
use super::encode::{Bound, CommandList};
use crate::error::{Error, Result};
use crate::tensor::{Const, DType, Dispatch, Lanes, Layout, Operand, Param, View};

/// Mapped buffers that take turns: two are on their way while one is filled.
const BUFFERS: usize = 3;
/// Bytes of each. With three of them an upload takes 96 MB beside the weights themselves.
const BUFFER_BYTES: u64 = 32 << 20;

/// One buffer of the ring.
struct Stage {
    buffer: Buffer,
    /// Whether the CPU may write to it.
    mapped: bool,
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
    gpu: &'a Gpu,
    stages: Vec<Stage>,
    stage_bytes: u64,
    current: usize,
    filled: u64,
    copies: Vec<Copy>,
    scratch: Option<Buffer>,
}

impl<'a> StagingRing<'a> {
    /// A ring for `total` bytes: smaller stages where little is to be moved.
    pub(crate) fn new(gpu: &'a Gpu, total: u64) -> Self {
        Self {
            gpu,
            stages: Vec::new(),
            stage_bytes: whole_words(total.clamp(4, BUFFER_BYTES)),
            current: 0,
            filled: 0,
            copies: Vec::new(),
            scratch: None,
        }
    }

    /// Copies a weight's bytes, as stored, into a new buffer; a convolution's are laid out channels
    /// last on the way, by the GPU.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Gpu`].
    pub(crate) async fn upload(&mut self, param: &Param, bytes: &[u8]) -> Result<Buffer> {
        let size = bytes.len() as u64;
        let target = self.gpu.storage(&param.name, size).await?;
        let Some(moved) = Moved::of(param) else {
            self.copy(bytes, &target).await?;
            return Ok(target);
        };
        let scratch = self.scratch(size).await?;
        self.copy(bytes, &scratch).await?;
        self.flush()?;
        let whole = |buffer: &Buffer| Bound {
            buffer: buffer.clone(),
            bytes: 0..whole_words(size),
        };
        let dispatch = moved.dispatch(param);
        let bound = vec![whole(&scratch), whole(&target)];
        CommandList::new(self.gpu, &[(&dispatch, bound, 0)])
            .await?
            .submit(self.gpu)?;
        Ok(target)
    }

    /// Sends what is still waiting, and waits until all of it has arrived.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.gpu.wait()
    }

    /// Memory for a weight on its way to another layout; one piece serves all of them in turn.
    async fn scratch(&mut self, bytes: u64) -> Result<Buffer> {
        match &self.scratch {
            Some(buffer) if buffer.inner.size() >= bytes => Ok(buffer.clone()),
            _ => {
                let buffer = self.gpu.storage("weights in another layout", bytes).await?;
                self.scratch = Some(buffer.clone());
                Ok(buffer)
            }
        }
    }

    async fn copy(&mut self, bytes: &[u8], target: &Buffer) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            if self.filled + 4 > self.stage_bytes {
                self.flush()?;
            }
            self.ready().await?;
            let room = usize::try_from(self.stage_bytes - self.filled).unwrap_or(usize::MAX);
            let part = &bytes[done..bytes.len().min(done + room)];
            let padded = whole_words(part.len() as u64);
            let stage = &self.stages[self.current].buffer;
            let mut range = stage
                .inner
                .slice(self.filled..self.filled + padded)
                .get_mapped_range_mut()
                .map_err(|error| Error::Gpu(error.to_string()))?;
            range.slice(..part.len()).copy_from_slice(part);
            self.copies.push(Copy {
                from: self.filled,
                to: target.clone(),
                at: done as u64,
                bytes: padded,
            });
            self.filled += padded.next_multiple_of(wgpu::MAP_ALIGNMENT);
            done += part.len();
        }
        Ok(())
    }

    /// Makes the current stage writable.
    async fn ready(&mut self) -> Result<()> {
        if self.stages.len() <= self.current {
            let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
            let buffer = self
                .gpu
                .allocate("the staging ring", self.stage_bytes, usage, true)
                .await?;
            self.stages.push(Stage {
                buffer,
                mapped: true,
            });
        }
        let stage = &mut self.stages[self.current];
        if !stage.mapped {
            self.gpu.map(&stage.buffer, wgpu::MapMode::Write).await?;
            stage.mapped = true;
        }
        Ok(())
    }

    /// Submits the copies from the current stage and turns to the next one.
    fn flush(&mut self) -> Result<()> {
        if self.copies.is_empty() {
            return Ok(());
        }
        let stage = &mut self.stages[self.current];
        stage.buffer.inner.unmap();
        stage.mapped = false;
        let mut encoder = self
            .gpu
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for Copy {
            from,
            to,
            at,
            bytes,
        } in self.copies.drain(..)
        {
            encoder.copy_buffer_to_buffer(&stage.buffer.inner, from, &to.inner, at, bytes);
        }
        self.gpu.queue.submit([encoder.finish()]);
        self.current = (self.current + 1) % BUFFERS;
        self.filled = 0;
        self.gpu.check()
    }
}

/// How a weight's elements move on their way to the device: within each of its outputs, a matrix of
/// channels and taps is transposed.
pub(super) struct Moved {
    channels: usize,
    taps: usize,
}

impl Moved {
    /// How `param` is laid out anew; `None` where it is not, as a convolution of one pixel.
    pub(super) fn of(param: &Param) -> Option<Self> {
        let dim = |axis| param.shape.dim(axis);
        let (channels, taps) = match param.layout {
            Layout::AsStored => return None,
            Layout::Transposed => (dim(1), dim(0)),
            Layout::ChannelsLast => (dim(3), dim(1) * dim(2)),
        };
        (channels > 1 && taps > 1).then_some(Self { channels, taps })
    }

    /// The dispatch that does it.
    pub(super) fn dispatch(&self, param: &Param) -> Dispatch {
        let bits = 8 * param.dtype.size_bytes();
        let words = (param.shape.len() * bits).div_ceil(32);
        let view = View {
            shape: param.shape,
            dtype: DType::U32,
        };
        Dispatch::new("channels_last", Lanes::One)
            .constant("ELEMENT_BITS", Const::U32(if bits == 32 { 32 } else { 16 }))
            .param("count", words)
            .param("elements", param.shape.len())
            .param("in_channels", self.channels)
            .param("taps", self.taps)
            .groups(words.div_ceil(64))
            .read("x", Operand::Input(0), DType::U32, Lanes::One)
            .write("y", view, Lanes::One)
    }
}
