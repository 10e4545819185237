//! What a full-size model costs, against figures from elsewhere.

use crate::model_files::{self, F16};
use aquatint::{Model, ModelReport, PlanOptions, Precision, Rule, Rules};
use std::collections::HashSet;

/// Floating-point operations of one evaluation of the UNet and of one decoding, at a side in pixels,
/// by torch 2.15.0's `FlopCounterMode` on diffusers 0.42.1's models: `tests/golden/flops.py`.
const TORCH_FLOPS: [(usize, f64, f64); 2] = [
    (256, 180_106_444_800.0, 622_187_282_432.0),
    (512, 803_273_441_280.0, 2_514_518_933_504.0),
];
/// torch counts matrix products, convolutions and attention alone; norms and activations are here.
const TOLERANCE: f64 = 0.01;

fn options(side: usize, precision: Precision, rules: Rules) -> PlanOptions {
    PlanOptions {
        width: side,
        height: side,
        batch_size: 1,
        precision,
        rules,
    }
}

fn plan(model: &Model, side: usize, precision: Precision, rules: Rules) -> ModelReport {
    model.plan(&options(side, precision, rules)).unwrap()
}

#[test]
fn the_work_of_stable_diffusion_1_5_is_counted_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sd15.safetensors");
    model_files::write(&path, "full_sd15_v1-5-pruned-emaonly", F16);
    let model = Model::open(path).unwrap();
    // Else what steps have in common would not be in the step.
    let unhoisted = Rules::all().without(Rule::Hoist);
    for (side, unet, decoder) in TORCH_FLOPS {
        let parts = plan(&model, side, Precision::F16, unhoisted).parts;
        for (part, expected) in [("unet", 2.0 * unet), ("vae_decoder", decoder)] {
            let error = (parts[part].step.flops as f64 / expected - 1.0).abs();
            assert!(
                error < TOLERANCE,
                "{part} at {side}: off by {:.1} %",
                100.0 * error
            );
        }
        // 859,520,964 parameters in f16, as the list of shapes counts them.
        assert_eq!(parts["unet"].weight_bytes, 2 * 859_520_964);
    }
}

/// Kernels of one picture: each takes a driver 0.1 to 0.4 s, the first time.
const MAX_KERNELS: usize = 60;

#[test]
fn a_picture_of_stable_diffusion_1_5_takes_few_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sd15.safetensors");
    model_files::write(&path, "full_sd15_v1-5-pruned-emaonly", F16);
    let model = Model::open(path).unwrap();
    for precision in [Precision::F16, Precision::F32] {
        let ModelReport { kernels, parts } = plan(&model, 512, precision, Rules::all());
        eprintln!("{precision:?}: {kernels} kernels");
        // Fewer than there are kinds of operations would be a count of something else.
        let kinds = operation_kinds(&model);
        assert!(kernels >= kinds, "{kernels} kernels for {kinds} kinds");
        assert!(kernels <= MAX_KERNELS, "{kernels} kernels");
        assert!(kernels < parts["unet"].step.dispatches);
    }
}

/// How many kinds of operations a picture takes.
fn operation_kinds(model: &Model) -> usize {
    let options = options(512, Precision::F16, Rules::all());
    let parts = model.describe(&options).unwrap();
    let drawing = parts.iter().filter(|(name, _)| **name != "vae_encoder");
    let kinds = drawing
        .flat_map(|(_, list)| list)
        .map(|dispatch| dispatch.op);
    kinds.collect::<HashSet<_>>().len()
}

#[test]
fn activations_in_f16_take_half_of_those_in_f32() {
    let model = Model::open(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/data/models/tiny_a.safetensors"
    ));
    let model = model.unwrap();
    let [half, full] = [Precision::F16, Precision::F32].map(|precision| {
        let report = plan(&model, 512, precision, Rules::all()).parts["unet"];
        report.peak_activation_bytes as f64
    });
    // The sampler's state, noise and row are f32 in both.
    assert!((0.5..0.6).contains(&(half / full)), "{half} {full}");
}
