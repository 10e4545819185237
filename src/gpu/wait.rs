//! Waiting for the device without a runtime.
//!
//! On native backends nothing happens unless somebody polls. Who blocks polls for itself, a little at a
//! time; for futures on somebody else's executor a thread does, which is there only while one of them
//! waits. Either way the waiting comes back now and then, so that what waits can be dropped.

use super::device::Gpu;
use crate::error::Result;
use crate::lock::lock;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a device of our own is waited for at a stretch.
const OWN_STRETCH: Duration = Duration::from_millis(10);
/// The same for a host's. While it is waited for, wgpu holds a lock that the host's frames need to let
/// resources go.
const SHARED_STRETCH: Duration = Duration::from_millis(1);

thread_local! {
    /// Whether this thread has nothing better to do than to wait.
    static BLOCKS: Cell<bool> = const { Cell::new(false) };
}

/// Runs a future to its end on this thread, which polls the device itself.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    /// Puts back what was.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            BLOCKS.set(self.0);
        }
    }
    let _before = Before(BLOCKS.replace(true));
    pollster::block_on(future)
}

impl Gpu {
    /// Waits until these commands are done, and those submitted before them.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub(super) async fn done(self: &Arc<Self>, commands: wgpu::SubmissionIndex) -> Result<()> {
        Done {
            gpu: self,
            commands,
        }
        .await
    }

    /// Whether these commands are done after so long at most.
    fn is_done_within(&self, commands: &wgpu::SubmissionIndex, timeout: Duration) -> Result<bool> {
        self.poll(wgpu::PollType::Wait {
            submission_index: Some(commands.clone()),
            timeout: Some(timeout),
        })
    }

    fn stretch(&self) -> Duration {
        match self.is_shared {
            true => SHARED_STRETCH,
            false => OWN_STRETCH,
        }
    }
}

/// Lets whoever polls do something else, such as drop what would go on, and goes on at once.
pub(super) async fn come_back() {
    let mut has_been_away = false;
    poll_fn(|context| {
        if has_been_away {
            return Poll::Ready(());
        }
        has_been_away = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Commands that are waited for.
struct Done<'a> {
    gpu: &'a Arc<Gpu>,
    commands: wgpu::SubmissionIndex,
}

impl Future for Done<'_> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { gpu, commands } = &*self;
        match gpu.is_done_within(commands, Duration::ZERO) {
            Ok(true) => return Poll::Ready(Ok(())),
            Ok(false) => (),
            Err(error) => return Poll::Ready(Err(error)),
        }
        if BLOCKS.get() {
            if let Err(error) = gpu.is_done_within(commands, gpu.stretch()) {
                return Poll::Ready(Err(error));
            }
            // Done or not, whoever stands above may have had enough meanwhile.
            context.waker().wake_by_ref();
        } else {
            gpu.watcher.wake_after(gpu, commands, context.waker());
        }
        Poll::Pending
    }
}

/// The thread that polls for futures, where there are any.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<(wgpu::SubmissionIndex, Waker)>,
    /// The thread; it ends itself when nobody waits.
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Wakes whoever waits for these commands once they are done, or something is wrong.
    fn wake_after(&self, gpu: &Arc<Gpu>, commands: &wgpu::SubmissionIndex, waker: &Waker) {
        let mut state = lock(&self.state);
        if state.thread.is_none() {
            let (gpu, watched) = (Arc::downgrade(gpu), Arc::clone(&self.state));
            let thread = thread::Builder::new().name("aquatint device".into());
            let Ok(thread) = thread.spawn(move || watch(&gpu, &watched)) else {
                drop(state);
                // No thread to be had: the executor comes back at once, and asks again.
                waker.wake_by_ref();
                return;
            };
            state.thread = Some(thread);
        }
        state.waiting.push((commands.clone(), waker.clone()));
    }
}

/// Polls until nobody waits any more.
fn watch(gpu: &Weak<Gpu>, state: &Mutex<State>) {
    loop {
        // Taken out: polling calls callbacks, and those may come to wait in turn.
        let waiting = {
            let mut state = lock(state);
            if state.waiting.is_empty() {
                state.thread = None;
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        // Nobody waits for a device that is gone.
        let Some(gpu) = gpu.upgrade() else { return };
        let mut stretch = gpu.stretch();
        let (later, over): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(commands, _)| {
            let stretch = std::mem::replace(&mut stretch, Duration::ZERO);
            matches!(gpu.is_done_within(commands, stretch), Ok(false))
        });
        lock(state).waiting.extend(later);
        over.into_iter().for_each(|(_, waker)| waker.wake());
    }
}
