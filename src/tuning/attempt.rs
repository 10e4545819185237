//! A mark beside what is kept of kernels: which one is being checked. A driver may end the process in
//! the middle of a check, and would do so at every start; whoever finds a mark without its process
//! knows which kernel to suspect.

use super::store::{Finding, FoundOn, Store, read_small};
use crate::gpu::AdapterInfo;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

/// In how many starts a kernel's check has not ended before the kernel is to blame: one may have been
/// interrupted by Ctrl-C, or by the end of the machine.
const UNENDED: u32 = 2;

/// A kernel under check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    #[serde(flatten)]
    found_on: FoundOn,
    /// As in `linear/tiled`.
    checking: String,
    /// The starts that came as far as this check and, but for the last, did not end it.
    starts: u32,
}

impl Finding for Mark {
    const NAME: &'static str = "checking";

    fn found_on(&self) -> &FoundOn {
        &self.found_on
    }
}

/// A process's checks of an adapter's kernels. The mark is locked for as long as the process lives, so that
/// nobody takes the checks of another process for interrupted ones.
#[derive(Debug)]
pub(super) struct Attempt {
    file: File,
    mark: Mark,
    /// What an earlier process left.
    left: Option<Mark>,
}

impl Attempt {
    /// Begins checks, with the kernel whose check did not end in two starts, if they left its mark. `None` if
    /// another process is checking now, or nothing can be written.
    pub(super) fn begin(store: &Store, info: &AdapterInfo) -> Option<(Self, Option<String>)> {
        let path = store.file::<Mark>(info);
        std::fs::create_dir_all(path.parent()?).ok()?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).ok()?;
        file.try_lock().ok()?;
        // What is damaged, or of another driver or version, tells nothing of these kernels.
        let left = read_small(&file)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        let now = FoundOn::now(info);
        let left = left.filter(|mark: &Mark| mark.found_on == now);
        let mark = Mark {
            found_on: now,
            checking: String::new(),
            starts: 0,
        };
        let unended = left.clone().filter(|mark| mark.starts >= UNENDED);
        let attempt = Self { file, mark, left };
        Some((attempt, unended.map(|mark| mark.checking)))
    }

    /// Marks a kernel before it is checked.
    pub(super) fn mark(&mut self, kernel: &str) {
        if self.mark.checking != kernel {
            kernel.clone_into(&mut self.mark.checking);
            let left = self.left.as_ref().filter(|left| left.checking == kernel);
            self.mark.starts = left.map_or(1, |left| left.starts.saturating_add(1));
            // What cannot be written leaves the next start as ignorant as this one.
            drop(self.write());
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(&self.mark)?;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())?;
        // A driver may take the whole machine with it.
        self.file.sync_data()
    }

    /// Every check ended, whatever came of it.
    pub(super) fn end(self) {
        // Emptied, not removed: another process may have it open, waiting for the lock.
        drop(self.file.set_len(0));
    }
}
