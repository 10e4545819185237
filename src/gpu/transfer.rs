//! Small writes to the device and reads from it.

use super::buffer::{Buffer, decode, encode, whole_words};
use super::device::Gpu;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::tensor::View;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

impl Gpu {
    /// Writes values in the type of `view` to the head of `buffer`. For small things: weights go
    /// through the staging ring.
    pub(crate) fn write(&self, buffer: &Buffer, view: View, values: &[f32]) {
        self.queue
            .write_buffer(&buffer.inner, 0, &encode(values, view.dtype));
    }

    /// The values of `view` at the head of `buffer`, once everything submitted is done.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Gpu`] or [`Error::OutOfMemory`].
    pub(crate) async fn read(&self, buffer: &Buffer, view: View) -> Result<Vec<f32>> {
        let bytes = whole_words(view.size_bytes());
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.allocate("a readback", bytes, usage, false).await?;
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&buffer.inner, 0, &staging.inner, 0, bytes);
        self.queue.submit([encoder.finish()]);
        self.map(&staging, wgpu::MapMode::Read).await?;
        let range = staging
            .inner
            .slice(..)
            .get_mapped_range()
            .map_err(|error| Error::Gpu(error.to_string()))?;
        Ok(decode(&range, view.dtype, view.shape.len()))
    }

    /// Maps the whole buffer.
    pub(super) async fn map(&self, buffer: &Buffer, mode: wgpu::MapMode) -> Result<()> {
        let mapping = Mapping::of(buffer, mode);
        // On native backends nothing happens unless somebody polls; in browsers this does nothing.
        self.wait()?;
        mapping.done().await
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

    /// Waits for the answer.
    ///
    /// # Errors
    /// [`Error::Gpu`] with the driver's reason.
    pub(super) async fn done(self) -> Result<()> {
        self.await.map_err(|error| Error::Gpu(error.to_string()))
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
