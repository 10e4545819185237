//! Runs an operation on the GPU and compares it with its reference.

use crate::gpu::{Device, DeviceOptions, block_on};
use crate::plan::{Plan, Residency, Runner};
use crate::tensor::{Array, Caps, DType, KernelChoice, Op, Recorder, Shape};
use crate::weights::Weights;
use std::sync::{Arc, OnceLock};

/// Declares tests of an operation over a list of input shapes, in f32 and in f16 storage. The
/// tolerance is on the largest difference, relative to the largest value (at least 1).
macro_rules! op_test {
    ($name:ident: [$($op:expr),+], $cases:expr, f32 = $f32:expr, f16 = $f16:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "some operations are named by constants of the parent")]
            use super::*;

            #[test]
            fn f32_agrees_with_the_reference() {
                for shapes in $crate::ops::testing::cases(stringify!($cases)) {
                    $($crate::ops::testing::check(&$op, &shapes, $crate::tensor::DType::F32, $f32);)+
                }
            }

            #[test]
            fn f16_agrees_with_the_reference() {
                for shapes in $crate::ops::testing::cases(stringify!($cases)) {
                    $($crate::ops::testing::check(&$op, &shapes, $crate::tensor::DType::F16, $f16);)+
                }
            }
        }
    };
}
pub(crate) use op_test;

/// Reads `[[3, 77], …]`, one input a case, or `[[[3, 77], [77]], …]`, several.
pub(crate) fn cases(text: &str) -> Vec<Vec<Vec<usize>>> {
    let text = text.replace('_', "");
    if let Ok(cases) = serde_json::from_str::<Vec<Vec<Vec<usize>>>>(&text) {
        return cases;
    }
    let cases: Vec<Vec<usize>> = serde_json::from_str(&text).expect("a list of shapes");
    cases.into_iter().map(|shape| vec![shape]).collect()
}

/// The device that tests run on, if the machine has one. `AQUATINT_REQUIRE_GPU=1` makes its lack a
/// failure, `AQUATINT_RUNTIME_CHECKS=1` turns wgpu's own checks on.
pub(crate) fn device() -> Option<&'static Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    let set = |name: &str| std::env::var(name).is_ok_and(|value| value == "1");
    let device = DEVICE.get_or_init(|| {
        let options = DeviceOptions {
            adapter: None,
            runtime_checks: set("AQUATINT_RUNTIME_CHECKS"),
            ..DeviceOptions::default()
        };
        match Device::open(&options) {
            Ok(device) => {
                device.choose(KernelChoice::all());
                Some(device)
            }
            Err(error) if set("AQUATINT_REQUIRE_GPU") => panic!("{error}"),
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    });
    device.as_ref()
}

/// Values between −1 and 1 that look random, the same for the same seed.
pub(crate) fn seeded(shape: Shape, seed: u64) -> Array {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    Array::new(shape, (0..shape.len()).map(next).collect())
}

/// Compares the operation on the GPU with its reference, on seeded inputs stored as `dtype`.
pub(crate) fn check(
    op: &(impl Op + Clone + 'static),
    shapes: &[Vec<usize>],
    dtype: DType,
    tolerance: f32,
) {
    check_arrays(op, &seeded_inputs(shapes, dtype), tolerance);
}

/// Seeded inputs of those shapes.
pub(crate) fn seeded_inputs(shapes: &[Vec<usize>], dtype: DType) -> Vec<(Array, DType)> {
    let input = |(seed, shape): (u64, &Vec<usize>)| (seeded(Shape::new(shape), seed), dtype);
    (1..).zip(shapes).map(input).collect()
}

/// Compares the operation on the GPU with its reference, on the given inputs; on a CPU with the
/// kernels for CPUs and with those for all others.
pub(crate) fn check_arrays(
    op: &(impl Op + Clone + 'static),
    inputs: &[(Array, DType)],
    tolerance: f32,
) {
    let Some(device) = device() else { return };
    let caps = device.caps();
    check_on(device, &caps, op, inputs, tolerance);
    if caps.simd.is_some() {
        let caps = Caps { simd: None, ..caps };
        check_on(device, &caps, op, inputs, tolerance);
    }
}

/// Compares the operation on the GPU, by the kernels that `caps` ask for, with its reference.
pub(crate) fn check_on(
    device: &Device,
    caps: &Caps,
    op: &(impl Op + Clone + 'static),
    inputs: &[(Array, DType)],
    tolerance: f32,
) {
    if !device.caps().f16 && inputs.iter().any(|(_, dtype)| *dtype == DType::F16) {
        eprintln!("skipped: the adapter does not store f16");
        return;
    }
    let rounded: Vec<Array> = inputs
        .iter()
        .map(|(array, dtype)| round_to(array, *dtype))
        .collect();
    let expected = op.reference(&rounded.iter().collect::<Vec<_>>());
    let found = computed(device, caps, op, inputs);
    assert_eq!(found.len(), expected.data().len());
    let largest = expected
        .data()
        .iter()
        .fold(1.0_f32, |largest, value| largest.max(value.abs()));
    for (i, (found, expected)) in found.iter().zip(expected.data()).enumerate() {
        let error = (found - expected).abs();
        let shapes: Vec<_> = inputs.iter().map(|(array, _)| array.shape()).collect();
        assert!(
            error <= tolerance * largest,
            "{op:?} of {shapes:?}: element {i} is {found}, expected {expected}"
        );
    }
}

/// What the operation makes of the inputs on the GPU, by the kernels that `caps` ask for.
pub(crate) fn computed(
    device: &Device,
    caps: &Caps,
    op: &(impl Op + Clone + 'static),
    inputs: &[(Array, DType)],
) -> Vec<f32> {
    let recorder = Recorder::new(DType::F32);
    let named = inputs
        .iter()
        .enumerate()
        .map(|(i, (array, dtype))| recorder.input(&i.to_string(), array.shape(), *dtype));
    let tensors: Vec<_> = named.collect();
    let y = tensors[0].apply(op.clone(), &tensors[1..]);
    recorder.output("y", y);
    let recording = recorder.finish().expect("the shapes fit");
    let plan = Plan::lower(recording, caps).expect("it lowers");
    let residency = Arc::new(Residency::new(device, &Weights::none()));
    let runner = block_on(Runner::new(device, plan, &residency)).expect("it compiles");
    for (i, (array, _)) in inputs.iter().enumerate() {
        runner
            .write(&i.to_string(), array.data())
            .expect("the input is there");
    }
    block_on(runner.run()).expect("it runs");
    block_on(runner.read("y")).expect("it reads")
}

/// What storing as `dtype` leaves of the values.
fn round_to(array: &Array, dtype: DType) -> Array {
    match dtype {
        DType::F16 => array.map(|value| half::f16::from_f32(value).to_f32()),
        DType::Bf16 => array.map(|value| half::bf16::from_f32(value).to_f32()),
        DType::F8E4m3 | DType::F8E5m2 => {
            let bytes = crate::gpu::encode(array.data(), dtype);
            crate::gpu::decode_array(&bytes, dtype, array.shape())
        }
        DType::F32 | DType::U32 | DType::U8 => array.clone(),
    }
}
