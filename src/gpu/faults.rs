//! What the driver reports, kept from panicking and told to whoever caused it.
//!
//! A device may be a host's, with handlers of its own. Those are never replaced, and never hear of us:
//! every call that can fail is made within error scopes, which belong to the calling thread. That a
//! device is lost wgpu tells one callback alone, so on a host's device it is found out by asking.

use super::device::Gpu;
use crate::error::{Error, Result};
use crate::lock::lock;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What the driver reported outside any call of ours: kept until the next [`Gpu::check`].
#[derive(Debug, Default)]
pub(super) struct Faults {
    lost: Mutex<Option<String>>,
    error: Mutex<Option<Error>>,
}

impl Faults {
    /// Hears all that `device` has to tell from now on: without handlers, wgpu panics. For a device
    /// of our own.
    pub(super) fn watch(self: &Arc<Self>, device: &wgpu::Device) {
        let kept = Arc::clone(self);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&kept.error).get_or_insert(fault(error));
        }));
        let kept = Arc::clone(self);
        device.set_device_lost_callback(move |reason, message| kept.lose(reason, &message));
    }

    fn lose(&self, reason: wgpu::DeviceLostReason, message: &str) {
        let said = match (reason, message) {
            (wgpu::DeviceLostReason::Destroyed, "") => "it was destroyed",
            (_, "") => "the driver gives no reason",
            (_, said) => said,
        };
        lock(&self.lost).get_or_insert(said.to_owned());
    }
}

impl Gpu {
    /// Makes calls, and hears of what is wrong with them; nobody else does.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Gpu`], or [`Error::DeviceLost`] where that is the reason.
    pub(super) fn guarded<T>(&self, calls: impl FnOnce() -> T) -> Result<T> {
        match self.caught(calls) {
            (result, None) => Ok(result),
            (_, Some(error)) => Err(self.cause(fault(error))),
        }
    }

    /// Makes calls, and what the driver says of them; of several errors, that memory is lacking.
    fn caught<T>(&self, calls: impl FnOnce() -> T) -> (T, Option<wgpu::Error>) {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let scopes = [Validation, Internal, OutOfMemory];
        let scopes = scopes.map(|filter| self.device.push_error_scope(filter));
        let result = calls();
        // All are popped, the last pushed first.
        let errors = scopes.into_iter().rev();
        let errors = errors.filter_map(|scope| pollster::block_on(scope.pop()));
        (result, errors.collect::<Vec<_>>().into_iter().next())
    }

    /// The first fault that the driver reported since the last check.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub(crate) fn check(&self) -> Result<()> {
        self.check_lost()?;
        match lock(&self.faults.error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Whether the device is there still, as far as it was told. Leaves faults for whoever caused them
    /// to find.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub(super) fn check_lost(&self) -> Result<()> {
        match lock(&self.faults.lost).clone() {
            Some(reason) => Err(Error::DeviceLost { reason }),
            None => Ok(()),
        }
    }

    /// Whether the device is there still, asked of the device itself.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub(super) fn check_alive(&self) -> Result<()> {
        if lock(&self.faults.lost).is_none() && self.is_gone() {
            self.faults.lose(wgpu::DeviceLostReason::Unknown, "");
        }
        self.check_lost()
    }

    /// What is behind an error: commonly the device is gone, and all else follows from that.
    pub(super) fn cause(&self, error: Error) -> Error {
        self.check_alive().err().unwrap_or(error)
    }

    /// The same of what the driver said where a call could not be made.
    pub(super) fn failure(&self, said: &impl fmt::Display) -> Error {
        self.cause(Error::Gpu(one_line(&said.to_string())))
    }

    /// Whether the device refuses to map a buffer, which a lost one does at once, and no other does.
    fn is_gone(&self) -> bool {
        let (is_refused, error) = self.caught(|| {
            let probe = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("a probe"),
                size: 4,
                usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let refused = Arc::new(AtomicBool::new(false));
            let answer = Arc::clone(&refused);
            probe.map_async(wgpu::MapMode::Write, .., move |result| {
                answer.store(result.is_err(), Ordering::Relaxed);
            });
            // While the probe is there: dropping it refuses too.
            refused.load(Ordering::Relaxed)
        });
        let is_out_of_memory = matches!(error, Some(wgpu::Error::OutOfMemory { .. }));
        is_refused && !is_out_of_memory
    }

    /// Polls, and waits if it is asked to. wgpu panics where the device is lost while
    /// it is waited for, and calls a host's callbacks on this thread: neither is to end the process.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(super) fn poll(&self, until: wgpu::PollType) -> Result<()> {
        self.polled(until)?;
        self.check()
    }

    /// As [`Gpu::poll`], but faults are left for whoever caused them to find.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(super) fn polled(&self, until: wgpu::PollType) -> Result<()> {
        let failure = match catch_unwind(AssertUnwindSafe(|| self.device.poll(until))) {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => said(&*panic),
        };
        Err(self.failure(&failure))
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a callback panicked").to_owned()
}

/// What the driver reported, as an error of ours.
fn fault(error: wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory {
            what: "running commands".into(),
            needed_bytes: None,
            available_bytes: None,
        },
        other => Error::Gpu(one_line(&other.to_string())),
    }
}

/// A driver's message, which may have many lines, in one.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
