//! Runs that take many submissions.

use super::{Plan, Residency, Runner};
use crate::gpu::{Device, DeviceOptions, block_on};
use crate::ops::{Attention, Conv2d, Conv2dGeometry, JoinedLinear, Linear, Mask, Padding, testing};
use crate::tensor::{Caps, DType, KernelChoice, Op, Recorder};
use crate::weights::Weights;
use std::sync::Arc;

const LENGTH: usize = 4096;
const SUMS: u16 = 20;
const RUNS: u16 = 5;

/// Each run adds 1 so many times to what the one before left: every value is exact.
#[test]
fn a_run_in_many_submissions_is_computed_in_order() {
    if testing::device().is_none() {
        return;
    }
    let device = Device::open(&DeviceOptions::default()).unwrap();
    let gpu = device.gpu().unwrap();
    gpu.submit_at_most(1); // so that each dispatch goes alone
    let recorder = Recorder::new(DType::F32);
    let x = recorder.input("x", [LENGTH], DType::F32);
    let one = recorder.input("one", [1], DType::F32);
    let sum = (0..SUMS).fold(x, |sum, _| sum + one);
    recorder.output("y", sum);
    recorder.feed_back("x", sum);
    let plan = Plan::lower(recorder.finish().unwrap(), &device.caps()).unwrap();
    let residency = Arc::new(Residency::new(&device, &Weights::none()));
    let runner = block_on(Runner::new(&device, plan, &residency)).unwrap();
    let x: Vec<f32> = (0..LENGTH).map(|i| i as f32).collect();
    runner.write("x", &x).unwrap();
    runner.write("one", &[1.0]).unwrap();
    for _ in 0..RUNS {
        block_on(runner.run()).unwrap();
    }
    let found = block_on(runner.read("y")).unwrap();
    let wanted = x.iter().map(|x| x + f32::from(RUNS * SUMS));
    assert!(found.into_iter().eq(wanted), "the sums are not in order");
}

/// Shapes that fill no tile: the pieces of a dispatch begin and end anywhere.
fn compare(op: &(impl Op + Clone + 'static), shapes: &[&[usize]]) {
    let Some(device) = testing::device() else {
        return;
    };
    let hurried = Device::open(&DeviceOptions::default()).unwrap();
    hurried.choose(KernelChoice::all());
    hurried.gpu().unwrap().submit_at_most(1); // so that each piece goes alone
    let shapes: Vec<Vec<usize>> = shapes.iter().map(|shape| shape.to_vec()).collect();
    let inputs = testing::seeded_inputs(&shapes, DType::F32);
    let caps = device.caps();
    for simd in [caps.simd, None] {
        let caps = Caps {
            simd,
            ..caps.clone()
        };
        let whole = testing::computed(device, &caps, op, &inputs);
        let pieces = testing::computed(&hurried, &caps, op, &inputs);
        let same = whole
            .iter()
            .zip(&pieces)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(
            same && whole.len() == pieces.len(),
            "{op:?} in pieces with subgroups {simd:?}"
        );
    }
}

#[test]
fn a_convolution_in_pieces_is_the_same() {
    let geometry = |stride| Conv2dGeometry {
        stride,
        padding: Padding::same(1),
    };
    for stride in [1, 2] {
        let op = Conv2d::plain(geometry(stride));
        compare(&op, &[&[2, 19, 37, 5], &[67, 3, 3, 5], &[67]]);
    }
}

#[test]
fn products_in_pieces_are_the_same() {
    compare(&Linear::PLAIN, &[&[3, 77, 24], &[100, 24]]);
    let joined = JoinedLinear { weight_scale: 1.0 };
    compare(&joined, &[&[1, 197, 12], &[40, 12], &[40, 12], &[40, 12]]);
}

#[test]
fn attention_in_pieces_is_the_same() {
    for mask in [Mask::None, Mask::Causal] {
        let op = Attention { num_heads: 2, mask };
        compare(&op, &[&[2, 117, 16], &[2, 117, 16], &[2, 117, 16]]);
    }
}
