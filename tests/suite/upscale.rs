//! Pictures enlarged by a network.

use std::fs;
use std::path::Path;
use std::process::Output;

use aquatint::Image;
use tempfile::TempDir;

use crate::program::{DEMO, aquatint, assert_refused, device, files, stdout};
use crate::tiny_upscaler::nearest_neighbours;

/// A picture whose neighbouring pixels differ.
fn picture(path: &Path, width: usize, height: usize) -> Image {
    let bytes = (0..251).cycle().take(width * height * 4);
    let image = Image::from_rgba(width, height, bytes.collect()).unwrap();
    image.save(path).unwrap();
    image
}

fn upscale(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = aquatint();
    command.current_dir(folder).arg("upscale").args(arguments);
    command.args(device()).output().unwrap()
}

#[test]
fn a_picture_of_several_tiles_is_enlarged_without_seams() {
    let folder = TempDir::new().unwrap();
    let model = nearest_neighbours(folder.path());
    let (width, height) = (75, 41);
    let image = picture(&folder.path().join("in.png"), width, height);
    let model = model.to_str().unwrap();
    let output = upscale(folder.path(), &["in.png", "-u", model, "--tile", "32"]);
    assert_eq!(stdout(&output).trim(), "in-2x.png", "{output:?}");
    let large = Image::open(folder.path().join("in-2x.png")).unwrap();
    assert_eq!((large.width(), large.height()), (2 * width, 2 * height));
    for (at, pixel) in large.pixels().chunks_exact(4).enumerate() {
        let (row, column) = (at / (2 * width) / 2, at % (2 * width) / 2);
        let from = (row * width + column) * 4;
        assert_eq!(pixel, &image.pixels()[from..from + 4], "pixel {at}");
    }
}

#[test]
fn a_smaller_factor_than_the_networks_makes_a_smaller_picture() {
    let folder = TempDir::new().unwrap();
    let model = nearest_neighbours(folder.path());
    picture(&folder.path().join("in.png"), 30, 21);
    let model = model.to_str().unwrap();
    let output = upscale(folder.path(), &["in.png", "-u", model, "--scale", "1.5"]);
    assert_eq!(stdout(&output).trim(), "in-1.5x.png", "{output:?}");
    let large = Image::open(folder.path().join("in-1.5x.png")).unwrap();
    assert_eq!((large.width(), large.height()), (45, 32));
}

#[test]
fn an_upscaler_is_listed_and_found_by_name() {
    let folder = TempDir::new().unwrap();
    let models = folder.path().join("models/upscale_models");
    fs::create_dir_all(&models).unwrap();
    nearest_neighbours(&models);
    picture(&folder.path().join("in.png"), 3, 2);
    let ask = |arguments: &[&str]| {
        let mut command = aquatint();
        command.current_dir(folder.path()).args(arguments);
        let command = command.env("AQUATINT_MODELS", folder.path().join("models"));
        command.output().unwrap()
    };
    let listed = ask(&["models"]);
    let line = stdout(&listed);
    assert!(
        line.contains("nearest") && line.contains("upscale"),
        "{line}"
    );
    let mut arguments = vec!["upscale", "in.png", "-u", "Nearest", "-o", "out.png"];
    arguments.extend(device());
    assert_eq!(stdout(&ask(&arguments)).trim(), "out.png");
    assert_refused(
        &ask(&["upscale", "in.png", "-u", "nearst"]),
        2,
        &["unknown model", "nearest"],
    );
}

