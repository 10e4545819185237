//! What embedding apps count on of threads.

use super::*;
use crate::gpu::Device;
use crate::image::Image;
use crate::pipeline::{LoadOptions, Model, Upscaler};

fn is_send<T: Send>(_: &T) {}
fn is_send_and_sync<T: Send + Sync>() {}

/// Compiles or does not.
#[expect(dead_code, reason = "what is compiled is tested")]
fn everything_crosses_threads(pipeline: &Pipeline, mut run: Run, request: &Request) {
    is_send_and_sync::<Device>();
    is_send_and_sync::<Model>();
    is_send_and_sync::<Pipeline>();
    is_send_and_sync::<Upscaler>();
    is_send_and_sync::<Run>();
    is_send_and_sync::<Canceller>();
    is_send_and_sync::<Image>();
    is_send_and_sync::<Error>();
    let (device, options) = (pipeline.device(), LoadOptions::default());
    let model = pipeline.model().clone();
    is_send(&Pipeline::with_options_async(
        device,
        model,
        &options,
        &mut |_| (),
    ));
    is_send(&pipeline.start_async(request));
    is_send(&pipeline.generate_async(request));
    is_send(&run.next_step_async());
    is_send(&run.finish_async());
}
