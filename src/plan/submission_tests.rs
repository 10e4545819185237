//! Runs that take many submissions.

use super::{Plan, Residency, Runner};
use crate::gpu::{Device, DeviceOptions};
use crate::ops::testing;
use crate::tensor::{DType, Recorder};
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
    let runner = pollster::block_on(Runner::new(&device, plan, &residency)).unwrap();
    let x: Vec<f32> = (0..LENGTH).map(|i| i as f32).collect();
    runner.write("x", &x).unwrap();
    runner.write("one", &[1.0]).unwrap();
    for _ in 0..RUNS {
        runner.run().unwrap();
    }
    let found = pollster::block_on(runner.read("y")).unwrap();
    let wanted = x.iter().map(|x| x + f32::from(RUNS * SUMS));
    assert!(found.into_iter().eq(wanted), "the sums are not in order");
}
