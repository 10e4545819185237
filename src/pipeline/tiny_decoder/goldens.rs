//! A tiny decoder against diffusers: `tests/golden/taesd.py` wrote the results.

use super::TinyDecoder;
use crate::error::Error;
use crate::gpu::{Device, block_on};
use crate::networks;
use crate::ops::testing;
use crate::pipeline::request::Precision;
use crate::tensor::DType;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use std::fs;
use std::path::{Path, PathBuf};

/// The largest relative difference ‖a−b‖/‖b‖ in f32, as of every network here: some forty operations, each
/// rounded to 2⁻²⁴ in an order of its own.
const TOLERANCE: f64 = 1e-4;

fn data(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/taesd");
    folder.join(name)
}

/// Writes the decoder's file with other names, without the tensors that have none.
fn renamed(path: &Path, rename: impl Fn(&str) -> Option<String>) {
    let bytes = fs::read(data("decoder.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let named = tensors.into_iter();
    let named: Vec<(String, TensorView<'_>)> = named
        .filter_map(|(name, view)| Some((rename(&name)?, view)))
        .collect();
    safetensors::serialize_to_file(named, None, path).unwrap();
}

/// `decoder.layers.2.conv.0.weight` → `3.conv.0.weight`
fn original(name: &str) -> Option<String> {
    let (number, rest) = name.strip_prefix("decoder.layers.")?.split_once('.')?;
    Some(format!("{}.{rest}", number.parse::<usize>().ok()? + 1))
}

fn check(device: &Device, path: &Path) {
    let decoder = TinyDecoder::open(device, path).unwrap();
    let bytes = fs::read(data("decoded.safetensors")).unwrap();
    let recorded = SafeTensors::deserialize(&bytes).unwrap();
    let [latents, colours] = ["latents", "colours"].map(|name| recorded.tensor(name).unwrap());
    let values = |view: &TensorView<'_>| -> Vec<f32> { bytemuck::pod_collect_to_vec(view.data()) };
    let &[_, height, width, channels] = latents.shape() else {
        panic!("{:?}", latents.shape());
    };
    assert_eq!(decoder.runner.network.scale() * height, colours.shape()[1]);
    let size = [height, width];
    let (latents, expected) = (values(&latents), values(&colours));
    let mut found = Vec::new();
    for latent in latents.chunks_exact(height * width * channels) {
        let limited = latent.iter().copied().map(networks::TinyDecoder::limited);
        let limited: Vec<f32> = limited.collect();
        let compute = &mut DType::F32;
        let colours = decoder
            .runner
            .colours(size, &limited, compute, Precision::F32);
        found.extend(block_on(colours).unwrap());
    }
    assert_eq!(found.len(), expected.len());
    let squares = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values.map(|value| f64::from(value).powi(2)).sum()
    };
    let off = squares(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
    let error = (off / squares(&mut expected.iter().copied())).sqrt();
    assert!(error < TOLERANCE, "{}: off by {error:.2e}", path.display());
}

#[test]
fn it_agrees_with_diffusers_under_either_naming() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taesd_decoder.safetensors");
    renamed(&path, original);
    let reference = Device::reference();
    for device in [Some(&reference), testing::device()].into_iter().flatten() {
        check(device, &data("decoder.safetensors"));
        check(device, &path);
    }
}

#[test]
fn a_file_that_lacks_a_layer_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.safetensors");
    renamed(&path, |name| {
        (!name.contains("layers.7.")).then(|| name.to_owned())
    });
    let error = TinyDecoder::open(&Device::reference(), &path).unwrap_err();
    assert!(
        matches!(
            error,
            Error::TensorMismatch { .. } | Error::MissingTensor { .. }
        ),
        "{error}"
    );
    let message = error.to_string();
    assert!(message.contains("layers.8"), "{message}");
}

#[test]
fn a_file_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.safetensors");
    renamed(&path, |name| Some(name.replace("decoder", "encoder")));
    let error = TinyDecoder::open(&Device::reference(), &path).unwrap_err();
    assert!(matches!(error, Error::UnknownModel { .. }), "{error}");
}
