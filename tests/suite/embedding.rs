//! What an app does that draws with wgpu itself: shares its device, cancels, waits in futures.

#[expect(
    dead_code,
    reason = "the examples are programs; here what they do is called"
)]
#[path = "../../examples/minimal.rs"]
mod minimal;
#[expect(dead_code, reason = "as above")]
#[path = "../../examples/own_device.rs"]
mod own_device;

use crate::device::graphics;
use aquatint::wgpu;
use aquatint::{
    Device, DeviceOptions, Error, Image, InputImage, Model, Pipeline, Precision, Request, Run,
};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// A device that a host opened; what its handlers heard.
pub(crate) struct Host {
    adapter: wgpu::Adapter,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) errors: Arc<AtomicUsize>,
    losses: Arc<AtomicUsize>,
}

impl Host {
    /// Opens the adapter of the tests with what the descriptor says of it; `None` where there is none.
    pub(crate) fn open(
        describe: impl Fn(&wgpu::Adapter) -> wgpu::DeviceDescriptor<'static>,
    ) -> Option<Self> {
        let name = &graphics()?.info().name;
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
        let mut adapters = adapters.into_iter();
        let adapter = adapters.find(|one| one.get_info().name == *name).unwrap();
        let (device, queue) =
            pollster::block_on(adapter.request_device(&describe(&adapter))).unwrap();
        let (errors, losses) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let count = Arc::clone(&errors);
        device.on_uncaptured_error(Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        let count = Arc::clone(&losses);
        device.set_device_lost_callback(move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        Some(Self {
            adapter,
            device,
            queue,
            errors,
            losses,
        })
    }

    pub(crate) fn share(&self) -> aquatint::Result<Device> {
        Device::from_wgpu(
            &self.adapter,
            &self.device,
            &self.queue,
            &DeviceOptions::default(),
        )
    }
}

pub(crate) fn pipeline(device: &Device) -> Pipeline {
    Pipeline::new(device, Model::demo().unwrap()).unwrap()
}

fn request() -> Request {
    Request::new("a red apple").size(64, 64).steps(4).seed(3)
}

/// The picture as a device of our own draws it.
fn expected() -> &'static Image {
    static PICTURE: OnceLock<Image> = OnceLock::new();
    PICTURE.get_or_init(|| {
        let device = graphics().unwrap();
        pipeline(device).generate(&request()).unwrap().remove(0)
    })
}

#[test]
fn a_hosts_device_draws_the_same_picture_and_keeps_its_handlers() {
    let Some(host) = Host::open(Device::descriptor) else {
        return;
    };
    let device = host.share().unwrap();
    let pipeline = pipeline(&device);
    let picture = pipeline.generate(&request()).unwrap().remove(0);
    assert_eq!(picture.pixels(), expected().pixels());
    assert_eq!(host.errors.load(Ordering::SeqCst), 0);
    // A mistake of the host's own is the host's to hear of, and nobody else's.
    drop(host.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("a buffer for nothing"),
        size: 64,
        usage: wgpu::BufferUsages::empty(),
        mapped_at_creation: false,
    }));
    assert_eq!(host.errors.load(Ordering::SeqCst), 1);
    pipeline.generate(&request().steps(1)).unwrap();
    host.device.destroy();
    let error = pipeline.generate(&request()).unwrap_err();
    assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
    host.device.poll(wgpu::PollType::Poll).unwrap();
    assert_eq!(host.errors.load(Ordering::SeqCst), 1);
    assert_eq!(host.losses.load(Ordering::SeqCst), 1);
    let again = host.share();
    assert!(matches!(again, Err(Error::DeviceLost { .. })));
}

#[test]
fn a_device_that_was_opened_with_less_draws_too() {
    let Some(host) = Host::open(|_| wgpu::DeviceDescriptor::default()) else {
        return;
    };
    let device = host.share().unwrap();
    assert_eq!(device.info().features, Vec::<String>::new());
    let picture = pipeline(&device).generate(&request()).unwrap().remove(0);
    let distance = picture.difference(expected()).unwrap();
    assert!(
        distance.psnr_db.is_none_or(|psnr| psnr > 35.0),
        "{distance:?}"
    );
    assert_eq!(host.errors.load(Ordering::SeqCst), 0);
}

