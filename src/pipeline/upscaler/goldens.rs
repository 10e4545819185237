//! Upscaling networks against spandrel: `tests/golden/upscalers.py` wrote the results.

use super::{UpscaleOptions, Upscaler};
use crate::gpu::{Device, block_on};
use crate::image::Image;
use crate::ops::testing;
use crate::pipeline::request::Precision;
use crate::tensor::DType;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use tempfile::TempDir;

/// The largest relative difference ‖a−b‖/‖b‖ in f32, as of every network here: some sixty operations, each
/// rounded to 2⁻²⁴ in an order of its own. spandrel joins three windows of SPAN's before use, which
/// makes 1.4e-5 with colours that count to 255.
const TOLERANCE: f64 = 1e-4;
/// Height and width of the inputs.
const INPUT_SIZE: [usize; 2] = [9, 6];

/// Numbers from 0 to 1 by name: FNV-1a, then SplitMix64.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let mut state = 0xCBF2_9CE4_8422_2325_u64;
    for byte in name.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    (1..=count as u64).map(move |index| {
        let mut z = state.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 40) as f64 / f64::from(1 << 24)
    })
}

/// A weight of about unit gain, or a vector of small numbers.
#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn seeded(name: &str, shape: &[usize]) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let width = match shape {
        [rows, _, ..] => (3.0 / (count as f64 / *rows as f64)).sqrt(),
        _ => 0.2,
    };
    let values = uniform(name, count).map(|value| ((2.0 * value - 1.0) * width) as f32);
    values.flat_map(f32::to_le_bytes).collect()
}

/// Writes the file of a case.
fn write(path: &Path, shapes: &BTreeMap<String, Vec<usize>>) {
    let tensors: BTreeMap<_, _> = shapes
        .iter()
        .map(|(name, shape)| (name, (shape, seeded(name, shape))))
        .collect();
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes);
        (name, view.expect("as many bytes as the shape has"))
    });
    safetensors::serialize_to_file(views, None, path).expect("the folder can be written");
}

#[expect(clippy::cast_possible_truncation, reason = "colours are f32")]
fn difference(device: &Device, path: &Path, case: &str, expected: &[f32]) -> f64 {
    let upscaler = Upscaler::open(device, path).expect("the file opens");
    assert!(device.has_choice(), "it has the plainest kernels");
    let [height, width] = INPUT_SIZE;
    let multiple = upscaler.runner.network.multiple();
    let size = [height / multiple * multiple, width / multiple * multiple];
    let input = upscaler.runner.network.input();
    let name = format!("{case}.input");
    let pixels = uniform(&name, height * width * 3)
        .take(size[0] * size[1] * 3)
        .zip((0..3).cycle())
        .map(|(value, colour)| (value as f32 - input.mean[colour]) * input.factor);
    let pixels: Vec<f32> = pixels.collect();
    let compute = &mut DType::F32;
    let colours = upscaler
        .runner
        .colours(size, &pixels, compute, Precision::F32);
    let found = block_on(colours).expect("it runs");
    assert_eq!(found.len(), expected.len(), "{case}");
    let square = |value: f32| f64::from(value).powi(2);
    let error: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let all: f64 = expected.iter().map(|value| square(*value)).sum();
    (error / all).sqrt()
}

/// A picture of soft shapes, as photographs have them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sines are between −1 and 1"
)]
fn waves(width: usize, height: usize) -> Image {
    let bytes = (0..height * width * 4).map(|i| {
        let (pixel, channel) = ((i / 4) as f64, i % 4);
        let (row, column) = (pixel / width as f64, pixel % width as f64);
        let wave = (row * 0.31 + channel as f64).sin() * (column * 0.23).cos();
        if channel == 3 {
            255
        } else {
            (128.0 + 100.0 * wave) as u8
        }
    });
    Image::from_rgba(width, height, bytes.collect()).expect("the sizes fit")
}

/// Networks that see less far than tiles overlap make the same of tiles as of the whole.
#[test]
fn tiles_make_what_the_whole_makes() {
    let golden = read_golden();
    let (_, metadata) = SafeTensors::read_metadata(&golden).expect("it is safetensors");
    let cases = metadata
        .metadata()
        .clone()
        .expect("each case has its shapes");
    let device = testing::device().cloned().unwrap_or_else(Device::reference);
    let folder = TempDir::new().expect("there is room");
    let path = folder.path().join("upscaler.safetensors");
    write(
        &path,
        &serde_json::from_str(&cases["compact_2"]).expect("names and shapes"),
    );
    let upscaler = Upscaler::open(&device, &path).expect("the file opens");
    let image = waves(75, 41);
    let enlarged = |tile_px| {
        let options = UpscaleOptions {
            tile_px,
            ..UpscaleOptions::default()
        };
        let made = upscaler.upscale(&image, &options, &mut |_| ControlFlow::Continue(()));
        made.expect("it runs")
    };
    let (whole, tiled) = (enlarged(128), enlarged(32));
    let pairs = whole.pixels().iter().zip(tiled.pixels());
    let largest = pairs.map(|(a, b)| a.abs_diff(*b)).max();
    // A colour may fall on the other side of one half.
    assert!(largest <= Some(1), "{largest:?}");
}

fn read_golden() -> Vec<u8> {
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/upscalers.safetensors");
    std::fs::read(golden).expect("the golden is there")
}

#[test]
fn every_kind_agrees_with_spandrel() {
    let golden = read_golden();
    let (_, metadata) = SafeTensors::read_metadata(&golden).expect("it is safetensors");
    let results = SafeTensors::deserialize(&golden).expect("it is safetensors");
    let cases = metadata
        .metadata()
        .clone()
        .expect("each case has its shapes");
    assert_eq!(cases.len(), 6);
    let devices = testing::device().cloned().into_iter();
    for device in devices.chain([Device::reference()]) {
        for (case, shapes) in &cases {
            let folder = TempDir::new().expect("there is room");
            let path = folder.path().join("upscaler.safetensors");
            write(
                &path,
                &serde_json::from_str(shapes).expect("names and shapes"),
            );
            let result = results.tensor(case).expect("the case has a result");
            let expected: Vec<f32> = bytemuck::pod_collect_to_vec(result.data());
            let error = difference(&device, &path, case, &expected);
            assert!(error < TOLERANCE, "{case} differs by {error:.2e}");
        }
    }
}
