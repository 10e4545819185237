//! Overflow in f16, and what a run does about it; models without an encoder.

use super::*;
use crate::gpu::{Device, block_on};
use crate::image::Image;
use crate::ops::testing;
use crate::pipeline::vae::Encoder;
use crate::pipeline::{Model, Precision, Residence};
use crate::tensor::{DType, Wrap};
use crate::weights::Weights;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// The demo model with two biases so large that their sum overflows f16, which ends at 65,504,
/// while in f32 it is a number like others.
fn overflowing(biases: [&str; 2]) -> Vec<u8> {
    let demo: &[u8] = include_bytes!("../../../models/demo/tiny-emoji-sd.safetensors");
    let tensors = SafeTensors::deserialize(demo).unwrap();
    let (_, header) = SafeTensors::read_metadata(demo).unwrap();
    let mut found = 0;
    let changed = tensors.tensors().into_iter().map(|(name, view)| {
        let mut bytes = view.data().to_vec();
        if biases.contains(&name.as_str()) {
            found += 1;
            bytes = LARGE.to_le_bytes().repeat(bytes.len() / 2);
        }
        (name, view.shape().to_vec(), bytes)
    });
    let changed: Vec<_> = changed.collect();
    assert_eq!(found, 2, "{biases:?} are not both in the demo model");
    let views = changed.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F16, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize(views, header.metadata().clone()).unwrap()
}

/// The demo model without what encodes pictures.
fn without_encoder() -> Vec<u8> {
    let demo: &[u8] = include_bytes!("../../../models/demo/tiny-emoji-sd.safetensors");
    let tensors = SafeTensors::deserialize(demo).unwrap();
    let (_, header) = SafeTensors::read_metadata(demo).unwrap();
    let encodes = |name: &str| {
        name.starts_with("first_stage_model.encoder.")
            || name.starts_with("first_stage_model.quant_conv.")
    };
    let kept = tensors.tensors().into_iter();
    let kept = kept.filter(|(name, _)| !encodes(name));
    safetensors::serialize(kept, header.metadata().clone()).unwrap()
}

fn pipeline(device: &Device, file: Vec<u8>) -> Pipeline {
    // A test's file lives as long as the process.
    let weights = Weights::from_static("made here", Box::leak(file.into_boxed_slice())).unwrap();
    Pipeline::new(device, Model::from_weights(weights).unwrap()).unwrap()
}

fn request() -> Request {
    Request::new("a fox").size(64, 64).steps(2).seed(1)
}

/// A run with activations in f16, wherever `Auto` would store them.
fn start_in_f16(pipeline: &Pipeline, residence: Residence) -> Run {
    let request = pipeline.resolve(&request()).unwrap();
    let placement = Placement {
        compute: DType::F16,
        residence,
        vae_tile: None,
        wrap: Wrap::NONE,
    };
    block_on(Run::start(pipeline, request, placement, None)).unwrap()
}

fn device() -> Option<&'static Device> {
    testing::device().filter(|device| device.caps().f16)
}

const RESIDENCES: [Residence; 2] = [Residence::Together, Residence::InTurn];
const LARGE: half::f16 = half::f16::from_f32_const(60_000.0);
/// The last biases of two residual blocks, one added to the other.
const UNET: [&str; 2] = [
    "model.diffusion_model.middle_block.0.out_layers.3.bias",
    "model.diffusion_model.middle_block.2.out_layers.3.bias",
];
const VAE: [&str; 2] = [
    "first_stage_model.decoder.mid.block_1.conv2.bias",
    "first_stage_model.decoder.mid.block_2.conv2.bias",
];
const ENCODER: [&str; 2] = [
    "first_stage_model.encoder.mid.block_1.conv2.bias",
    "first_stage_model.encoder.mid.block_2.conv2.bias",
];

#[test]
fn a_step_that_overflows_f16_goes_on_in_f32() {
    let Some(device) = device() else { return };
    let pipeline = pipeline(device, overflowing(UNET));
    let [widened, in_turn] = RESIDENCES.map(|residence| {
        let mut run = start_in_f16(&pipeline, residence);
        assert!(run.is_f16());
        run.next_step().unwrap();
        assert!(!run.is_f16());
        run.finish().unwrap()
    });
    assert!(in_turn == widened, "the pictures differ");
    let wide = pipeline
        .generate(&request().precision(Precision::F32))
        .unwrap();
    // The text encoder ran in f16 in one case and in f32 in the other.
    assert!(mean_difference(&widened[0], &wide[0]) < 4.0);
}

