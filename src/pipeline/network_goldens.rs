//! Single forward passes against diffusers: every network alone, at odd sizes.

mod full_size;
mod rules;

use super::handle::Pipeline;
use super::latent::LatentShape;
use super::model::Model;
use super::plans::Placement;
use super::recordings::ends;
use super::request::Precision;
use super::residence::Residence;
use super::vae::Encoder;
use crate::error::{Error, Result};
use crate::gpu::{Device, block_on};
use crate::networks::{AddedInputs, UnetInputs};
use crate::ops::{RowField, testing};
use crate::plan::{Plan, Residency, Runner};
use crate::tensor::{Caps, DType, Recorder, Shape, Wrap};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest relative difference ‖a−b‖/‖b‖ in f32: both round each of some hundred operations to
/// 2⁻²⁴ in their own order.
const TOLERANCE: f64 = 1e-4;

/// Models of Stable Diffusion 1.x's structure.
const MODELS: [&str; 4] = ["demo", "tiny_a", "tiny_b", "tiny_c"];
/// Models of the other families and uses, and their relatives, whose UNets differ.
const UNETS: [&str; 9] = [
    "tiny_sd2",
    "tiny_xl",
    "tiny_refiner",
    "tiny_lcm",
    "tiny_inpaint",
    "tiny_instruct",
    "tiny_bksdm",
    "tiny_fp8",
    "tiny_ssd",
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/data")
        .join(name)
}

fn model(name: &str) -> Model {
    let path = match name {
        "demo" => {
            Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/tiny-emoji-sd.safetensors")
        }
        "tiny_c" => data("models/tiny_c"),
        name => data(&format!("models/{name}.safetensors")),
    };
    Model::open(path).expect("the model opens")
}

/// A file of recorded tensors.
struct Golden(Vec<u8>);

impl Golden {
    fn of(model: &str) -> Self {
        Self::read(&data(&format!("networks/{model}.safetensors")))
    }

    fn read(path: &Path) -> Self {
        Self(std::fs::read(path).expect("the golden is there"))
    }

    fn has(&self, name: &str) -> bool {
        let tensors = SafeTensors::deserialize(&self.0).expect("it is safetensors");
        tensors.tensor(name).is_ok()
    }

    fn values(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let tensors = SafeTensors::deserialize(&self.0).expect("it is safetensors");
        let tensor = tensors.tensor(name).expect("the tensor is there");
        (
            tensor.shape().to_vec(),
            bytemuck::pod_collect_to_vec(tensor.data()),
        )
    }

    /// Values of `[N, C, H, W]`, and that shape to reorder them.
    fn picture(&self, name: &str) -> (LatentShape, Vec<f32>) {
        let (axes, values) = self.values(name);
        let shape = LatentShape {
            batch: axes[0],
            chw: [axes[1], axes[2], axes[3]],
        };
        (shape, values)
    }
}

/// Where the networks run: an adapter if there is one, and always the interpreter.
fn devices() -> Vec<Device> {
    testing::device()
        .cloned()
        .into_iter()
        .chain([Device::reference()])
        .collect()
}

