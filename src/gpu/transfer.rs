//! Small writes to the device and reads from it.

use super::buffer::{Buffer, decode, encode, whole_words};
use super::device::Gpu;
use crate::error::Result;
use crate::lock::lock;
use crate::tensor::View;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

impl Gpu {
    /// Writes values in the type of `view` to the head of `buffer`. For small things: weights go
    /// through the staging ring.
    ///
    /// # Errors
    /// As [`Gpu::guarded`].
    pub(crate) fn write(&self, buffer: &Buffer, view: View, values: &[f32]) -> Result<()> {
        let bytes = encode(values, view.dtype);
        self.guarded(|| self.queue.write_buffer(&buffer.inner, 0, &bytes))
    }

    /// The values of `view` at the head of `buffer`, once everything submitted before is done.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Gpu`] or [`Error::OutOfMemory`].
    pub(crate) async fn read(self: &Arc<Self>, buffer: &Buffer, view: View) -> Result<Vec<f32>> {
        let bytes = whole_words(view.size_bytes());
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.allocate("a readback", bytes, usage, false)?;
        let commands = self.guarded(|| {
            let mut encoder = self
                .device
                .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&buffer.inner, 0, &staging.inner, 0, bytes);
            encoder.finish()
        })?;
        let commands = self.submit_short(commands)?;
        let mapping = self.guarded(|| Mapping::of(&staging, wgpu::MapMode::Read))?;
        self.landed().await?;
        self.done(commands).await?;
        mapping.done(self).await?;
        let range = staging.inner.slice(..).get_mapped_range();
        let range = range.map_err(|error| self.failure(&error))?;
        self.held(&staging, || decode(&range, view.dtype, view.shape.len()))
    }
}

/// The driver's answer, once it is there, and who waits for it.
type Answer = (
    Option<std::result::Result<(), wgpu::BufferAsyncError>>,
    Option<Waker>,
);

/// The answer to `map_async`, as a future.
#[derive(Clone, Default)]
pub(super) struct Mapping(Arc<Mutex<Answer>>);

impl Mapping {
    /// Asks for the whole buffer.
    pub(super) fn of(buffer: &Buffer, mode: wgpu::MapMode) -> Self {
        let mapping = Self::default();
        let answer = mapping.clone();
        buffer
            .inner
            .slice(..)
            .map_async(mode, move |result| answer.resolve(result));
        mapping
    }

    /// Waits for the answer, which comes once somebody polls after what it waits for is done.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], or [`Error::Gpu`] with the driver's reason.
    pub(super) async fn done(self, gpu: &Gpu) -> Result<()> {
        self.await.map_err(|error| gpu.failure(&error))
    }

    fn resolve(&self, result: std::result::Result<(), wgpu::BufferAsyncError>) {
        let mut state = lock(&self.0);
        state.0 = Some(result);
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl Future for Mapping {
    type Output = std::result::Result<(), wgpu::BufferAsyncError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0);
        match state.0.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
