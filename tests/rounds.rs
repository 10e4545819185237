//! That pipelines and devices which come and go leave nothing behind. A test binary of its own, since
//! resident memory is counted for a whole process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aquatint::{Device, DeviceOptions, Pipeline, Precision, Request, Task, wgpu};
use std::sync::{Mutex, MutexGuard, PoisonError};

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/data/models/tiny_bksdm.safetensors"
);
const ROUNDS: usize = 50;
/// After how many of them what is allocated once is allocated, in the allocator of the system too.
const SETTLED: usize = 10;
/// What resident memory may grow by from then on: the model's weights take half of it, so one of forty
/// rounds that left a pipeline would be seen twenty times over.
const GROWTH_BYTES: u64 = 4_000_000;

/// How many devices a mean is taken over: what is resident goes up and down by 10 MB from one to the next.
const DEVICES: usize = 10;
/// What that mean may grow by over as many devices: less than 2 MB each, where one takes many times that.
const DEVICES_GROWTH_BYTES: u64 = 16_000_000;

/// Held by the test that is measuring.
static MEASURING: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    MEASURING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of this process in memory; `None` where the system does not say.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().unwrap();
    Some(kib << 10)
}

/// Loads, and draws from a prompt and from that picture.
fn drawn(device: &Device) -> Pipeline {
    let pipeline = Pipeline::load(device, MODEL).unwrap();
    let request = Request::new("a row of houses").size(36, 28).steps(2);
    let request = request.seed(4).precision(Precision::F32);
    let image = pipeline.generate(&request).unwrap().remove(0);
    let again = Task::ImageToImage {
        image: image.into(),
        strength: 0.6,
    };
    pipeline.generate(&request.task(again)).unwrap();
    pipeline
}

fn round(device: &Device) {
    drop(drawn(device));
}

/// A device whose instance can be asked; `None` where there is no adapter, and none is required.
fn open() -> Option<(wgpu::Instance, wgpu::Device, Device)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let ours = match Device::best() {
        Ok(ours) => ours,
        Err(error) => {
            let required = std::env::var("AQUATINT_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "AQUATINT_REQUIRE_GPU=1, but {error}");
            eprintln!("skipped: no adapter");
            return None;
        }
    };
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let name = &ours.info().name;
    let mut adapters = adapters.into_iter();
    let adapter = adapters.find(|one| one.get_info().name == *name).unwrap();
    let opened = adapter.request_device(&Device::descriptor(&adapter));
    let (device, queue) = pollster::block_on(opened).unwrap();
    let shared = Device::from_wgpu(&adapter, &device, &queue, &DeviceOptions::default());
    Some((instance, device, shared.unwrap()))
}

/// What wgpu has of a device: objects by their kinds, and bytes.
fn counts(instance: &wgpu::Instance, device: &wgpu::Device) -> Vec<(&'static str, u64)> {
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let report = instance.generate_report().unwrap();
    let hub = report.hub_report();
    let objects = [
        ("buffers", &hub.buffers),
        ("bind groups", &hub.bind_groups),
        ("bind group layouts", &hub.bind_group_layouts),
        ("pipeline layouts", &hub.pipeline_layouts),
        ("compute pipelines", &hub.compute_pipelines),
        ("shader modules", &hub.shader_modules),
        ("command encoders", &hub.command_encoders),
        ("command buffers", &hub.command_buffers),
    ];
    let objects = objects.map(|(kind, registry)| (kind, registry.num_kept_from_user as u64));
    let memory = device.generate_allocator_report().map(|memory| {
        [
            ("allocations", memory.allocations.len() as u64),
            ("allocated bytes", memory.total_allocated_bytes),
            ("reserved bytes", memory.total_reserved_bytes),
        ]
    });
    objects
        .into_iter()
        .chain(memory.into_iter().flatten())
        .collect()
}

#[test]
fn fifty_rounds_of_load_generate_drop_leave_nothing_on_the_device() {
    let _alone = alone();
    let Some((instance, host, device)) = open() else {
        return;
    };
    let (mut first, mut settled) = (Vec::new(), None);
    for done in 1..=ROUNDS {
        round(&device);
        let found = counts(&instance, &host);
        match done {
            1 => first = found,
            _ => assert_eq!(found, first, "after round {done}"),
        }
        if done == SETTLED {
            settled = resident_bytes();
        }
    }
    // What is not dropped is seen.
    let there = drawn(&device);
    let with_one = counts(&instance, &host);
    assert!(with_one[0].1 > first[0].1 + 100, "{with_one:?}, {first:?}");
    drop(there);
    assert_eq!(counts(&instance, &host), first);
    eprintln!("{first:?}");
    let Some((settled, now)) = settled.zip(resident_bytes()) else {
        eprintln!("skipped: resident memory is read from Linux's /proc");
        return;
    };
    eprintln!("resident {settled} bytes after round {SETTLED}, {now} after round {ROUNDS}");
    assert!(
        now <= settled + GROWTH_BYTES,
        "{settled} bytes became {now}"
    );
}

#[test]
fn devices_that_come_and_go_are_given_back() {
    let _alone = alone();
    if open().is_none() {
        return;
    }
    let mut sizes = Vec::new();
    for _ in 0..3 * DEVICES {
        round(&Device::best().unwrap());
        sizes.extend(resident_bytes());
    }
    let means = sizes.chunks_exact(DEVICES);
    let means: Vec<u64> = means
        .map(|some| some.iter().sum::<u64>() / DEVICES as u64)
        .collect();
    eprintln!("resident after {DEVICES} devices each: {means:?}");
    if let [_, settled, now] = means[..] {
        assert!(
            now <= settled + DEVICES_GROWTH_BYTES,
            "{settled} bytes became {now}"
        );
    }
}