#[test]
fn limits_that_are_too_small_are_named() {
    let Some(host) = Host::open(|_| wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits::downlevel_defaults(),
        ..wgpu::DeviceDescriptor::default()
    }) else {
        return;
    };
    let error = host.share();
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("max_storage_buffers_per_shader_stage 4"),
        "{error}"
    );
    assert!(error.contains("Device::required_limits"), "{error}");
}

/// That a callback's panic is the caller's to catch, and the pipeline good as before.
#[test]
fn a_callback_that_panics_leaves_device_and_pipeline_whole() {
    let Some(device) = graphics() else {
        return;
    };
    let caught = |calls: &mut dyn FnMut()| {
        let panic = catch_unwind(AssertUnwindSafe(calls)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"enough"));
    };
    // While it is loaded: at once, and when much is on its way to the device.
    for after in [0, 150] {
        caught(&mut || {
            let mut heard = 0;
            let model = Model::demo().unwrap();
            drop(Pipeline::with_progress(device, model, &mut |_| {
                heard += 1;
                assert!(heard <= after, "enough");
            }));
        });
    }
    let pipeline = pipeline(device);
    // Between two steps, and while tiles are decoded.
    caught(&mut || {
        let mut run = pipeline.start(&request()).unwrap();
        run.next_step().unwrap();
        panic!("enough");
    });
    caught(&mut || {
        let tiled = request().size(128, 128).steps(1).vae_tile(64);
        let run = pipeline.start(&tiled).unwrap();
        drop(run.finish_with_progress(&mut |_| panic!("enough")));
    });
    let picture = pipeline.generate(&request()).unwrap().remove(0);
    assert_eq!(picture.pixels(), expected().pixels());
}

#[test]
fn what_does_not_fit_is_refused_and_harms_nothing_that_is_there() {
    let Some(host) = Host::open(|adapter| wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits {
            max_buffer_size: 128 << 20,
            max_storage_buffer_binding_size: 128 << 20,
            ..Device::required_limits(adapter)
        },
        ..Device::descriptor(adapter)
    }) else {
        return;
    };
    let pipeline = pipeline(&host.share().unwrap());
    let mut run = pipeline.start(&request()).unwrap();
    run.next_step().unwrap();
    let huge = request().size(8192, 8192).precision(Precision::F32);
    for _ in 0..2 {
        let error = pipeline.generate(&huge).unwrap_err();
        let is_refusal = matches!(error, Error::Unsupported(_) | Error::OutOfMemory { .. });
        assert!(is_refusal, "{error}");
    }
    let picture = run.finish().unwrap().remove(0);
    assert_eq!(picture.pixels(), expected().pixels());
    assert_eq!(host.errors.load(Ordering::SeqCst), 0);
}

#[test]
fn two_devices_draw_at_once_on_two_threads() {
    if graphics().is_none() {
        return;
    }
    let expected = expected();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let device = Device::best().unwrap();
                let pipelines = [pipeline(&device), pipeline(&device)];
                for pipeline in pipelines {
                    let picture = pipeline.generate(&request()).unwrap().remove(0);
                    assert_eq!(picture.pixels(), expected.pixels());
                }
            });
        }
    });
}

/// How long `work` takes to answer after it was called off `delay` after its beginning; `None` where
/// it was done before.
fn answer(run: Run, delay: Duration, work: impl FnOnce(Run) -> Option<Error>) -> Option<Duration> {
    let canceller = run.canceller();
    let (started, start) = mpsc::channel();
    let killer = thread::spawn(move || {
        start.recv().unwrap();
        thread::sleep(delay);
        let cancelled = Instant::now();
        canceller.cancel();
        cancelled
    });
    started.send(()).unwrap();
    let error = work(run);
    let end = Instant::now();
    let cancelled = killer.join().unwrap();
    let error = error.filter(|_| cancelled <= end)?;
    assert!(matches!(error, Error::Cancelled), "{error}");
    Some(end - cancelled)
}

