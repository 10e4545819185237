//! Pictures that are drawn, enlarged and drawn again: against torch (`tests/golden/hires.py`), and what is
//! known before and told after.

use crate::device;
use crate::goldens::{F32_PSNR, Golden, pipeline, traced};
use aquatint::{
    Error, Hires, HiresResize, Image, InputImage, PARAMETERS_KEYWORD, PngInfo, Precision, Preset,
    REQUEST_KEYWORD, Recipe, Request, Task, TileLatents,
};

fn request() -> Request {
    let request = Request::new("a row of houses")
        .size(36, 28)
        .steps(3)
        .seed(4);
    request.precision(Precision::F32)
}

#[test]
fn every_step_of_both_passes_agrees_with_torch() {
    for golden in Golden::all_of("hires", 2) {
        let number = |field: &str| golden.case[field].as_f64().unwrap();
        let steps = golden.case["hires_steps"].as_u64();
        let hires = Hires {
            scale: number("hires"),
            strength: number("hires_strength"),
            steps: steps.map(|steps| usize::try_from(steps).unwrap()),
            resize: HiresResize::Latent,
        };
        let request = golden.request().precision(Precision::F32).hires(hires);
        let (images, trace) = traced(device::best(), &golden, &request);
        golden.check_trace(&trace);
        golden.check_images(&images, F32_PSNR);
    }
}

#[test]
fn a_canceller_from_the_first_pass_calls_off_the_second() {
    let pipeline = pipeline("tiny_bksdm");
    let mut run = pipeline.start(&request().hires(Hires::default())).unwrap();
    let canceller = run.canceller();
    for _ in 0..4 {
        run.next_step().unwrap().expect("the second pass has begun");
    }
    canceller.cancel();
    assert!(matches!(run.next_step(), Err(Error::Cancelled)));
}

#[test]
fn steps_and_memory_of_both_passes_are_known_before_the_first() {
    let pipeline = pipeline("tiny_bksdm");
    for resize in [HiresResize::Latent, HiresResize::Lanczos] {
        let steps = Some(5);
        let hires = Hires {
            steps,
            resize,
            ..Hires::default()
        };
        let request = request().hires(hires);
        let mut run = pipeline.start(&request).unwrap();
        assert_eq!(run.step_count(), 3 + 5);
        let mut seen = Vec::new();
        while let Some(step) = run.next_step().unwrap() {
            assert_eq!(step.count, 3 + 5);
            seen.push(step.index);
        }
        assert_eq!(seen, (0..8).collect::<Vec<_>>());
        let small = pipeline.memory(&self::request()).unwrap();
        let large = pipeline.memory(&self::request().size(72, 56)).unwrap();
        let both = pipeline.memory(&request).unwrap();
        assert!(both.resident_bytes() >= large.resident_bytes());
        assert!(large.resident_bytes() > small.resident_bytes());
    }
}

#[test]
fn a_picture_of_two_passes_is_told_and_comes_again() {
    let pipeline = pipeline("tiny_bksdm");
    for (resize, upscaler) in [
        (HiresResize::Latent, "Latent"),
        (HiresResize::Lanczos, "Lanczos"),
    ] {
        let hires = Hires {
            scale: 1.7,
            strength: 0.6,
            steps: Some(2),
            resize,
        };
        let mut images = pipeline
            .generate(&request().batch_size(2).hires(hires))
            .unwrap();
        let second = images.remove(1);
        // 61.2×47.6, to multiples of 4.
        assert_eq!((second.width(), second.height()), (60, 48));
        let alone: Request = serde_json::from_str(second.text(REQUEST_KEYWORD).unwrap()).unwrap();
        assert_eq!(
            (alone.width, alone.height, alone.hires),
            (Some(36), Some(28), Some(hires))
        );
        let again = pipeline.generate(&alone).unwrap();
        assert!(
            again[0].difference(&second).unwrap().is_none(),
            "{resize:?}"
        );
        let parameters = second.text(PARAMETERS_KEYWORD).unwrap();
        for setting in [
            "Steps: 3",
            "Size: 36x28",
            "Denoising strength: 0.6, Hires upscale: 1.7, Hires steps: 2",
            &format!("Hires upscaler: {upscaler}"),
        ] {
            assert!(parameters.contains(setting), "{parameters}");
        }
        // What another program reads of it is the same pass.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let bare = Image::from_rgba(1, 1, vec![255; 4]).unwrap();
        bare.with_text(PARAMETERS_KEYWORD, parameters)
            .save(&path)
            .unwrap();
        let recipe = Recipe::read(&PngInfo::open(&path).unwrap()).unwrap();
        assert_eq!(recipe.request.hires, Some(hires));
        assert_eq!(recipe.warnings, [""; 0]);
    }
}

#[test]
fn every_programs_rules_and_windows_go_with_two_passes() {
    let pipeline = pipeline("tiny_bksdm");
    for preset in [Preset::A1111, Preset::ComfyUi, Preset::Diffusers] {
        let request = request()
            .preset(preset)
            .sampler("dpmpp_2m_sde")
            .hires(Hires::default());
        let tile = TileLatents {
            size_px: Some(64),
            overlap_px: None,
        };
        let mut run = pipeline.start(&request.tile_latents(tile)).unwrap();
        assert_eq!(run.step_count(), 6, "{preset:?}");
        while run.next_step().unwrap().is_some() {}
        assert_eq!(run.finish().unwrap()[0].width(), 72);
    }
}

#[test]
fn second_passes_that_cannot_be_are_refused_with_what_can() {
    let pipeline = pipeline("tiny_bksdm");
    let hires = Hires::default();
    let with_scale = |scale| request().hires(Hires { scale, ..hires });
    let with_strength = |strength| request().hires(Hires { strength, ..hires });
    let image = Image::from_rgba(4, 4, vec![9; 64]).unwrap();
    let transform = Task::ImageToImage {
        image: InputImage::from(image),
        strength: 0.5,
    };
    let mut own_sigmas = request().hires(hires);
    own_sigmas.sigmas = Some(vec![10.0, 1.0, 0.0]);
    for (request, expected) in [
        (
            with_scale(0.0),
            "hires: must be over 1 and at most 8, not 0",
        ),
        (with_scale(1.0), "hires: must be over 1"),
        (with_scale(-2.0), "hires: must be over 1"),
        (with_scale(f64::NAN), "not NaN"),
        (with_scale(f64::INFINITY), "not inf"),
        (with_scale(8.5), "at most 8"),
        (
            with_scale(8.0).size(4096, 64),
            "hires: makes the picture 32768×512",
        ),
        (
            with_strength(0.0),
            "hires_strength: must be over 0 and at most 1, not 0",
        ),
        (with_strength(1.1), "hires_strength: must be over 0"),
        (with_strength(f64::NAN), "hires_strength: must be over 0"),
        (
            request().hires(Hires {
                steps: Some(0),
                ..hires
            }),
            "hires_steps: must be at least 1",
        ),
        (
            request().hires(Hires {
                steps: Some(1000),
                ..hires
            }),
            "steps",
        ),
        (own_sigmas, "hires: does not go with sigmas"),
        (
            request().hires(hires).task(transform),
            "hires: does not go with a task",
        ),
    ] {
        let error = pipeline.memory(&request).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
