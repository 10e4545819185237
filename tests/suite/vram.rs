//! Limits on the device's memory: the same pictures, by parts in turn, or a refusal.

use aquatint::{
    Device, Error, Image, LoadOptions, Memory, Model, Pipeline, Precision, Request, Residence,
};

use std::path::Path;

use crate::device;
use crate::program::{QUICK, run, stderr};

fn request() -> Request {
    Request::new("a slice of pizza")
        .negative("blurry")
        .size(64, 64)
        .steps(2)
        .seed(9)
        .sampler("euler_ancestral")
        .batch_size(2)
}

/// The demo model under a limit.
fn limited(device: &Device, limit: u64) -> Pipeline {
    let options = LoadOptions {
        vram_bytes: Some(limit),
        ..LoadOptions::default()
    };
    Pipeline::with_options(device, Model::demo().unwrap(), &options, &mut |_| ()).unwrap()
}

fn pixels(images: &[Image]) -> Vec<&[u8]> {
    images.iter().map(Image::pixels).collect()
}

/// The least signal to noise in dB at which differences are not seen side by side.
const LEAST_PSNR: f64 = 38.0;

/// The request that a picture carries.
fn text(images: &[Image]) -> Option<&str> {
    images[0].text(aquatint::REQUEST_KEYWORD)
}

/// What the largest part of a request takes.
fn largest_part(memory: &Memory) -> u64 {
    let parts = memory.parts.iter();
    parts.map(|part| part.total_bytes()).max().unwrap()
}

/// What is drawn under the lowest limit is what is drawn under none, twice, whatever was there before.
fn assert_same_under_a_limit(device: &Device, request: &Request) {
    let free = Pipeline::new(device, Model::demo().unwrap()).unwrap();
    let memory = free.memory(request).unwrap();
    assert_eq!(memory.residence, Residence::Together);
    let limited = limited(device, largest_part(&memory));
    let in_turn = limited.memory(request).unwrap();
    assert_eq!(in_turn.residence, Residence::InTurn);
    assert_eq!(in_turn.resident_bytes(), largest_part(&memory));

    let expected = free.generate(request).unwrap();
    for _ in 0..2 {
        let found = limited.generate(request).unwrap();
        assert!(pixels(&found) == pixels(&expected), "the pictures differ");
    }
}

#[test]
fn parts_in_turn_draw_the_same_picture_byte_for_byte() {
    assert_same_under_a_limit(device::best(), &request());
}

#[test]
fn the_interpreter_takes_turns_as_devices_do() {
    let request = request().size(32, 32).steps(1).batch_size(1);
    assert_same_under_a_limit(&Device::reference(), &request);
}

#[test]
fn one_pipeline_changes_between_parts_together_and_in_turn() {
    let (small, large) = (request(), request().size(96, 96).precision(Precision::F32));
    let free = Pipeline::new(device::best(), Model::demo().unwrap()).unwrap();
    let limit = free.memory(&small).unwrap().total_bytes();
    let limited = limited(device::best(), limit);
    let expected = [&small, &large].map(|request| free.generate(request).unwrap());
    for _ in 0..2 {
        for (request, expected) in [&small, &large].into_iter().zip(&expected) {
            let found = limited.generate(request).unwrap();
            assert!(pixels(&found) == pixels(expected), "the pictures differ");
        }
    }
    let residence = |request| limited.memory(request).unwrap().residence;
    assert_eq!(residence(&small), Residence::Together);
    assert_eq!(residence(&large), Residence::InTurn);
}

#[test]
fn a_base_and_its_refiner_take_turns() {
    let open = |name: &str| {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/models");
        Model::open(models.join(format!("{name}.safetensors"))).unwrap()
    };
    let refined = |limit| {
        let options = LoadOptions {
            vram_bytes: limit,
            ..LoadOptions::default()
        };
        let [base, refiner] = ["tiny_xl", "tiny_refiner"].map(|name| {
            Pipeline::with_options(device::best(), open(name), &options, &mut |_| ()).unwrap()
        });
        base.with_refiner(refiner).unwrap()
    };
    let request = Request::new("an old ship").size(36, 28).steps(4).seed(3);
    let free = refined(None);
    let memory = free.memory(&request).unwrap();
    let names: Vec<&str> = memory.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names[..2], ["text_encoder", "unet"]);
    assert_eq!(names[3..5], ["refiner.text_encoder", "refiner.unet"]);
    let limited = refined(Some(largest_part(&memory)));
    let residence = limited.memory(&request).unwrap().residence;
    assert_eq!(residence, Residence::InTurn);
    let expected = free.generate(&request).unwrap();
    for _ in 0..2 {
        let found = limited.generate(&request).unwrap();
        assert!(pixels(&found) == pixels(&expected), "the pictures differ");
    }
}

#[test]
fn a_trace_of_parts_in_turn_says_the_same() {
    let free = Pipeline::new(device::best(), Model::demo().unwrap()).unwrap();
    let limited = limited(
        device::best(),
        largest_part(&free.memory(&request()).unwrap()),
    );
    let [expected, found] = [&free, &limited].map(|pipeline| {
        let run = pipeline.start_traced(&request()).unwrap();
        run.finish_traced().unwrap().1
    });
    assert!(expected.names().any(|name| name == "decoded"));
    assert!(found.names().eq(expected.names()));
    for name in expected.names() {
        let same = found.values(name) == expected.values(name);
        assert!(same && found.ids(name) == expected.ids(name), "{name}");
    }
}