#[test]
fn what_cannot_be_enlarged_is_refused_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = nearest_neighbours(folder.path());
    let model = model.to_str().unwrap();
    picture(&at("in.png"), 8, 8);
    fs::write(at("text.png"), "no picture").unwrap();
    fs::write(
        at("pickle.pth"),
        b"\x80\x02}q\x00X\x05\x00\x00\x00modelq\x01.",
    )
    .unwrap();
    let before = files(folder.path());
    for (arguments, code, words) in [
        (
            ["in.png", "-u", model, "--tile", "31"],
            2,
            ["tile", "at least 32"],
        ),
        (
            ["in.png", "-u", model, "--scale", "2.5"],
            2,
            ["scale", "at most 2"],
        ),
        (
            ["text.png", "-u", model, "--tile", "64"],
            1,
            ["text.png", "PNG"],
        ),
        (
            ["in.png", "-u", "pickle.pth", "--tile", "64"],
            1,
            ["pickle.pth", "code"],
        ),
        (
            ["in.png", "-u", DEMO, "--tile", "64"],
            1,
            ["tiny-emoji-sd", "give an upscaler"],
        ),
        (
            ["in.png", "-u", "none.safetensors", "--tile", "64"],
            1,
            ["none.safetensors", "no such file"],
        ),
    ] {
        assert_refused(&upscale(folder.path(), &arguments), code, &words);
    }
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_prompt_draws_details_in_windows_and_the_picture_comes_again() {
    let folder = TempDir::new().unwrap();
    picture(&folder.path().join("in.png"), 61, 44);
    let quick = ["--steps", "6", "-s", "3", "--tile-latents=64", "-q"];
    let model = ["-m", DEMO, "--scale", "2.5"];
    let prompt = ["in.png", "a slice of pizza"];
    let output = upscale(folder.path(), &[&prompt[..], &model, &quick].concat());
    assert_eq!(stdout(&output).trim(), "in-2.5x.png", "{output:?}");
    // 152.5×110, to multiples of 8.
    let large = Image::open(folder.path().join("in-2.5x.png")).unwrap();
    assert_eq!((large.width(), large.height()), (152, 112));
    let mut replay = aquatint();
    replay
        .current_dir(folder.path())
        .args(["replay", "in-2.5x.png", "--require-equal"]);
    let replay = replay
        .args(["--image", "in.png", "-m", DEMO])
        .args(device());
    let output = replay.output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let network = nearest_neighbours(folder.path());
    let network = ["-u", network.to_str().unwrap(), "-o", "both.png"];
    let output = upscale(
        folder.path(),
        &[&prompt[..], &["-m", DEMO], &quick, &network].concat(),
    );
    assert_eq!(stdout(&output).trim(), "both.png", "{output:?}");
    let large = Image::open(folder.path().join("both.png")).unwrap();
    assert_eq!((large.width(), large.height()), (120, 88));
}

#[test]
fn what_a_network_and_a_prompt_made_comes_again_from_what_the_network_makes() {
    let folder = TempDir::new().unwrap();
    picture(&folder.path().join("in.png"), 40, 32);
    let network = nearest_neighbours(folder.path());
    let network = ["in.png", "-u", network.to_str().unwrap(), "--scale", "1.6"];
    let prompt = ["a slice of pizza", "--steps", "3", "-s", "3", "-o", "a.png"];
    let output = upscale(folder.path(), &[&network[..], &prompt].concat());
    assert_eq!(stdout(&output).trim(), "a.png", "{output:?}");
    let replay = |more: &[&str]| {
        let all = [&["replay", "a.png", "--require-equal", "-o", "b.png"], more];
        let mut command = aquatint();
        command.current_dir(folder.path()).args(all.concat());
        command.args(device()).output().unwrap()
    };
    let words = ["made from in-1.6x.png (64×51", "--image"];
    assert_refused(&replay(&["--image", "in.png"]), 2, &words);
    let output = upscale(folder.path(), &network);
    assert_eq!(stdout(&output).trim(), "in-1.6x.png", "{output:?}");
    let output = replay(&["--image", "in-1.6x.png"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_a_prompt_cannot_enlarge_is_refused() {
    let folder = TempDir::new().unwrap();
    picture(&folder.path().join("in.png"), 16, 16);
    for (arguments, expected) in [
        (
            &["in.png", "a cat", "--scale", "0"][..],
            "scale: must be over 0",
        ),
        (&["in.png", "a cat", "--scale", "nan"], "scale"),
        (
            &["in.png", "a cat", "--scale", "1e9"],
            "must be 1 to 8192 pixels",
        ),
        (
            &["in.png", "a cat", "--strength", "1.5"],
            "strength: must be over 0",
        ),
        (
            &["in.png", "a cat", "--tile-latents=32"],
            "tile_latents: must be at least 64",
        ),
        (&["in.png"], "<PROMPT>"),
        (
            &["in.png", "-u", "x", "--steps", "3"],
            "--steps: means nothing without a prompt",
        ),
        (
            &["in.png", "-u", "x", "-s", "0"],
            "--seed: means nothing without a prompt",
        ),
        (
            &["in.png", "-u", "x", "--variations", "2"],
            "--variations: means nothing without a prompt",
        ),
        (
            &["in.png", "-u", "x", "--strength", "0.35"],
            "--strength: means nothing without a prompt",
        ),
        (
            &["in.png", "-u", "x", "--vram", "1GB"],
            "--vram: means nothing without a prompt",
        ),
        (
            &["in.png", "-u", "x", "-W", "64"],
            "--width: means nothing without a prompt",
        ),
        (
            &["in.png", "-u", "x", "--prompt-2", "a"],
            "--prompt-2: means nothing without a prompt",
        ),
    ] {
        assert_refused(&upscale(folder.path(), arguments), 2, &[expected]);
    }
}
