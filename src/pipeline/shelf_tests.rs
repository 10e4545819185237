//! Several models under one limit, weights that are shared, and loading that is called off.

use super::*;
use crate::error::Error;
use crate::gpu::{Device, DeviceOptions};
use crate::ops::testing;
use crate::tensor::KernelChoice;
use crate::weights::Weights;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::thread;
use std::time::Duration;

const DEMO: &[u8] = include_bytes!("../../models/demo/tiny-emoji-sd.safetensors");
/// Added to every channel of a picture.
const BIAS: &str = "first_stage_model.decoder.conv_out.bias";
/// What allocators may add to what they are asked for: alignment, the staging ring's remainder.
const SLACK_BYTES: u64 = 512 << 10;

/// The demo model in another file, whose pictures are as much brighter as `bias` says.
fn model(bias: f32) -> Model {
    let bias = half::f16::from_f32(bias).to_le_bytes().repeat(3);
    let tensors = SafeTensors::deserialize(DEMO).unwrap().tensors();
    let (_, header) = SafeTensors::read_metadata(DEMO).unwrap();
    let views = tensors.iter().map(|(name, view)| {
        let bytes = if name == BIAS { &bias } else { view.data() };
        let view = TensorView::new(Dtype::F16, view.shape().to_vec(), bytes);
        (name, view.unwrap())
    });
    let file = safetensors::serialize(views, header.metadata().clone()).unwrap();
    // A test's file lives as long as the process.
    let weights = Weights::from_static("made here", file.leak()).unwrap();
    Model::from_weights(weights).unwrap()
}

fn request() -> Request {
    Request::new("a fox").size(64, 64).steps(2).seed(1)
}

fn limited(device: &Device, model: Model, limit: u64) -> Pipeline {
    let options = LoadOptions {
        vram_bytes: Some(limit),
        ..LoadOptions::default()
    };
    Pipeline::with_options(device, model, &options, &mut |_| ()).unwrap()
}

/// A device that no other test uses.
fn own_device() -> Option<Device> {
    testing::device()?;
    let device = Device::open(&DeviceOptions::default()).expect("it opened before");
    device.choose(KernelChoice::all());
    Some(device)
}

fn allocated_bytes(device: &Device) -> u64 {
    let gpu = device.gpu().expect("it is a graphics device");
    gpu.allocated_bytes()
}

fn pixels(pipeline: &Pipeline) -> Vec<u8> {
    pipeline.generate(&request()).unwrap()[0].pixels().to_vec()
}

#[test]
fn the_least_recently_used_model_makes_room() {
    let Some(device) = testing::device() else {
        return;
    };
    let models = [0.0, 0.2, 0.4].map(model);
    let fresh = models
        .clone()
        .map(|model| pixels(&Pipeline::new(device, model).unwrap()));
    assert!(fresh[0] != fresh[1] && fresh[1] != fresh[2]);
    let [one, two, three] = models;
    let memory = Pipeline::new(device, one.clone()).unwrap();
    let memory = memory.memory(&request()).unwrap();
    // Room for one at work and another's weights.
    let limit = memory.total_bytes() + memory.weight_bytes;

    let mut pipeline = limited(device, one, limit);
    assert!(pixels(&pipeline) == fresh[0]);
    let one = pipeline.swap(two).unwrap();
    assert!(pixels(&pipeline) == fresh[1]);
    let two = pipeline.swap(three).unwrap();
    let three = pipeline;
    let handles = [&one, &two, &three];
    let is_there = || handles.map(|handle| handle.resident_bytes() >= memory.weight_bytes);
    assert_eq!(is_there(), [false, true, true]);
    assert_eq!(one.resident_bytes(), 0);
    // Which one is drawn with, and who is on the device after it.
    for (drawn, expected) in [
        (2, [false, true, true]),
        (0, [true, false, true]),
        (2, [true, false, true]),
        (1, [false, true, true]),
        (0, [true, true, false]),
    ] {
        assert!(pixels(handles[drawn]) == fresh[drawn], "{drawn}");
        assert_eq!(is_there(), expected, "after {drawn}");
        let all: u64 = handles.map(Pipeline::resident_bytes).iter().sum();
        assert!(all <= limit, "{all} of {limit}");
    }
}