/// A size at which the decoder takes more than the rest.
fn large() -> Request {
    Request::new("a fox")
        .size(256, 192)
        .steps(1)
        .guidance_scale(1.0)
        .seed(1)
        .precision(Precision::F32)
}

/// 10·log10(255² / mean squared difference)
fn psnr(a: &[Image], b: &[Image]) -> f64 {
    let pairs = a[0].pixels().iter().zip(b[0].pixels());
    let squares = pairs.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / a[0].pixels().len() as f64;
    10.0 * (255.0_f64.powi(2) / mean).log10()
}

#[test]
fn a_decoder_that_does_not_fit_works_in_tiles() {
    let free = Pipeline::new(device::best(), Model::demo().unwrap()).unwrap();
    let whole = free.memory(&large()).unwrap();
    let limit = largest_part(&whole) - 1;
    assert_eq!(whole.parts[2].total_bytes(), limit + 1, "{whole:?}");
    let limited = limited(device::best(), limit);
    let memory = limited.memory(&large()).unwrap();
    assert!(memory.resident_bytes() <= limit);
    let names: Vec<&str> = memory.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names[2..], ["vae_decoder", "vae_decoder.tile"]);

    let run = limited.start(&large()).unwrap();
    let warning = run.warnings().last().expect("it says so");
    assert!(warning.contains("in tiles of"), "{warning}");
    let mut heard = Vec::new();
    let found = run
        .finish_with_progress(&mut |tiles| heard.push((tiles.done, tiles.count)))
        .unwrap();
    let count = heard.len();
    assert!(count > 1);
    assert!(heard.into_iter().eq((1..=count).map(|done| (done, count))));
    let expected = free.generate(&large()).unwrap();
    let psnr = psnr(&found, &expected);
    assert!(psnr > LEAST_PSNR, "{psnr:.1} dB");
    // Nobody asked for tiles: where there is room, the picture is made again without.
    assert_eq!(text(&found), text(&expected));
}

#[test]
fn tiles_that_are_asked_for_are_part_of_the_request() {
    let pipeline = Pipeline::new(device::best(), Model::demo().unwrap()).unwrap();
    let request = large().size(136, 72).vae_tile(64);
    let expected = pipeline.generate(&large().size(136, 72)).unwrap();
    let found = pipeline.generate(&request).unwrap();
    assert!(pixels(&found) != pixels(&expected));
    assert!(text(&found) != text(&expected));
    assert!(pixels(&pipeline.generate(&request).unwrap()) == pixels(&found));
    // A tile that holds all of it changes nothing.
    let whole = pipeline.generate(&request.vae_tile(136)).unwrap();
    assert!(pixels(&whole) == pixels(&expected));
    for side in [56, 100] {
        let error = pipeline.generate(&large().vae_tile(side)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("vae_tile: must be a multiple of 8"),
            "{message}"
        );
    }
}

#[test]
fn a_part_that_does_not_fit_is_refused_before_anything_runs() {
    let pipeline = limited(device::best(), 1_000_000);
    let error = pipeline.generate(&request()).unwrap_err();
    assert!(matches!(
        error,
        Error::OutOfMemory {
            available_bytes: Some(1_000_000),
            ..
        }
    ));
    let message = error.to_string();
    for part in ["text_encoder", "unet", "vae_decoder"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_program_draws_within_a_limit_and_says_what_is_too_low() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.png");
    let draw = |limit: &str| {
        let flags = ["--vram", limit, "-o", output.to_str().unwrap()];
        run(&[&["a fox"][..], &QUICK, crate::program::device(), &flags].concat())
    };
    let refused = draw("2MB");
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("MiB needed, 2 MiB at most"),
        "{}",
        stderr(&refused)
    );
    let wrong = draw("much");
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
    assert!(!output.exists());

    let needed = Pipeline::new(device::best(), Model::demo().unwrap()).unwrap();
    let request = Request::new("a fox").size(64, 64).steps(2);
    let needed = largest_part(&needed.memory(&request).unwrap());
    let drawn = draw(&format!("{needed}B"));
    assert!(drawn.status.success(), "{}", stderr(&drawn));
    assert!(
        stderr(&drawn).contains("parts in turn"),
        "{}",
        stderr(&drawn)
    );
    assert!(output.exists());
}

#[test]
fn a_batch_that_does_not_fit_is_made_one_picture_after_another() {
    let device = device::best();
    let free = Pipeline::new(device, Model::demo().unwrap()).unwrap();
    let request = request().size(96, 96).batch_size(3);
    let one = free.memory(&request.clone().batch_size(1)).unwrap();
    let limited = limited(device, largest_part(&one));
    assert!(matches!(
        limited.start(&request),
        Err(Error::OutOfMemory { .. })
    ));
    assert_eq!(limited.in_turn(&request).unwrap().len(), 3);
    let (found, expected) = (limited.generate(&request), free.generate(&request));
    let (found, expected) = (found.unwrap(), expected.unwrap());
    assert!(pixels(&found) == pixels(&expected), "the pictures differ");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.seed(), expected.seed());
    }

    let too_large = request.size(512, 512);
    let refusal = limited.generate(&too_large).unwrap_err();
    assert!(matches!(refusal, Error::OutOfMemory { .. }), "{refusal}");
}
