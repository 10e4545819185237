//! Kernels compiled in the background, before they are asked for.

use super::device::Gpu;
use super::kernel::variant_key;
use crate::tensor::Dispatch;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// The most threads: drivers share locks, and gain little from more.
const MAX_THREADS: usize = 8;

/// Compilations under way. Dropped, it begins no more of them, and waits for those that run: a driver
/// must not be at work when the program ends.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

/// What is to be compiled, in the order in which it will be asked for.
#[derive(Debug, Default)]
struct Queue {
    dispatches: Vec<Dispatch>,
    next: AtomicUsize,
}

impl Ahead {
    /// Begins to compile the variants that `dispatches` ask for. Whatever fails will fail again, with
    /// its reason, for whoever asks for it: here it is no error, nor is it one if no thread starts.
    pub(crate) fn compile<'d>(
        gpu: &Arc<Gpu>,
        dispatches: impl IntoIterator<Item = &'d Dispatch>,
    ) -> Self {
        let mut seen = HashSet::new();
        let distinct = dispatches
            .into_iter()
            .filter(|dispatch| seen.insert(variant_key(dispatch, &gpu.caps)))
            .filter(|dispatch| !gpu.has_kernel(dispatch));
        let queue = Arc::new(Queue {
            dispatches: distinct.cloned().collect(),
            next: AtomicUsize::new(0),
        });
        // The other half of the processors lays out weights meanwhile.
        let half = thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2));
        let threads = (0..half.min(MAX_THREADS).min(queue.dispatches.len())).filter_map(|_| {
            let (gpu, queue) = (Arc::clone(gpu), Arc::clone(&queue));
            let thread = thread::Builder::new().name("aquatint kernels".into());
            thread.spawn(move || queue.work(&gpu)).ok()
        });
        let threads = threads.collect();
        Self { queue, threads }
    }
}

impl Queue {
    /// Compiles one after the other until none is left.
    fn work(&self, gpu: &Gpu) {
        while let Some(dispatch) = self
            .dispatches
            .get(self.next.fetch_add(1, Ordering::Relaxed))
        {
            drop(gpu.kernel(dispatch));
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.queue
            .next
            .store(self.queue.dispatches.len(), Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked leaves its kernels to whoever asks for them.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::gpu::prelude::prelude;
    use crate::gpu::shaders::assemble;
    use crate::gpu::{Device, DeviceOptions};
    use crate::ops::testing;
    use crate::tensor::{Const, DType, Lanes, Operand, View};

    /// How often each of two threads compiles: often enough for one to meet the other's error.
    const ROUNDS: usize = 20;

    /// A device without a kernel, where there is one at all.
    fn fresh() -> Option<Device> {
        testing::device()?;
        Some(Device::open(&DeviceOptions::default()).expect("it opened before"))
    }

    fn activation(function: u32) -> Dispatch {
        let view = View {
            shape: [64].into(),
            dtype: DType::F32,
        };
        Dispatch::new("activation", Lanes::One)
            .read("x", Operand::Input(0), DType::F32, Lanes::One)
            .write("y", view, Lanes::One)
            .constant("ACTIVATION", Const::U32(function))
    }

    #[test]
    fn a_kernel_is_compiled_once_whoever_asks() {
        let Some(device) = fresh() else { return };
        let gpu = device.gpu().expect("it is a graphics device");
        let dispatches = [0, 1, 2, 1, 0].map(activation);
        let ahead = Ahead::compile(gpu, &dispatches);
        assert_eq!(ahead.queue.dispatches.len(), 3);
        let kernels = || {
            dispatches
                .each_ref()
                .map(|one| gpu.kernel(one).expect("it compiles"))
        };
        let (here, there) = thread::scope(|scope| {
            let there = scope.spawn(kernels);
            (kernels(), there.join().expect("it compiles"))
        });
        drop(ahead);
        assert!(
            here.iter()
                .zip(&there)
                .all(|(one, other)| Arc::ptr_eq(one, other))
        );
        assert!(Arc::ptr_eq(&here[0], &here[4]) && !Arc::ptr_eq(&here[0], &here[1]));
        assert!(Ahead::compile(gpu, &dispatches).threads.is_empty());
    }

    #[test]
    fn compilation_leaves_the_faults_of_others_alone() {
        let Some(device) = fresh() else { return };
        let gpu = device.gpu().expect("it is a graphics device");
        drop(gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("a buffer for nothing"),
            size: 64,
            usage: wgpu::BufferUsages::empty(),
            mapped_at_creation: false,
        }));
        gpu.kernel(&activation(0)).expect("it compiles");
        let error = gpu.check().expect_err("nobody was told of the buffer");
        assert!(error.to_string().contains("for nothing"), "{error}");
    }

    #[test]
    fn a_failed_compilation_is_told_to_whoever_asked_for_it() {
        let Some(device) = fresh() else { return };
        let gpu = device.gpu().expect("it is a graphics device");
        let sound = activation(0);
        let source = assemble(sound.shader, &prelude(&sound, &gpu.caps));
        let broken = source.replace("@workgroup_size(64)", "@workgroup_size(64, 64, 64)");
        assert_ne!(broken, source);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    gpu.compile(&sound, &source).expect("this one is sound");
                }
            });
            for _ in 0..ROUNDS {
                let error = gpu
                    .compile(&sound, &broken)
                    .expect_err("too many invocations");
                assert!(matches!(error, Error::Gpu(text) if text.contains("workgroup")));
            }
        });
        gpu.check().expect("nothing is left over");
    }
}
