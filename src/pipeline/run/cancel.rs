//! Runs called off from elsewhere.

use crate::error::{Error, Result};
use crate::lock::lock;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// Calls a run off, or the loading of a model, from any thread: [`crate::Run::canceller`],
/// [`crate::Pipeline::start_with_canceller`], [`crate::LoadOptions::canceller`]. Cheap to clone, it keeps
/// nothing of what it calls off; and what was called off once is called off wherever it is given.
///
/// Whoever waits for a step or for the pictures gets [`Error::Cancelled`] at once, at the latest when
/// the submission that the device is at is done: [`crate::DeviceOptions::submission_budget`]. The run is
/// over then, and the pipeline ready for the next one. On the CPU interpreter, which has no
/// submissions, it is after the step.
#[derive(Clone, Debug, Default)]
pub struct Canceller {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    is_cancelled: AtomicBool,
    /// Who waits for the run, to hear of it.
    waiting: Mutex<Option<Waker>>,
}

impl Canceller {
    /// Calls the run off. It is no error to do so twice, or when the run is over.
    pub fn cancel(&self) {
        self.inner.is_cancelled.store(true, Ordering::SeqCst);
        let waiting = lock(&self.inner.waiting).take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Whether it was called off.
    pub fn is_cancelled(&self) -> bool {
        self.inner.is_cancelled.load(Ordering::SeqCst)
    }

    /// That nothing was called off.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(in crate::pipeline) fn check(&self) -> Result<()> {
        match self.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }

    /// What comes of `work`, which is dropped where it waits if it is called off.
    ///
    /// # Errors
    /// [`Error::Cancelled`], and those of `work`.
    pub(in crate::pipeline) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut work = pin!(work);
        poll_fn(|context| {
            *lock(&self.inner.waiting) = Some(context.waker().clone());
            match self.check() {
                Err(cancelled) => Poll::Ready(Err(cancelled)),
                Ok(()) => work.as_mut().poll(context),
            }
        })
        .await
    }
}
