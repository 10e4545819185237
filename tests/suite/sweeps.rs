//! Sweeps of settings and the picture of all pictures, by the program's flags.

use std::path::Path;

use aquatint::Image;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{self, aquatint, assert_refused, device, files, json, stderr};

/// Draws in a folder, with what is printed as JSON.
fn draw(folder: &Path, arguments: &[&str]) -> Value {
    json(&program::draw(
        folder,
        &[&["-s", "7", "--json"], arguments].concat(),
    ))
}

#[test]
fn a_sweep_draws_what_each_combination_draws_alone() {
    let folder = TempDir::new().unwrap();
    let sweep = [
        "--sweep",
        "guidance_scale=1,3",
        "--sweep",
        "sampler=euler,ddim",
    ];
    let report = draw(folder.path(), &[&sweep[..], &["-o", "all.png"]].concat());
    let images = report["images"].as_array().unwrap();
    assert_eq!(images.len(), 4);
    for image in images {
        let cell = image["cell"].as_array().unwrap();
        let value = |at: usize| cell[at].as_str().unwrap().split_once(": ").unwrap().1;
        let alone = ["--guidance-scale", value(0), "--sampler", value(1)];
        let alone = draw(
            folder.path(),
            &[&alone[..], &["-o", "alone.png", "--overwrite"]].concat(),
        );
        let open = |image: &Value| {
            Image::open(folder.path().join(image["path"].as_str().unwrap())).unwrap()
        };
        let (found, expected) = (open(image), open(&alone["images"][0]));
        assert!(found.pixels() == expected.pixels(), "{cell:?} differs");
        for keyword in [aquatint::PARAMETERS_KEYWORD, aquatint::REQUEST_KEYWORD] {
            assert_eq!(found.text(keyword), expected.text(keyword), "{cell:?}");
        }
    }
    let grid = Image::open(folder.path().join(report["grid"].as_str().unwrap())).unwrap();
    // Two pictures and labels each way.
    assert!(grid.width() > 128 && grid.height() > 128);
}

#[test]
fn a_grid_alone_leaves_one_file_with_the_pictures_of_a_batch() {
    let folder = TempDir::new().unwrap();
    let report = draw(folder.path(), &["-b", "3", "--grid=only", "-o", "a.png"]);
    assert_eq!(report["images"].as_array().unwrap().len(), 0);
    assert_eq!(files(folder.path()), ["a-grid.png"]);
    draw(folder.path(), &["-b", "3", "-o", "b-{index}.png"]);
    let grid = Image::open(folder.path().join("a-grid.png")).unwrap();
    let first = Image::open(folder.path().join("b-0.png")).unwrap();
    // The first picture lies at the upper left, with a margin.
    const MARGIN: usize = 4;
    let row_of = |image: &Image, x: usize, y: usize| {
        let start = 4 * (y * image.width() + x);
        image.pixels()[start..start + 4 * 64].to_vec()
    };
    let is_there = |y| row_of(&grid, MARGIN, MARGIN + y) == row_of(&first, 0, y);
    assert!((0..64).all(is_there));
}

#[test]
fn what_cannot_be_swept_is_refused_before_anything_is_drawn() {
    let folder = TempDir::new().unwrap();
    let many = format!("seed={}", vec!["1"; 401].join(","));
    #[rustfmt::skip]
    let rows: [(&[&str], [&str; 2]); 9] = [
        (&["--sweep", "guidence_scale=1,2"], ["guidence_scale", "there are guidance_scale"]),
        (&["--sweep", "sampler="], ["sweep", "sampler"]),
        (&["--sweep", "sampler"], ["sweep", "sampler"]),
        (&["--sweep", "sampler=euler,eulr"], ["eulr", "euler"]),
        (&["--sweep", "steps=2,zero"], ["steps", "zero"]),
        (&["--sweep", "steps=2,0"], ["steps", "0"]),
        (&["--sweep", "steps=2,3", "--sweep", "steps=4"], ["steps", "twice"]),
        (&["--sweep", &many], ["401", "at most 400"]),
        (&["--sweep", "steps=2,3", "-b", "2"], ["sweep", "one picture"]),
    ];
    for (arguments, words) in rows {
        assert_refused(&program::draw(folder.path(), arguments), 2, &words);
        assert_eq!(
            files(folder.path()),
            [""; 0],
            "{arguments:?} left something"
        );
    }
}

#[test]
fn variations_and_textures_come_again() {
    let folder = TempDir::new().unwrap();
    let varied = ["--variations", "2", "--variation-seed", "5", "-o", "v.png"];
    draw(folder.path(), &varied);
    draw(folder.path(), &["--seamless", "xy", "-o", "s.png"]);
    for picture in ["v.png", "v-1.png", "s.png"] {
        let mut replay = aquatint();
        replay.current_dir(folder.path()).args(device());
        replay.args(["replay", picture, "--require-equal", "-o", "again.png"]);
        let output = replay.output().unwrap();
        assert!(output.status.success(), "{picture}: {}", stderr(&output));
    }
}

#[test]
fn variations_and_textures_that_cannot_be_are_refused() {
    let folder = TempDir::new().unwrap();
    #[rustfmt::skip]
    let rows: [(&[&str], [&str; 2]); 12] = [
        (&["--variations", "0"], ["batch_size", "1 to 64"]),
        (&["--variations", "65"], ["batch_size", "65"]),
        (&["--variations", "-1"], ["--variations", "whole number"]),
        (&["--variations", "2", "-b", "2"], ["--variations", "--batch-size"]),
        (&["--variations", "2", "--variation-strength", "1.5"], ["variation_strength", "0 to 1"]),
        (&["--variation-strength", "nan"], ["--variation-strength", "number"]),
        (&["--variation-strength=-0.1"], ["variation_strength", "0 to 1"]),
        (&["--variation-seed", "3"], ["variation_seed", "variation_strength"]),
        (&["--variation-seed=-2"], ["--variation-seed", "-1 to draw one"]),
        (&["--variations", "2", "--sweep", "steps=2,3"], ["--variations", "--sweep"]),
        (&["--seamless", "z"], ["--seamless", "x, y, xy"]),
        (&["--seamless"], ["--seamless", "x, y, xy"]),
    ];
    for (arguments, words) in rows {
        assert_refused(&program::draw(folder.path(), arguments), 2, &words);
    }
    assert_eq!(files(folder.path()), [""; 0]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_in_a_sweep_keeps_what_is_done_and_its_grid() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    /// Shells' exit code after SIGINT.
    const CANCELLED: i32 = 130;
    let folder = TempDir::new().unwrap();
    let mut command = aquatint();
    command.current_dir(folder.path()).args(device());
    command.args(["a cat", "-W", "64", "-H", "64", "-s", "1", "-o", "a.png"]);
    command.args(["--sweep", "steps=2,1000"]);
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("2 of 2")));
    let id = child.id().to_string();
    let interrupt = Command::new("kill").args(["-INT", &id]).status();
    assert!(interrupt.unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(CANCELLED), "{rest:?}");
    assert_eq!(rest.last().map(String::as_str), Some("cancelled"));
    assert_eq!(program::stdout(&output), "a.png\na-grid.png\n");
    assert_eq!(files(folder.path()), ["a-grid.png", "a.png"]);
    let grid = Image::open(folder.path().join("a-grid.png")).unwrap();
    assert!(
        grid.width() > 128,
        "there is a place for the one that is missing"
    );
}