#[test]
fn a_run_is_called_off_from_another_thread() {
    if graphics().is_none() {
        return;
    }
    // Software adapters do a submission's work before it returns, and all of a run in one, unless they
    // are told not to.
    let options = DeviceOptions {
        submission_budget: Some(Duration::from_millis(20)),
        ..DeviceOptions::default()
    };
    let pipeline = pipeline(&Device::open(&options).unwrap());
    let long = request().size(256, 256).steps(3);
    let mut run = pipeline.start(&long).unwrap();
    run.next_step().unwrap(); // compiles what the driver left for the first run, and sets the pace
    let start = Instant::now();
    run.next_step().unwrap();
    let step = start.elapsed();
    run.next_step().unwrap();
    let start = Instant::now();
    run.finish().unwrap();
    let decoding = start.elapsed();
    // In a step.
    let run = pipeline.start(&long).unwrap();
    let canceller = run.canceller();
    let took = answer(run, step / 5, |mut run| {
        let error = run.next_step().err()?;
        // It is over, and says so again.
        assert!(matches!(run.next_step(), Err(Error::Cancelled)));
        Some(error)
    });
    let took = took.expect("the step was not called off");
    // What is left of the step is four fifths.
    assert!(took < step / 2, "{took:?} of {step:?}");
    assert!(canceller.is_cancelled());
    // While decoding.
    let mut run = pipeline.start(&long.steps(1)).unwrap();
    while run.next_step().unwrap().is_some() {}
    let took = answer(run, decoding / 5, |run| run.finish().err());
    let took = took.expect("the decoding was not called off");
    assert!(took < decoding / 2, "{took:?} of {decoding:?}");
    // Before anything, and none of it harms the pipeline.
    let run = pipeline.start(&request()).unwrap();
    run.canceller().cancel();
    assert!(matches!(run.finish(), Err(Error::Cancelled)));
    let picture = pipeline.generate(&request()).unwrap().remove(0);
    assert_eq!(picture.pixels(), expected().pixels());
}

/// An executor in twenty lines: polls two futures in turn, and sleeps until either is woken.
fn both<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> (T, T) {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    loop {
        if first.is_none()
            && let Poll::Ready(done) = one.as_mut().poll(&mut context)
        {
            first = Some(done);
        }
        if second.is_none()
            && let Poll::Ready(done) = other.as_mut().poll(&mut context)
        {
            second = Some(done);
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => return (first, second),
            (left, right) => (first, second) = (left, right),
        }
        thread::park_timeout(Duration::from_secs(60));
    }
}

#[test]
fn two_pipelines_draw_at_once_on_one_thread_and_one_device() {
    let Some(device) = graphics() else {
        return;
    };
    let pipelines = [pipeline(device), pipeline(device)];
    let (request, another) = (request(), request().seed(4));
    let (one, other) = both(
        pipelines[0].generate_async(&request),
        pipelines[1].generate_async(&another),
    );
    assert_eq!(one.unwrap()[0].pixels(), expected().pixels());
    let alone = pollster::block_on(pipelines[0].generate_async(&another)).unwrap();
    assert_eq!(other.unwrap()[0].pixels(), alone[0].pixels());
}

#[test]
fn a_future_that_was_dropped_leaves_the_pipeline_alone() {
    let Some(device) = graphics() else {
        return;
    };
    let pipeline = pipeline(device);
    let request = request();
    let mut run = pollster::block_on(pipeline.start_async(&request)).unwrap();
    {
        let mut step = pin!(run.next_step_async());
        let mut context = Context::from_waker(Waker::noop());
        assert!(step.as_mut().poll(&mut context).is_pending());
    }
    let error = run.next_step().unwrap_err();
    assert!(error.to_string().contains("stopped in a step"), "{error}");
    drop(run);
    let picture = pipeline.generate(&request).unwrap().remove(0);
    assert_eq!(picture.pixels(), expected().pixels());
}

#[test]
fn the_examples_draw() {
    let Some(device) = graphics() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (apple, shared) = (file("apple.png"), file("shared.png"));
    minimal::draw(device, Model::demo().unwrap(), "a red apple", &apple).unwrap();
    own_device::share(&shared).unwrap();
    for file in [apple, shared] {
        let picture = InputImage::open(&file).unwrap();
        assert_eq!((picture.width(), picture.height()), (128, 128), "{file}");
    }
}