#[test]
fn a_run_under_way_keeps_its_weights() {
    let Some(device) = testing::device() else {
        return;
    };
    let expected = pixels(&Pipeline::new(device, model(0.1)).unwrap());
    let mut pipeline = limited(device, model(0.1), u64::MAX);
    let memory = pipeline.memory(&request()).unwrap();
    let limit = 2 * memory.total_bytes();
    let mut run = pipeline.start(&request()).unwrap();
    run.next_step().unwrap();
    let options = LoadOptions {
        vram_bytes: Some(limit),
        ..LoadOptions::default()
    };
    let busy = pipeline
        .swap_with_options(model(0.3), &options, &mut |_| ())
        .unwrap();
    let second = pipeline.swap(model(0.5)).unwrap();
    pixels(&pipeline);
    assert_eq!(second.resident_bytes(), 0, "the idle one makes room");
    assert!(busy.resident_bytes() >= memory.weight_bytes);
    // Beside the run no other fits that is larger than what is left; when it is over, it does.
    let large = request().size(128, 128).precision(Precision::F32);
    let alone = second.memory(&large.clone());
    let available = match alone {
        Err(Error::OutOfMemory {
            available_bytes, ..
        }) => available_bytes,
        Ok(beside) => {
            assert!(beside.resident_bytes() <= limit - memory.total_bytes());
            Some(limit - memory.total_bytes())
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!(available, Some(limit - memory.total_bytes()));
    assert!(run.finish().unwrap()[0].pixels() == expected);
    second.generate(&large).unwrap();
    assert_eq!(busy.resident_bytes(), 0);
}

#[test]
fn a_limit_too_low_for_one_model_is_refused_with_what_it_needs() {
    let mut pipeline = limited(&Device::reference(), model(0.0), u64::MAX);
    let options = LoadOptions {
        vram_bytes: Some(1_000_000),
        ..LoadOptions::default()
    };
    drop(pipeline.swap_with_options(model(0.1), &options, &mut |_| ()));
    let error = pipeline.start(&request()).unwrap_err().to_string();
    assert!(
        error.contains("unet") && error.contains("1 MiB at most"),
        "{error}"
    );
}

#[test]
fn weights_of_one_file_are_on_the_device_once() {
    let Some(device) = own_device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [path, copy] = ["demo", "copy"].map(|name| folder.path().join(name));
    std::fs::write(&path, DEMO).unwrap();
    std::fs::write(&copy, DEMO).unwrap();
    let load = |path| {
        let mut heard = 0;
        let model = Model::open(path).unwrap();
        let load = Pipeline::with_progress(&device, model, &mut |at| heard = at.done_bytes);
        let pipeline = load.unwrap();
        assert_eq!(heard, pipeline.weight_bytes());
        pipeline
    };
    let before = allocated_bytes(&device);
    let one = load(&path);
    let weights = one.weight_bytes();
    let grown = |copies: u64| {
        let grown = allocated_bytes(&device).saturating_sub(before);
        let expected = copies * weights;
        assert!(
            (expected..expected + weights / 2).contains(&grown),
            "{grown} bytes for {copies} copies of {weights}"
        );
    };
    grown(1);
    let other = load(&path);
    grown(1);
    let copied = load(&copy);
    grown(2);
    drop((one, copied));
    grown(1);
    drop(other);
    let left = allocated_bytes(&device).saturating_sub(before);
    assert!(left < SLACK_BYTES, "{left} bytes are left");
}

#[test]
fn loading_that_is_called_off_leaves_nothing() {
    let Some(device) = own_device() else { return };
    let before = allocated_bytes(&device);
    let mut calls = 0;
    let options = LoadOptions::default();
    let canceller = options.canceller.clone();
    let called_off = thread::scope(|scope| {
        Pipeline::with_options(&device, model(0.0), &options, &mut |_| {
            calls += 1;
            if calls == 100 {
                let other = scope.spawn(|| canceller.cancel());
                other.join().unwrap();
            }
        })
    });
    assert!(
        matches!(called_off, Err(Error::Cancelled)),
        "{called_off:?}"
    );
    assert_eq!(calls, 100, "no weight follows");
    let left = allocated_bytes(&device).saturating_sub(before);
    assert!(left < SLACK_BYTES, "{left} bytes are left");
    let again = Pipeline::with_options(&device, model(0.0), &options, &mut |_| ());
    assert!(
        matches!(again, Err(Error::Cancelled)),
        "it stays called off"
    );
}

#[test]
fn a_start_that_is_called_off_leaves_nothing() {
    let Some(device) = testing::device() else {
        return;
    };
    let free = Pipeline::new(device, model(0.0)).unwrap();
    let parts = free.memory(&request()).unwrap().parts;
    let largest = parts.iter().map(PartMemory::total_bytes).max().unwrap();
    let pipeline = limited(device, model(0.0), largest);
    let mut called_off = 0;
    for wait in [0, 1, 2, 4, 8, 16, 32, 64] {
        let canceller = Canceller::default();
        let started = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(wait));
                canceller.cancel();
            });
            pipeline.start_with_canceller(&request(), &canceller)
        });
        match started {
            Err(Error::Cancelled) => called_off += 1,
            // It was too late for the start, and is none for the run.
            Ok(mut run) => assert!(matches!(run.next_step(), Err(Error::Cancelled))),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(pipeline.resident_bytes(), 0, "after {wait} ms");
    }
    assert!(called_off > 0, "no start was called off");
    assert!(pixels(&pipeline) == pixels(&free));
}
