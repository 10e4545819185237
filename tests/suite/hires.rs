//! Pictures that are drawn, enlarged and drawn again: against torch (`tests/golden/hires.py`), and what is
//! known before and told after.

use crate::device;
use crate::goldens::{F32_PSNR, Golden, pipeline, traced};
use crate::program::{DEMO, QUICK, aquatint, assert_refused, device, files, stderr, stdout};
use crate::tiny_upscaler::nearest_neighbours;
use aquatint::{
    Error, Hires, HiresResize, Image, InputImage, LoadOptions, PARAMETERS_KEYWORD, Pipeline,
    PngInfo, Precision, Preset, REQUEST_KEYWORD, Recipe, Request, Residence, ResizeMode, Task,
    TileLatents, Upscaler,
};
use std::fs;

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
        assert_eq!(pipeline.step_count(&request).unwrap(), 3 + 5);
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

/// A picture with every pixel so many times as wide and high.
fn repeated(image: &Image, times: usize) -> Image {
    let [width, height] = [times * image.width(), times * image.height()];
    let places = (0..height).flat_map(|y| (0..width).map(move |x| [y / times, x / times]));
    let pixels = places.flat_map(|[y, x]| {
        let start = 4 * (y * image.width() + x);
        image.pixels()[start..start + 4].to_vec()
    });
    Image::from_rgba(width, height, pixels.collect()).unwrap()
}

/// A second pass from a network's picture.
fn by_network(scale: f64) -> Hires {
    Hires {
        scale,
        strength: 0.6,
        steps: Some(3), // the last ones of int(3 / 0.6) = 5
        resize: HiresResize::Network,
    }
}

#[test]
fn a_second_pass_from_a_networks_picture_is_a_transform_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let network = nearest_neighbours(folder.path());
    let upscaler = Upscaler::open(device::best(), &network).unwrap();
    let pipeline = pipeline("tiny_bksdm").with_upscaler(upscaler).unwrap();
    let first = pipeline.generate(&request()).unwrap().remove(0);
    // The network doubles: once, once and smaller again, twice and smaller again.
    for (scale, times, [width, height]) in [
        (2.0, 2, [72, 56]),
        (1.5, 2, [56, 44]), // 54×42, to multiples of 4
        (3.0, 4, [108, 84]),
    ] {
        let hires = by_network(scale);
        let found = pipeline.generate(&request().hires(hires)).unwrap();
        let enlarged = repeated(&first, times);
        let enlarged = enlarged
            .resized(width, height, ResizeMode::Stretch)
            .unwrap();
        let transform = Task::ImageToImage {
            image: InputImage::from(enlarged),
            strength: hires.strength,
        };
        let request = request().size(width, height).steps(5).task(transform);
        let expected = pipeline.generate(&request).unwrap();
        let difference = found[0].difference(&expected[0]).unwrap();
        assert!(difference.is_none(), "{scale}: {difference}");
    }
}

#[test]
fn a_run_that_was_kept_asks_for_its_network_and_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let network = nearest_neighbours(folder.path());
    let load = || {
        let upscaler = Upscaler::open(device::best(), &network).unwrap();
        pipeline("tiny_bksdm").with_upscaler(upscaler).unwrap()
    };
    let request = request().hires(by_network(2.0));
    let mut run = load().start(&request).unwrap();
    run.next_step().unwrap();
    let kept = run.checkpoint().unwrap();
    let pictures = load().resume(&kept).unwrap().finish().unwrap();
    assert!(pictures == run.finish().unwrap());
    let refusal = pipeline("tiny_bksdm").resume(&kept).unwrap_err();
    assert!(refusal.to_string().contains("there is none"), "{refusal}");
}

#[test]
fn a_network_between_passes_is_counted_told_and_takes_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let network = nearest_neighbours(folder.path());
    let open = || Upscaler::open(device::best(), &network).unwrap();
    let pipeline = pipeline("tiny_bksdm");
    let request = request().hires(by_network(2.0));
    let refusal = pipeline.memory(&request).unwrap_err().to_string();
    assert!(refusal.contains("hires_resize: is an upscaling network, but there is none"));

    let model = pipeline.model().clone();
    let pipeline = pipeline.with_upscaler(open()).unwrap();
    let picture = pipeline.generate(&request).unwrap().remove(0);
    let parameters = picture.text(PARAMETERS_KEYWORD).unwrap();
    assert!(
        parameters.contains("Hires upscaler: nearest"),
        "{parameters}"
    );

    let first = pipeline.memory(&self::request()).unwrap();
    let limited = |vram_bytes| {
        let limit = LoadOptions {
            vram_bytes,
            ..LoadOptions::default()
        };
        let narrow = Pipeline::with_options(device::best(), model.clone(), &limit, &mut |_| ());
        narrow.unwrap().with_upscaler(open()).unwrap()
    };
    let refusal = limited(Some(1)).memory(&request).unwrap_err().to_string();
    assert!(refusal.contains(", upscaler 1 MiB)"), "{refusal}");
    let narrow = limited(Some(first.total_bytes() - 1));
    let in_turn = narrow.generate(&request).unwrap();
    assert_eq!(
        narrow.memory(&request).unwrap().residence,
        Residence::InTurn
    );
    assert!(in_turn[0].difference(&picture).unwrap().is_none());
}

