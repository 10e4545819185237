//! Ctrl-C: the first asks for a clean end, the second ends at once.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::{CANCELLED, Failure, Outcome};
use super::say;

/// Whether the user has asked to stop.
#[derive(Clone)]
pub(super) struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens for Ctrl-C from here on. Once per process.
    pub(super) fn listen() -> Outcome<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::SeqCst) {
                process::exit(i32::from(CANCELLED));
            }
            say("\nstopping; Ctrl-C again stops at once");
        })?;
        Ok(Self { asked })
    }

    /// Fails with [`Failure::Cancelled`] once the user has asked to stop.
    pub(super) fn check(&self) -> Outcome {
        if self.asked.load(Ordering::SeqCst) {
            Err(Failure::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Ends the process once the user has asked to stop: for work that cannot be dropped half-way,
    /// at places where nothing is being written.
    pub(super) fn exit_if_asked(&self) {
        if let Err(cancelled) = self.check() {
            say(cancelled);
            process::exit(i32::from(CANCELLED));
        }
    }
}
