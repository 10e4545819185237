//! What is known before the first step, of every verb: `--dry-run` and `plan`.

use std::path::Path;
use std::process::Output;

use aquatint::Image;
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

use crate::goldens::model;
use crate::program::{aquatint, assert_refused, device, files, json, stderr, stdout};
use crate::tiny_upscaler::nearest_neighbours;

/// A folder with a picture of 80×48 pixels, and a network that doubles.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let image = Image::from_rgba(80, 48, [90, 120, 60, 255].repeat(80 * 48)).unwrap();
    image.save(folder.path().join("a.png")).unwrap();
    nearest_neighbours(folder.path());
    folder
}

fn run_in(folder: &Path, arguments: &[&[&str]]) -> Output {
    let mut command = aquatint();
    let command = command.current_dir(folder).args(arguments.concat());
    command.args(device()).output().unwrap()
}

/// What `--dry-run` says of ten steps.
fn estimate(folder: &Path, arguments: &[&str]) -> Value {
    let dry: &[&str] = &["--dry-run", "--json"];
    let output = run_in(folder, &[arguments, &["-s", "1"], dry]);
    json(&output)
}

#[test]
fn steps_and_memory_of_every_verb_are_said_before_the_first_step() {
    let folder = folder();
    let network = ["a.png", "a cat", "-u", "nearest.safetensors"];
    let instruct = model("tiny_instruct");
    let instruct = instruct.summary().path;
    let instruct = instruct.to_str().unwrap();
    let small = ["-W", "64", "-H", "64", "--steps", "10"];
    let own = ["--steps", "10"];
    #[rustfmt::skip]
    let rows: [(&[&str], &[&str], u64, &str); 10] = [
        (&["generate", "a cat"], &small, 10, "unet"),
        (&["generate", "a cat", "-b", "3"], &small, 10, "unet"),
        (&["generate", "a cat", "--hires", "2", "--hires-steps", "4"], &small, 14, "vae_decoder"),
        (&["generate", "a cat", "--sweep", "steps=2,3,4"], &small[..4], 9, "unet"),
        (&["transform", "a.png", "a cat", "--strength", "0.5"], &small, 5, "vae_encoder"),
        (&["inpaint", "a.png", "a cat", "--mask-rect", "8,8,16,16"], &own, 10, "vae_encoder"),
        (&["outpaint", "a.png", "a cat", "--right", "16"], &own, 10, "vae_encoder"),
        (&["upscale", "a.png", "a cat", "--strength", "0.3"], &own, 3, "vae_encoder"),
        (&[&["upscale"], &network[..], &["--strength", "0.3"]].concat(), &own, 3, "vae_encoder"),
        (&["edit", "a.png", "a cat", "-m", instruct], &own, 10, "vae_encoder"),
    ];
    for (verb, size, steps, part) in rows {
        let said = estimate(folder.path(), &[verb, size].concat());
        assert_eq!(said["steps"], steps, "{verb:?}");
        let parts = said["memory"]["parts"].as_array().unwrap();
        let part = parts.iter().find(|said| said["name"] == part).unwrap();
        assert!(part["activation_bytes"].as_u64() > Some(0), "{verb:?}");
        assert!(
            said["memory"]["weight_bytes"].as_u64() > Some(0),
            "{verb:?}"
        );
        let upscaler = &said["upscaler"];
        assert_eq!(upscaler.is_object(), verb.contains(&"-u"), "{verb:?}");
        if upscaler.is_object() {
            // All of the picture, of 80×48 pixels.
            assert_eq!(upscaler["tiles"], 1);
            assert_eq!(upscaler["memory"]["name"], "upscaler");
            assert!(upscaler["memory"]["activation_bytes"].as_u64() > Some(0));
        }
    }
    assert_eq!(files(folder.path()), ["a.png", "nearest.safetensors"]);
}

#[test]
fn a_canvas_of_several_rounds_has_as_many_times_the_steps() {
    let folder = folder();
    let outpaint = [
        "outpaint", "a.png", "a cat", "--right", "80", "--left", "80",
    ];
    let small = ["--steps", "3", "-W", "64", "-H", "48"];
    let said = estimate(folder.path(), &[&outpaint[..], &small].concat());
    let steps = said["steps"].as_u64().unwrap();
    assert!(steps > 6 && steps.is_multiple_of(3), "{steps}");
    // As many as are there to be done.
    let trace = ["-s", "1", "-o", "b.png", "--trace", "b.safetensors"];
    let drawn = run_in(folder.path(), &[&outpaint, &small, &trace]);
    assert!(drawn.status.success(), "{}", stderr(&drawn));
    let trace = std::fs::read(folder.path().join("b.safetensors")).unwrap();
    let trace = SafeTensors::deserialize(&trace).unwrap();
    let names = trace.names().into_iter();
    let done = names.filter(|name| name.starts_with("step.")).count();
    assert_eq!(steps, done as u64);
}

#[test]
fn a_network_alone_says_its_tiles_and_memory() {
    let folder = folder();
    let upscale: &[&str] = &["upscale", "a.png", "-u", "nearest.safetensors"];
    let output = run_in(folder.path(), &[upscale, &["--dry-run", "--tile", "32"]]);
    let said = stdout(&output);
    assert!(said.starts_with("8 tiles\nupscaler "), "{output:?}");
    assert!(said.contains("0.0 MiB weights"), "{said}");
    assert_eq!(files(folder.path()), ["a.png", "nearest.safetensors"]);
}

#[test]
fn a_plan_shows_both_passes() {
    let folder = folder();
    let plan = |more: &[&str]| {
        let mut command = aquatint();
        let command = command.current_dir(folder.path()).arg("plan");
        command.args(more).output().unwrap()
    };
    let small: &[&str] = &["-W", "64", "-H", "96"];
    let both = json(&plan(&[small, &["--hires", "1.5", "--json"]].concat()));
    let first = json(&plan(&[small, &["--json"]].concat()));
    let second = json(&plan(&["-W", "96", "-H", "144", "--json"]));
    assert_eq!(both["parts"], first["parts"]);
    assert_eq!(both["hires"], second);
    let said = stdout(&plan(&[small, &["--hires", "1.5"]].concat()));
    assert!(said.contains("\nsecond pass, 96×144\n"), "{said}");
    for (times, word) in [("1", "over 1"), ("9", "at most 8"), ("nan", "--hires")] {
        assert_refused(&plan(&["--hires", times]), 2, &[word]);
    }
    let both = ["--hires", "2", "--dispatches"];
    assert_refused(&plan(&both), 2, &["--hires", "--dispatches"]);
}
