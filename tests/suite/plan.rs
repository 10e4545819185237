//! What full-size models cost, against figures from elsewhere and against budgets.

use crate::model_files::{self, F16};
use aquatint::{Model, ModelReport, PlanOptions, PlanReport, Precision, Rule, Rules};
use std::collections::HashSet;

/// torch counts matrix products, convolutions and attention alone; norms and activations are here.
const FLOPS_TOLERANCE: f64 = 0.01;

/// A part of a model at a side in pixels, with activations in f16: what it computes, and the most that
/// it may take for that. A rule that saves something lowers these.
struct Budget {
    part: &'static str,
    side: usize,
    /// Evaluations in one run.
    evaluations: f64,
    /// Floating-point operations of one evaluation by torch 2.15.0's `FlopCounterMode` on diffusers
    /// 0.42.1's models: `tests/golden/flops.py`.
    torch_flops: f64,
    /// Dispatches of a run, and those of its prologue.
    dispatches: [usize; 2],
    /// Bytes that a run moves when each operand of each dispatch is moved once.
    bytes: u64,
    /// Bytes of activations.
    peak: u64,
}

const MB: u64 = 1_000_000;

/// By how much the memory of activations may exceed what lives in it: a dispatch cannot write the slot
/// that it reads. SD 1.5's step takes 1.09 at 512² and 1.10 at 1024², the others nothing.
const SLOT_WASTE: f64 = 1.11;

/// Stable Diffusion 1.5, whose VAE is XL's too.
const SD15: [Budget; 3] = [
    Budget {
        part: "unet",
        side: 512,
        evaluations: 2.0,
        torch_flops: 803_273_441_280.0,
        dispatches: [338, 57],
        bytes: 4_260 * MB,
        peak: 64 * MB,
    },
    Budget {
        part: "vae_decoder",
        side: 512,
        evaluations: 1.0,
        torch_flops: 2_514_518_933_504.0,
        dispatches: [92, 0],
        bytes: 3_732 * MB,
        peak: 272 * MB,
    },
    Budget {
        part: "vae_decoder",
        side: 1024,
        evaluations: 1.0,
        torch_flops: 10_470_392_594_432.0,
        dispatches: [103, 0],
        bytes: 14_470 * MB,
        peak: 1_085 * MB,
    },
];

const SDXL: [Budget; 1] = [Budget {
    part: "unet",
    side: 1024,
    evaluations: 2.0,
    torch_flops: 6_761_236_398_080.0,
    dispatches: [892, 165],
    bytes: 22_150 * MB,
    peak: 247 * MB,
}];

fn options(side: usize, precision: Precision, rules: Rules) -> PlanOptions {
    PlanOptions {
        width: side,
        height: side,
        batch_size: 1,
        precision,
        rules,
        vram_bytes: None,
        vae_tile: None,
        tile_latents: None,
    }
}

fn plan(model: &Model, side: usize, precision: Precision, rules: Rules) -> ModelReport {
    model.plan(&options(side, precision, rules)).unwrap()
}

fn check(model: &Model, budgets: &[Budget]) {
    let report = |budget: &Budget, rules| -> PlanReport {
        plan(model, budget.side, Precision::F16, rules).parts[budget.part]
    };
    for budget in budgets {
        let name = format!("{} at {}", budget.part, budget.side);
        // With hoisting, what evaluations have in common would not be in the step.
        let whole = report(budget, Rules::all().without(Rule::Hoist));
        let expected = budget.evaluations * budget.torch_flops;
        let error = (whole.step.flops as f64 / expected - 1.0).abs();
        assert!(
            error < FLOPS_TOLERANCE,
            "{name}: {:.1} % off",
            100.0 * error
        );

        let found = report(budget, Rules::all());
        let [step, prologue] = budget.dispatches;
        let dispatches = [found.step.dispatches, found.prologue.dispatches];
        assert!(
            dispatches[0] <= step && dispatches[1] <= prologue,
            "{name}: {dispatches:?} dispatches in step and prologue, more than {step} and {prologue}"
        );
        let living = found.living_activation_bytes as f64;
        let waste = found.peak_activation_bytes as f64 / living;
        assert!(
            (1.0..SLOT_WASTE).contains(&waste),
            "{name}: {waste} of {living}"
        );
        for (what, bytes, most) in [
            ("moved", found.step.bytes, budget.bytes),
            ("of activations", found.peak_activation_bytes, budget.peak),
        ] {
            assert!(
                bytes <= most,
                "{name}: {bytes} bytes {what}, more than {most}"
            );
        }
    }
}

#[test]
fn stable_diffusion_1_5_is_counted_right_and_keeps_to_its_budget() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sd15.safetensors");
    model_files::write(&path, "full_sd15_v1-5-pruned-emaonly", F16);
    let model = Model::open(path).unwrap();
    check(&model, &SD15);
    // 859,520,964 parameters in f16, as the list of shapes counts them.
    let parts = plan(&model, 512, Precision::F16, Rules::all()).parts;
    assert_eq!(parts["unet"].weight_bytes, 2 * 859_520_964);
}

#[test]
fn stable_diffusion_xl_is_counted_right_and_keeps_to_its_budget() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sdxl.safetensors");
    model_files::write(&path, "full_sdxl_base_1.0", F16);
    check(&Model::open(path).unwrap(), &SDXL);
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
        let ModelReport { kernels, parts, .. } = plan(&model, 512, precision, Rules::all());
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
    assert!((0.5..0.65).contains(&(half / full)), "{half} {full}");
}
