//! Weights on the device, found again by what they are made of.

use super::buffer::Buffer;
use super::device::Gpu;
use crate::lock::lock;
use crate::tensor::{DType, Layout, Shape};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

/// What a weight on the device is made of: two of the same origin are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// The file, as it was when it was opened.
    pub(crate) file: Arc<str>,
    /// Its first byte there.
    pub(crate) start: usize,
    pub(crate) shape: Shape,
    pub(crate) dtype: DType,
    pub(crate) layout: Layout,
}

/// A weight on the device, which leaves it with the last who holds it.
#[derive(Debug)]
pub(crate) struct Uploaded {
    pub(crate) buffer: Buffer,
    pub(crate) bytes: u64,
}

/// The weights that somebody holds.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    known: Mutex<HashMap<Origin, Weak<Uploaded>>>,
}

impl Gpu {
    /// The weight of that origin, if it is on the device.
    pub(crate) fn uploaded(&self, origin: &Origin) -> Option<Arc<Uploaded>> {
        lock(&self.uploads.known).get(origin)?.upgrade()
    }

    /// Lets others find a weight. Where another of that origin came first, that one is what counts.
    pub(crate) fn publish(&self, origin: Origin, weight: Arc<Uploaded>) -> Arc<Uploaded> {
        let mut known = lock(&self.uploads.known);
        if let Some(first) = known.get(&origin).and_then(Weak::upgrade) {
            return first;
        }
        known.insert(origin, Arc::downgrade(&weight));
        weight
    }

    /// What buffers take on the device, by wgpu's own count, once all that was submitted is done.
    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .expect("the device answers");
        let report = self.device.generate_allocator_report();
        report.map_or(0, |report| report.total_allocated_bytes)
    }

    /// Forgets the weights that are gone.
    pub(crate) fn forget_gone(&self) {
        lock(&self.uploads.known).retain(|_, weight| weight.strong_count() > 0);
    }
}