/// Every one of these models on every device.
fn cases(models: &[&'static str]) -> Vec<(&'static str, Device)> {
    let on = |&name| devices().into_iter().map(move |device| (name, device));
    models.iter().flat_map(on).collect()
}

fn run(device: &Device, model: &Model, plan: Result<Plan>, inputs: &[(&str, Vec<f32>)]) -> Runner {
    let residency = Arc::new(Residency::new(device, &model.weights));
    let plan = plan.expect("it records");
    let runner = block_on(Runner::new(device, plan, &residency)).expect("it compiles");
    for (name, values) in inputs {
        runner.write(name, values).expect("the input is there");
    }
    block_on(runner.run()).expect("it runs");
    runner
}

/// ‖found − expected‖ / ‖expected‖
fn difference(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |value: f32| f64::from(value).powi(2);
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let size: f64 = expected.iter().map(|b| square(*b)).sum();
    (difference / size).sqrt()
}

fn assert_close(what: &str, error: f64) {
    assert!(error < TOLERANCE, "{what} differs by {error:.2e}");
}

/// How far one pass of the UNet is from the recorded one, as the second row of a table.
fn unet_difference(device: &Device, model: &Model, golden: &Golden) -> f64 {
    unet_difference_as(device, model, golden, (DType::F32, &device.caps()))
}

/// The same with activations of that type, for a device of those capabilities.
fn unet_difference_as(
    device: &Device,
    model: &Model,
    golden: &Golden,
    (compute, caps): (DType, &Caps),
) -> f64 {
    let (shape, sample) = golden.picture("unet.sample");
    let (context_shape, context) = golden.values("unet.context");
    let (_, timestep) = golden.values("unet.timestep");
    let [channels, height, width] = shape.chw;
    let recorder = Recorder::new(compute);
    let input =
        |name: &str, shape: &[usize]| recorder.input_per_run(name, Shape::new(shape), compute);
    let sample_shape = [shape.batch, height, width, channels];
    let row = recorder.input(ends::ROW, [RowField::COUNT], DType::F32);
    let recorded = |name: &str| {
        golden
            .has(name)
            .then(|| input(name, &golden.values(name).0))
    };
    let output = model.unet.forward(UnetInputs {
        sample: recorder.input("sample", sample_shape, compute),
        timestep: recorder
            .input_per_run(ends::TIMESTEPS, [2, shape.batch], DType::F32)
            .select_row(row),
        context: input(ends::CONTEXT, &context_shape),
        added: recorded("unet.pooled")
            .zip(recorded("unet.time_ids"))
            .map(|(pooled, time_ids)| AddedInputs { pooled, time_ids }),
        guidance: recorded("unet.guidance"),
    });
    recorder.output("output", output);
    let plan = recorder
        .finish()
        .and_then(|recording| Plan::lower(recording, caps));
    let mut values = vec![0.0; RowField::COUNT];
    values[RowField::Place as usize] = 1.0;
    let mut inputs = vec![
        ("sample", shape.channels_last(&sample)),
        (ends::ROW, values),
        (ends::TIMESTEPS, [vec![0.0; shape.batch], timestep].concat()),
        (ends::CONTEXT, context),
    ];
    let others = ["unet.pooled", "unet.time_ids", "unet.guidance"];
    let others = others.into_iter().filter(|name| golden.has(name));
    inputs.extend(others.map(|name| (name, golden.values(name).1)));
    let runner = run(device, model, plan, &inputs);
    let found = block_on(runner.read("output")).expect("it reads");
    let (shape, expected) = golden.picture("unet.output");
    difference(&shape.channels_first(&found), &expected)
}

/// How far one pass of the VAE's decoder is from the recorded one.
fn vae_decoder_difference(device: &Device, model: &Model, golden: &Golden) -> f64 {
    vae_decoder_difference_as(device, model, golden, (DType::F32, &device.caps()))
}

/// The same with activations of that type, for a device of those capabilities.
fn vae_decoder_difference_as(
    device: &Device,
    model: &Model,
    golden: &Golden,
    (compute, caps): (DType, &Caps),
) -> f64 {
    let (shape, latents) = golden.picture("vae.latents");
    let [_, height, width] = shape.chw;
    let plan = model.vae_decoder_plan([height, width], Wrap::NONE, compute, caps);
    let latents = [(ends::LATENT, shape.channels_last(&latents))];
    let runner = run(device, model, plan, &latents);
    let found = block_on(runner.read(ends::DECODED)).expect("it reads");
    let (picture, expected) = golden.picture("vae.decoded");
    difference(&picture.channels_first(&found), &expected)
}

#[test]
fn the_unet_agrees_with_diffusers() {
    for (name, device) in cases(&[&MODELS[..], &UNETS].concat()) {
        let error = unet_difference(&device, &model(name), &Golden::of(name));
        assert_close(&format!("{name}: unet.output"), error);
    }
}

#[test]
fn the_vae_decoder_agrees_with_diffusers() {
    for (name, device) in cases(&MODELS) {
        let error = vae_decoder_difference(&device, &model(name), &Golden::of(name));
        assert_close(&format!("{name}: vae.decoded"), error);
    }
}

#[test]
fn the_vae_encoder_agrees_with_diffusers() {
    for (name, device) in cases(&MODELS) {
        let (model, golden) = (model(name), Golden::of(name));
        let (picture, image) = golden.picture("vae.image");
        let (moments, expected) = golden.picture("vae.moments");
        let [channels, height, width] = moments.chw;
        let plan = model.vae_encoder_plan([height, width], Wrap::NONE, DType::F32, &device.caps());
        let runner = run(
            &device,
            &model,
            plan,
            &[(ends::IMAGE, picture.channels_last(&image))],
        );
        let half = LatentShape {
            batch: 1,
            chw: [channels / 2, height, width],
        };
        let (mean, log_variance) = expected.split_at(expected.len() / 2);
        for (end, expected) in [(ends::MEAN, mean), (ends::LOG_VARIANCE, log_variance)] {
            let found = block_on(runner.read(end)).expect("it reads");
            let error = difference(&half.channels_first(&found), expected);
            assert_close(&format!("{name}: {end}"), error);
        }
    }
}

/// `retrieve_latents` of diffusers' image-to-image pipeline, times the scaling factor.
#[test]
fn latents_of_a_picture_are_drawn_from_its_moments() {
    for (name, device) in cases(&MODELS) {
        let (model, golden) = (model(name), Golden::of(name));
        let scaling_factor = f64::from(model.config.vae.scaling_factor);
        let (picture, image) = golden.picture("vae.image");
        let (moments, expected) = golden.picture("vae.moments");
        let [channels, height, width] = moments.chw;
        let latent = LatentShape {
            batch: 1,
            chw: [channels / 2, height, width],
        };
        let (mean, log_variance) = expected.split_at(expected.len() / 2);
        // No golden needs another unit normal than any values of its size.
        let unit_normal: Vec<f32> = mean.iter().map(|mean| (mean * 77.0).sin()).collect();

        let pipeline = Pipeline::new(&device, model).expect("it loads");
        let placement = Placement {
            compute: DType::F32,
            residence: Residence::InTurn,
            vae_tile: None,
            wrap: Wrap::NONE,
        };
        let (mode, sample) = block_on(async {
            let size = [height, width];
            let mut encoder = Encoder::take(&pipeline, size, Precision::F32, placement).await?;
            encoder.begin().await?;
            let moments = encoder.encode(&picture.channels_last(&image)).await?;
            let sample = moments.sample(&latent.channels_last(&unit_normal));
            Ok::<_, Error>((moments.mode(), sample))
        })
        .expect("it encodes");

        #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
        let scaled = |value: f64| (value * scaling_factor) as f32;
        let drawn = mean.iter().zip(log_variance).zip(&unit_normal);
        let drawn = drawn.map(|((mean, log_variance), normal)| {
            f64::from(*mean) + f64::from(*log_variance / 2.0).exp() * f64::from(*normal)
        });
        let expected: [Vec<f32>; 2] = [
            mean.iter().map(|mean| scaled(f64::from(*mean))).collect(),
            drawn.map(scaled).collect(),
        ];
        for ((what, found), expected) in [("mode", mode), ("sample", sample)].iter().zip(expected) {
            let error = difference(&latent.channels_first(found), &expected);
            assert_close(&format!("{name}: {what}"), error);
        }
    }
}