#[test]
fn names_of_networks_in_pictures_are_told_from_those_of_filters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let settings = "a cat\nSteps: 2, Size: 64x64, Denoising strength: 0.5, Hires upscale: 2";
    let network = (HiresResize::Network, Some("R-ESRGAN 4x+"), 0);
    for (name, (resize, upscaler, warnings)) in [
        ("R-ESRGAN 4x+", network),
        ("Latent", (HiresResize::Latent, None, 0)),
        ("Lanczos", (HiresResize::Lanczos, None, 0)),
        ("Latent (nearest-exact)", (HiresResize::Latent, None, 1)),
        ("None", (HiresResize::Latent, None, 1)),
    ] {
        let image = Image::from_rgba(1, 1, vec![255; 4]).unwrap();
        let parameters = format!("{settings}, Hires upscaler: {name}");
        let image = image.with_text(PARAMETERS_KEYWORD, &parameters);
        image.save_over(&path).unwrap();
        let recipe = Recipe::read(&PngInfo::open(&path).unwrap()).unwrap();
        assert_eq!(recipe.request.hires.unwrap().resize, resize, "{name}");
        assert_eq!(recipe.hires_upscaler.as_deref(), upscaler, "{name}");
        assert_eq!(recipe.warnings.len(), warnings, "{:?}", recipe.warnings);
    }
}

#[test]
fn the_program_enlarges_by_a_network_between_passes_and_does_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models/upscale_models");
    fs::create_dir_all(&models).unwrap();
    nearest_neighbours(&models);
    fs::write(
        folder.path().join("a.pth"),
        b"\x80\x02}q\x00X\x05\x00\x00\x00modelq\x01.",
    )
    .unwrap();
    let run = |arguments: &[&[&str]]| {
        let mut command = aquatint();
        command.current_dir(folder.path()).args(arguments.concat());
        let command = command.env("AQUATINT_MODELS", folder.path().join("models"));
        command.args(device()).output().unwrap()
    };
    let generate = ["generate", "a slice of pizza", "-s", "3", "-o", "a.png"];
    let hires = ["--hires", "1.5", "--hires-steps", "2"];
    let by = |network| run(&[&generate, &QUICK, &hires, &["--hires-upscaler", network]]);
    for (network, code, words) in [
        ("a.pth", 1, ["a.pth", "code"]),
        (DEMO, 1, ["tiny-emoji-sd", "give an upscaler"]),
        ("none.safetensors", 1, ["none.safetensors", "no such file"]),
        ("nearst", 2, ["unknown model", "nearest"]),
    ] {
        assert_refused(&by(network), code, &words);
    }
    let both = ["--hires-upscaler", "nearest", "--hires-resize", "lanczos"];
    assert_refused(
        &run(&[&generate, &hires, &both]),
        2,
        &["--hires-upscaler", "--hires-resize"],
    );
    assert_eq!(files(folder.path()), ["a.pth", "models"]);

    let drawn = by("Nearest");
    assert_eq!(stdout(&drawn).trim(), "a.png", "{}", stderr(&drawn));
    assert_eq!(
        Image::open(folder.path().join("a.png")).unwrap().width(),
        96
    );
    let replay = ["replay", "a.png", "--require-equal", "-o", "b.png"];
    let again = run(&[&replay]);
    assert!(again.status.success(), "{}", stderr(&again));
    let named = run(&[&replay, &["--hires-upscaler", "Nearest"]]);
    assert!(named.status.success(), "{}", stderr(&named));
    assert!(!stderr(&named).contains("warning"), "{}", stderr(&named));
    let lanczos = ["-o", "c.png", "--hires-resize", "lanczos"];
    let other = run(&[&generate[..4], &QUICK, &hires, &lanczos]);
    assert_eq!(stdout(&other).trim(), "c.png", "{}", stderr(&other));
    let refused = run(&[&["replay", "c.png", "--hires-upscaler", "nearest"]]);
    assert_refused(&refused, 2, &["hires_upscaler", "no network", "c.png"]);
    let gone = folder.path().join("models/elsewhere.safetensors");
    fs::rename(models.join("nearest.safetensors"), &gone).unwrap();
    let lacking = ["hires_upscaler", "\"nearest\"", "--hires-upscaler MODEL"];
    assert_refused(&run(&[&replay]), 2, &lacking);
    let given = run(&[&replay, &["--hires-upscaler", gone.to_str().unwrap()]]);
    assert!(given.status.success(), "{}", stderr(&given));
    assert!(stderr(&given).contains("warning: the picture names the upscaler \"nearest\""));
}

#[test]
fn a_refiner_ends_the_second_pass_alone() {
    let request = Request::new("a row of houses")
        .size(32, 32)
        .steps(4)
        .seed(4);
    let request = request
        .precision(Precision::F32)
        .sampler("euler")
        .hires(Hires::default());
    let traced = |refiner: Option<&str>| {
        let alone = pipeline("tiny_xl");
        let pipeline = match refiner {
            Some(refiner) => alone.with_refiner(pipeline(refiner)).unwrap(),
            None => alone,
        };
        let (images, trace) = pipeline
            .start_traced(&request)
            .unwrap()
            .finish_traced()
            .unwrap();
        let latents = |i| {
            trace
                .values(&format!("step.{i:03}.latents"))
                .map(|(_, values)| values)
        };
        let parameters = images[0].text(PARAMETERS_KEYWORD).unwrap().to_owned();
        ((0..).map_while(latents).collect::<Vec<_>>(), parameters)
    };
    let (alone, parameters) = traced(None);
    assert!(!parameters.contains("Refiner"));
    // The model itself as a refiner changes nothing: the hand-over is from one size to the same.
    assert!(traced(Some("tiny_xl")).0 == alone);
    let (refined, parameters) = traced(Some("tiny_refiner"));
    assert!(
        parameters.contains("Refiner switch at: 0.8"),
        "{parameters}"
    );
    // The second pass lays int(4 / 0.7) = 5 steps, from timestep 800 on at the latest; the last one is below 200.
    assert_eq!([alone.len(), refined.len()], [8, 8]);
    assert!(refined[..7] == alone[..7] && refined[7] != alone[7]);
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
