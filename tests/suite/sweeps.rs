//! Sweeps of settings and the picture of all pictures, by the program's flags.

use std::path::Path;

use aquatint::Image;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{self, assert_refused, files, json};

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