#[test]
fn a_run_that_was_widened_goes_on_in_f32_from_a_checkpoint() {
    let Some(device) = device() else { return };
    let pipeline = pipeline(device, overflowing(UNET));
    let mut run = start_in_f16(&pipeline, Residence::Together);
    run.next_step().unwrap();
    let kept = run.checkpoint().unwrap();
    let (request, placement) = (run.request.clone(), run.placement);
    let expected = run.finish().unwrap();
    assert_eq!(placement.compute, DType::F16);
    let again = block_on(Run::resume(&pipeline, &kept, request, placement)).unwrap();
    assert!(!again.is_f16());
    assert!(again.finish().unwrap() == expected, "the pictures differ");
}

#[test]
fn a_user_who_insists_on_f16_is_told_the_stage_and_step() {
    let Some(device) = device() else { return };
    let pipeline = pipeline(device, overflowing(UNET));
    let error = pipeline
        .generate(&request().precision(Precision::F16))
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                stage: "unet",
                step: Some(1)
            }
        ),
        "{error}"
    );
}

#[test]
fn a_decoder_that_overflows_f16_runs_again_in_f32() {
    let Some(device) = device() else { return };
    let pipeline = pipeline(device, overflowing(VAE));
    let [widened, in_turn] =
        RESIDENCES.map(|residence| start_in_f16(&pipeline, residence).finish().unwrap());
    assert!(in_turn == widened, "the pictures differ");
    let wide = pipeline
        .generate(&request().precision(Precision::F32))
        .unwrap();
    assert!(mean_difference(&widened[0], &wide[0]) < 4.0);
    let error = pipeline
        .generate(&request().precision(Precision::F16))
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                stage: "vae_decoder",
                step: None
            }
        ),
        "{error}"
    );
}

/// What the encoder makes of a picture, in f16 wherever `Auto` would store it.
fn encode(pipeline: &Pipeline, precision: Precision, residence: Residence) -> Result<Vec<f32>> {
    let placement = Placement {
        compute: match precision {
            Precision::F32 => DType::F32,
            Precision::F16 | Precision::Auto => DType::F16,
        },
        residence,
        vae_tile: None,
        wrap: Wrap::NONE,
    };
    let picture: Vec<f32> = (0..64 * 64 * 3).map(|i| (i as f32).sin()).collect();
    block_on(async {
        let mut encoder = Encoder::take(pipeline, [8, 8], precision, placement).await?;
        encoder.begin().await?;
        Ok(encoder.encode(&picture).await?.mode())
    })
}

#[test]
fn an_encoder_that_overflows_f16_runs_again_in_f32() {
    let Some(device) = device() else { return };
    let pipeline = pipeline(device, overflowing(ENCODER));
    let [widened, in_turn] = RESIDENCES
        .map(|residence| encode(&pipeline, Precision::Auto, residence).expect("it goes on"));
    assert!(in_turn == widened, "the latents differ");
    let wide = encode(&pipeline, Precision::F32, Residence::Together).expect("it encodes");
    assert!(widened == wide, "it was not encoded in f32");
    let error = encode(&pipeline, Precision::F16, Residence::Together).unwrap_err();
    let is_told = matches!(
        error,
        Error::NotFinite {
            stage: "vae_encoder",
            step: None
        }
    );
    assert!(is_told, "{error}");
}

#[test]
fn a_model_without_an_encoder_says_what_to_give() {
    let pipeline = pipeline(&Device::reference(), without_encoder());
    let error = encode(&pipeline, Precision::F32, Residence::Together).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unsupported: starting from a picture with made here: its VAE has a decoder only; give a \
         whole VAE of the same family (--vae FILE)"
    );
}

#[test]
fn a_run_that_failed_is_over_and_leaves_the_pipeline_clean() {
    let Some(device) = device() else { return };
    let pipeline = pipeline(device, overflowing(UNET));
    let insisting = request().precision(Precision::F16);
    let mut run = pipeline.start(&insisting).unwrap();
    assert!(matches!(run.next_step(), Err(Error::NotFinite { .. })));
    assert!(matches!(run.next_step(), Err(Error::Unsupported(_))));
    assert!(matches!(run.finish(), Err(Error::Unsupported(_))));
    let wide = request().precision(Precision::F32);
    let again = pipeline.generate(&wide).unwrap();
    assert_eq!(again, pipeline.generate(&wide).unwrap());
}

/// Mean absolute difference of bytes.
fn mean_difference(a: &Image, b: &Image) -> f64 {
    let pairs = a.pixels().iter().zip(b.pixels());
    let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / a.pixels().len() as f64
}
