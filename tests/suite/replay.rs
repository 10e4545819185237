//! Pictures that say what made them: `inspect` tells it, `replay` does it again.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use aquatint::{Image, PARAMETERS_KEYWORD, REQUEST_KEYWORD};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{
    DEMO, QUICK, aquatint, assert_refused, device, files, run_within, stderr, stdout,
};

/// The CPU interpreter.
const REFERENCE: &[&str] = &["--device", "reference"];
/// The longest that a refusal may take, for a program that shares its machine with other tests.
const REFUSAL_LIMIT: Duration = Duration::from_secs(5);

/// Runs a verb in a folder; one that succeeds unless said otherwise.
fn run_in(folder: &Path, arguments: &[&[&str]]) -> Output {
    let output = aquatint()
        .current_dir(folder)
        .args(arguments.concat())
        .output();
    output.unwrap()
}

fn succeed(folder: &Path, arguments: &[&[&str]]) -> String {
    let output = run_in(folder, arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// A folder with a small picture, `a.png`, and those of the rest of its batch.
fn drawn(device: &[&str], more: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let draw = ["generate", "a slice of pizza", "-s", "7", "-o", "a.png"];
    succeed(folder.path(), &[&draw, &QUICK, device, more]);
    folder
}

/// The picture of a file, with its pixels, and only these texts.
fn retold(path: &Path, texts: &[(&str, &str)]) -> Image {
    let image = Image::open(path).unwrap();
    let (width, height) = (image.width(), image.height());
    let bare = Image::from_rgba(width, height, image.into_pixels()).unwrap();
    let add = |image: Image, (keyword, text): &(&str, &str)| image.with_text(keyword, text);
    texts.iter().fold(bare, add)
}

/// A picture of one pixel that says this under A1111's keyword.
fn saying(parameters: &str) -> (TempDir, &'static str) {
    let folder = TempDir::new().unwrap();
    let image = Image::from_rgba(1, 1, vec![255; 4]).unwrap();
    let image = image.with_text(PARAMETERS_KEYWORD, parameters);
    image.save(folder.path().join("a.png")).unwrap();
    (folder, "a.png")
}

#[test]
fn a_picture_made_here_is_made_again_to_the_last_bit() {
    for device in [device(), REFERENCE] {
        let ancestral = ["-n", "blurry", "--sampler", "euler_a", "--noise", "philox"];
        let folder = drawn(device, &ancestral);
        let replay: [&[&str]; 2] = [&["replay", "a.png", "--require-equal"], device];
        let said = succeed(folder.path(), &replay);
        assert_eq!(said, "aquatint-7.png\nidentical in all 4096 pixels\n");
        let again = Image::open(folder.path().join("aquatint-7.png")).unwrap();
        assert_eq!(again, Image::open(folder.path().join("a.png")).unwrap());
    }
}

#[test]
fn a_picture_of_a_batch_is_made_again_alone() {
    let folder = drawn(device(), &["-b", "2", "--sampler", "euler_a"]);
    let replay = ["replay", "a-1.png", "-q", "--require-equal", "-o", "b.png"];
    let said = succeed(folder.path(), &[&replay, device()]);
    assert_eq!(said, "b.png\nidentical in all 4096 pixels\n");
}

#[test]
fn a_picture_of_a_batch_that_was_drawn_together_is_made_again_alone() {
    let folder = drawn(
        device(),
        &["-b", "2", "--preset", "comfyui", "--sampler", "euler_a"],
    );
    let pixels = |name| Image::open(folder.path().join(name)).unwrap().into_pixels();
    assert_ne!(pixels("a.png"), pixels("a-1.png"));
    let replay = ["replay", "a-1.png", "-q", "--require-equal", "-o", "b.png"];
    let said = succeed(folder.path(), &[&replay, device()]);
    assert_eq!(said, "b.png\nidentical in all 4096 pixels\n");
}

#[test]
fn a_preset_is_what_its_parts_are() {
    let folder = drawn(device(), &["--preset", "a1111", "--sampler", "euler_a"]);
    let draw = ["generate", "a slice of pizza", "-s", "7", "-o", "b.png"];
    let parts = ["--noise", "philox", "--sigma-rules", "a1111"];
    let sampler = ["--sampler", "euler_a", "--prompt-style", "a1111"];
    succeed(folder.path(), &[&draw, &QUICK, &parts, &sampler, device()]);
    let open = |name| Image::open(folder.path().join(name)).unwrap();
    let difference = open("a.png").difference(&open("b.png")).unwrap();
    assert!(difference.is_none(), "{difference}");
}

#[test]
fn a_picture_is_made_again_from_the_text_that_a1111_writes() {
    let folder = drawn(device(), &["-n", "blurry", "--schedule", "karras"]);
    let path = folder.path().join("a.png");
    let image = Image::open(&path).unwrap();
    let parameters = image.text(PARAMETERS_KEYWORD).unwrap();
    let told = retold(&path, &[(PARAMETERS_KEYWORD, parameters)]);
    told.save_over(&path).unwrap();
    let replay = ["replay", "a.png", "-m", DEMO, "--require-equal"];
    let said = succeed(folder.path(), &[&replay, device()]);
    assert!(said.ends_with("identical in all 4096 pixels\n"), "{said}");
}

#[test]
fn a_difference_is_measured_and_is_a_failure_only_if_asked() {
    let folder = drawn(device(), &[]);
    let path = folder.path().join("a.png");
    let request = Image::open(&path).unwrap();
    let request = request.text(REQUEST_KEYWORD).unwrap().to_owned();
    let image = retold(&path, &[]);
    let (width, height) = (image.width(), image.height());
    let mut pixels = image.into_pixels();
    pixels[0] = pixels[0].wrapping_add(16);
    let parameters = "Steps: 2, Model: tiny-emoji-sd, Seed: 7, CFG scale: 1";
    let touched = Image::from_rgba(width, height, pixels).unwrap();
    let touched = touched.with_text(PARAMETERS_KEYWORD, parameters);
    let touched = touched.with_text(REQUEST_KEYWORD, &request);
    touched.save_over(&path).unwrap();

    let json = succeed(folder.path(), &[&["replay", "a.png", "--json"], device()]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["difference"]["differing_pixels"], 1);
    assert_eq!(report["path"], "aquatint-7.png");
    assert_eq!(report["recipe"]["program"], "aquatint");
    let equal = ["replay", "a.png", "--require-equal"];
    let output = run_in(folder.path(), &[&equal, device()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("different: 1 of 4096 pixels"));
    assert!(stderr(&output).contains("error: --require-equal: different"));
    assert_eq!(
        files(folder.path()),
        ["a.png", "aquatint-7-1.png", "aquatint-7.png"]
    );
}

#[test]
fn pixels_that_cannot_be_compared_are_no_reason_not_to_draw() {
    let folder = drawn(device(), &[]);
    let path = folder.path().join("a.png");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let said = succeed(folder.path(), &[&["replay", "a.png"], device()]);
    assert!(said.starts_with("aquatint-7.png\nnot compared: "), "{said}");
}

#[test]
fn inspect_tells_what_made_a_picture() {
    let folder = drawn(device(), &["-n", "blurry"]);
    let said = succeed(folder.path(), &[&["inspect", "a.png"]]);
    for line in [
        "a.png (PNG, 64×64)",
        "made by          aquatint ",
        "model            tiny-emoji-sd",
        "prompt           a slice of pizza",
        "negative_prompt  blurry",
        "seed             7",
        "steps            2",
    ] {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
    let json = succeed(folder.path(), &[&["inspect", "a.png", "--json"]]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["recipe"]["request"]["prompt"], "a slice of pizza");
    assert_eq!(report["recipe"]["model"], "tiny-emoji-sd");
    assert!(report["texts"][PARAMETERS_KEYWORD].is_string());
    let output = run_in(folder.path(), &[&["inspect", "a.png", "--tensors"]]);
    assert_refused(&output, 2, &["a.png", "picture"]);
}

#[test]
fn a_picture_is_told_from_a_model_by_its_content() {
    let folder = drawn(device(), &[]);
    let disguised = folder.path().join("a.safetensors");
    fs::rename(folder.path().join("a.png"), &disguised).unwrap();
    let said = succeed(folder.path(), &[&["inspect", "a.safetensors"]]);
    assert!(said.contains("made by"), "{said}");
    fs::copy(DEMO, folder.path().join("b.png")).unwrap();
    let said = succeed(folder.path(), &[&["inspect", "b.png"]]);
    assert!(said.contains("family"), "{said}");
}

#[test]
fn a_picture_that_does_not_say_is_described_but_not_made_again() {
    let folder = TempDir::new().unwrap();
    let image = Image::from_rgba(1, 1, vec![255; 4]).unwrap();
    image.save(folder.path().join("a.png")).unwrap();
    let said = succeed(folder.path(), &[&["inspect", "a.png"]]);
    assert!(said.contains("a.png (PNG, 1×1)\nno recipe"), "{said}");
    let output = run_in(folder.path(), &[&["replay", "a.png"], device()]);
    assert_refused(&output, 1, &["a.png", "does not say what made it"]);
}

#[test]
fn a_model_that_is_not_at_hand_is_named() {
    let settings = "a cat\nSteps: 2, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64";
    let parameters = format!("{settings}, Model hash: 6ce0161689, Model: v1-5-pruned-emaonly");
    let (folder, picture) = saying(&parameters);
    let output = run_in(folder.path(), &[&["replay", picture]]);
    let words = ["model", "v1-5-pruned-emaonly", "6ce0161689", "-m MODEL"];
    assert_refused(&output, 2, &words);
    let (folder, picture) = saying(settings);
    let output = run_in(folder.path(), &[&["replay", picture]]);
    assert_refused(&output, 2, &["does not name", "-m MODEL"]);
}

#[test]
fn a_file_that_a_picture_names_is_not_opened() {
    let folder = TempDir::new().unwrap();
    let noise = folder.path().join("noise.safetensors");
    let request = serde_json::json!({"prompt": "a cat", "noise": {"recorded": noise}});
    let image = Image::from_rgba(1, 1, vec![255; 4]).unwrap();
    let image = image.with_text(REQUEST_KEYWORD, &request.to_string());
    image.save(folder.path().join("a.png")).unwrap();
    let output = run_in(folder.path(), &[&["replay", "a.png", "-m", DEMO]]);
    assert_refused(&output, 2, &["noise", "a.png", "--noise"]);
}

#[test]
fn settings_out_of_range_are_refused_by_their_name() {
    for (field, settings) in [
        ("steps", "Steps: 0, CFG scale: 7, Seed: 1"),
        ("steps", "Steps: 1000000, CFG scale: 7, Seed: 1"),
        ("guidance_scale", "Steps: 2, CFG scale: inf, Seed: 1"),
        ("guidance_scale", "Steps: 2, CFG scale: -1, Seed: 1"),
        ("width", "Steps: 2, Seed: 1, Size: 1000000000x64"),
        ("width", "Steps: 2, Seed: 1, Size: 7x64"),
        ("height", "Steps: 2, Seed: 1, Size: 64x0"),
    ] {
        let (folder, picture) = saying(settings);
        let mut command = aquatint();
        command.current_dir(folder.path());
        command.args(["replay", picture, "-m", DEMO]).args(device());
        let output = run_within(REFUSAL_LIMIT, &mut command);
        assert_refused(&output, 2, &[field]);
        assert_eq!(files(folder.path()), ["a.png"]);
    }
}

#[test]
fn settings_that_cannot_be_followed_are_warnings() {
    let (folder, picture) = saying(
        "a cat\nSteps: 2, Sampler: Sorcery, CFG scale: 1, Seed: 1, Size: 64x64, Tiling: True",
    );
    let output = run_in(folder.path(), &[&["replay", picture, "-m", DEMO], device()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: not known here, so the default is taken: Sampler"));
    assert!(stderr(&output).contains("left out: Tiling \"True\""));
    assert!(stdout(&output).contains("not compared: image: 1×1 and 64×64"));
}

#[test]
fn what_is_no_picture_is_refused_soon() {
    let folder = TempDir::new().unwrap();
    let header = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\x01\x86\xa0\0\x01\x86\xa0";
    fs::write(folder.path().join("huge.png"), header).unwrap();
    fs::write(folder.path().join("page.png"), "<!DOCTYPE html>").unwrap();
    fs::write(folder.path().join("empty.png"), "").unwrap();
    fs::create_dir(folder.path().join("folder.png")).unwrap();
    for name in [
        "huge.png",
        "page.png",
        "empty.png",
        "folder.png",
        "none.png",
    ] {
        let mut command = aquatint();
        command.current_dir(folder.path()).args(["replay", name]);
        assert_refused(&run_within(REFUSAL_LIMIT, &mut command), 1, &[name]);
    }
}
