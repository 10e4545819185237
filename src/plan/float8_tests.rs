//! Weights of eight bits on the device, as they are read by the shaders.

use super::{Plan, Residency, Runner};
use crate::gpu::block_on;
use crate::ops::{Conv2d, Conv2dGeometry, Linear, Padding, testing};
use crate::tensor::{DType, Recorder, Shape, float8};
use crate::weights::Weights;
use safetensors::tensor::{Dtype, TensorView};
use std::sync::Arc;

/// All 256 values as the device reads them out of a table of `columns`, one or four at a time.
fn read_back(dtype: Dtype, columns: usize) -> Option<Vec<f32>> {
    let device = testing::device()?;
    let bytes: Vec<u8> = (0..=255).collect();
    let rows = 256 / columns;
    let view = TensorView::new(dtype, vec![rows, columns], &bytes).expect("256 bytes");
    let file = safetensors::serialize([("unet.conv_in.weight", view)], None).expect("a sound file");
    let weights = Weights::from_static("made here", file.leak()).expect("it opens");
    let table = weights.param("unet.conv_in.weight").expect("it is there");
    let recorder = Recorder::new(DType::F32);
    let ids = recorder.input("ids", [1, rows], DType::U32);
    recorder.output("y", ids.embedding(&table));
    let recording = recorder.finish().expect("the shapes fit");
    let plan = Plan::lower(recording, &device.caps()).expect("it lowers");
    let residency = Arc::new(Residency::new(device, &weights));
    block_on(residency.upload(&[table], &mut |_| ())).expect("it fits");
    let runner = Runner::new(device, plan, &residency);
    let runner = block_on(runner).expect("it compiles");
    let ids: Vec<f32> = (0..rows).map(|row| row as f32).collect();
    runner.write("ids", &ids).expect("it is an input");
    block_on(runner.run()).expect("it runs");
    Some(block_on(runner.read("y")).expect("it reads"))
}

#[test]
fn the_device_decodes_every_byte_to_the_bit() {
    type Decode = fn(u8) -> f32;
    let types = [
        (Dtype::F8_E4M3, float8::from_e4m3 as Decode),
        (Dtype::F8_E5M2, float8::from_e5m2),
    ];
    for (dtype, decode) in types {
        for columns in [1, 4] {
            let Some(found) = read_back(dtype, columns) else {
                return;
            };
            for (byte, found) in (0..=255).zip(found) {
                let wanted = decode(byte);
                let same = found.to_bits() == wanted.to_bits() || found.is_nan() && wanted.is_nan();
                assert!(
                    same,
                    "{dtype:?} {byte} in {columns}: {found}, expected {wanted}"
                );
            }
        }
    }
}

/// Sums over rows of any length, in words that are whole and in ones that are not.
#[test]
fn products_with_weights_of_eight_bits_agree_with_the_reference() {
    const TOLERANCE: f32 = 2e-5; // as of weights in f32: what is rounded is rounded before
    let convolution = Conv2d::plain(Conv2dGeometry {
        stride: 1,
        padding: Padding::same(1),
    });
    let mixed = |shapes: &[&[usize]], dtype| {
        let types = [DType::F32, dtype, dtype];
        let arrays = (1..)
            .zip(shapes)
            .map(|(seed, &shape)| testing::seeded(Shape::new(shape), seed));
        arrays.zip(types).collect::<Vec<_>>()
    };
    for dtype in [DType::F8E4m3, DType::F8E5m2] {
        for [inputs, outputs] in [[3, 5], [8, 8], [33, 31]] {
            let linear: [&[usize]; 3] = [&[7, inputs], &[outputs, inputs], &[outputs]];
            testing::check_arrays(&Linear::PLAIN, &mixed(&linear, dtype), TOLERANCE);
            let window: [&[usize]; 3] = [&[1, 5, 4, inputs], &[outputs, 3, 3, inputs], &[outputs]];
            testing::check_arrays(&convolution, &mixed(&window, dtype), TOLERANCE);
        }
    }
}
