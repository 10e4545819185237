//! Waiting for the device without a runtime.
//!
//! On native backends nothing happens unless somebody polls. Who blocks polls for itself, for one
//! submission at a time; for futures on somebody else's executor a thread does, which is there only
//! while one of them waits. Either way the waiting comes back now and then, so that what waits can be
//! dropped.

use super::device::Gpu;
use crate::error::Result;
use crate::lock::lock;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// How long there is between two looks at a device that is not waited for inside wgpu.
const STRETCH: Duration = Duration::from_micros(200);

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

/// Commands that were submitted.
#[derive(Clone, Debug)]
pub(super) struct Commands {
    index: wgpu::SubmissionIndex,
    is_done: Arc<AtomicBool>,
}

impl Gpu {
    /// Submits commands.
    ///
    /// # Errors
    /// As [`Gpu::guarded`].
    pub(super) fn send(&self, commands: wgpu::CommandBuffer) -> Result<Commands> {
        let is_done = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_done);
        let index = self.guarded(|| {
            let index = self.queue.submit([commands]);
            let landed = move || flag.store(true, Ordering::Release);
            self.queue.on_submitted_work_done(landed);
            index
        })?;
        Ok(Commands { index, is_done })
    }

    /// Waits until these commands are done, and those submitted before them.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub(super) async fn done(self: &Arc<Self>, commands: Commands) -> Result<()> {
        Done {
            gpu: self,
            commands,
        }
        .await
    }

    /// Whether these commands are done. wgpu is not asked to wait for a while: where another thread sees
    /// to the same commands when that while is over, it panics (wgpu-core 30.0.1, `Device::maintain`).
    ///
    /// # Errors
    /// As [`Gpu::poll`].
    fn is_done(&self, commands: &Commands) -> Result<bool> {
        self.poll(wgpu::PollType::Poll)?;
        Ok(commands.is_done.load(Ordering::Acquire))
    }

    /// Whether these commands are neither done nor past hope. Faults are left for whoever waits.
    fn is_under_way(&self, commands: &Commands) -> bool {
        self.polled(wgpu::PollType::Poll).is_ok() && !commands.is_done.load(Ordering::Acquire)
    }

    /// Blocks until these commands are done, or for a moment: while a device is waited for, wgpu holds a
    /// lock that a host's frames need to let resources go.
    ///
    /// # Errors
    /// As [`Gpu::poll`].
    fn block_for(&self, commands: &Commands) -> Result<()> {
        if self.is_shared {
            thread::sleep(STRETCH);
            return Ok(());
        }
        self.poll(wgpu::PollType::Wait {
            submission_index: Some(commands.index.clone()),
            timeout: None,
        })
    }
}

/// Lets whoever polls do something else, such as drop what would go on, and goes on at once.
pub(crate) async fn come_back() {
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
    commands: Commands,
}

impl Future for Done<'_> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { gpu, commands } = &*self;
        match gpu.is_done(commands) {
            Ok(true) => return Poll::Ready(Ok(())),
            Ok(false) => (),
            Err(error) => return Poll::Ready(Err(error)),
        }
        if BLOCKS.get() {
            if let Err(error) = gpu.block_for(commands) {
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
    waiting: Vec<(Commands, Waker)>,
    /// Whether the thread is there; it ends itself when nobody waits.
    is_watched: bool,
}

impl Watcher {
    /// Wakes whoever waits for these commands once they are done, or something is wrong.
    fn wake_after(&self, gpu: &Arc<Gpu>, commands: &Commands, waker: &Waker) {
        let mut state = lock(&self.state);
        if !state.is_watched {
            let (gpu, watched) = (Arc::downgrade(gpu), Arc::clone(&self.state));
            let thread = thread::Builder::new().name("aquatint device".into());
            if thread.spawn(move || watch(&gpu, &watched)).is_err() {
                drop(state);
                // No thread to be had: the executor comes back at once, and asks again.
                waker.wake_by_ref();
                return;
            }
            state.is_watched = true;
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
                state.is_watched = false;
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        // Nobody waits for a device that is gone.
        let Some(gpu) = gpu.upgrade() else { return };
        let (later, over): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|(commands, _)| gpu.is_under_way(commands));
        lock(state).waiting.extend(later);
        for (_, waker) in over {
            // An executor that panics is no reason to leave the others asleep.
            drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
        }
        drop(gpu);
        thread::sleep(STRETCH);
    }
}
