//! The verbs that start from a picture, as a user types them.

use std::path::Path;
use std::process::Output;

use aquatint::{Image, PARAMETERS_KEYWORD, REQUEST_KEYWORD, ResizeMode};
use safetensors::SafeTensors;
use tempfile::TempDir;

use crate::goldens::{data, psnr};
use crate::program::{QUICK, aquatint, assert_refused, device, stderr, stdout};

/// A folder with a picture of 80×48 pixels whose right half is transparent, `a.png`, and a mask of
/// another size, `small.png`.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let pixels = (0..80 * 48_usize).flat_map(|i| {
        let (x, y) = (i % 80, i / 80);
        let shade = |value: usize| u8::try_from(value % 256).unwrap();
        [shade(3 * x), shade(5 * y), 90, if x < 40 { 255 } else { 0 }]
    });
    let image = Image::from_rgba(80, 48, pixels.collect()).unwrap();
    image.save(folder.path().join("a.png")).unwrap();
    let small = Image::from_rgba(8, 8, vec![255; 256]).unwrap();
    small.save(folder.path().join("small.png")).unwrap();
    folder
}

fn run_in(folder: &Path, arguments: &[&[&str]]) -> Output {
    let mut command = aquatint();
    let command = command.current_dir(folder).args(arguments.concat());
    command.args(device()).output().unwrap()
}

/// Runs a verb that succeeds, and opens what it made.
fn made(folder: &Path, arguments: &[&[&str]]) -> Image {
    let output = run_in(
        folder,
        &[arguments, &[&["-s", "4", "-o", "b.png", "--overwrite"]]].concat(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).trim(), "b.png");
    Image::open(folder.join("b.png")).unwrap()
}

#[test]
fn a_transformed_picture_says_what_it_was_made_from_and_is_made_again_with_it() {
    let folder = folder();
    let transform: &[&str] = &["img2img", "a.png", "a red hat", "--strength", "0.5"];
    let image = made(folder.path(), &[transform, &QUICK]);
    assert_eq!((image.width(), image.height()), (64, 64));
    let parameters = image.text(PARAMETERS_KEYWORD).unwrap();
    assert!(
        parameters.contains("Denoising strength: 0.5"),
        "{parameters}"
    );
    let request = image.text(REQUEST_KEYWORD).unwrap();
    assert!(request.contains("\"name\":\"a.png\""), "{request}");

    let replay: &[&str] = &["replay", "b.png", "--require-equal", "-o", "c.png"];
    let alone = run_in(folder.path(), &[replay]);
    assert_refused(&alone, 2, &["a.png (80×48", "does not carry", "--image"]);
    let other = run_in(folder.path(), &[replay, &["--image", "small.png"]]);
    assert_refused(&other, 2, &["a.png (80×48", "none of its pixels"]);
    let again = run_in(folder.path(), &[replay, &["--image", "a.png"]]);
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(stdout(&again).contains("identical in all 4096 pixels"));
}

#[test]
fn what_is_transparent_is_painted_and_the_rest_kept() {
    let folder = folder();
    let before = Image::open(folder.path().join("a.png")).unwrap();
    let inpaint: &[&str] = &["inpaint", "a.png", "a red hat", "--steps", "2"];
    let only: &[&str] = &["--only-masked", "--padding", "8", "-W", "64", "-H", "64"];
    for more in [&[][..], only] {
        let after = made(folder.path(), &[inpaint, more]);
        assert_eq!((after.width(), after.height()), (80, 48));
        let rows = before
            .pixels()
            .chunks_exact(320)
            .zip(after.pixels().chunks_exact(320));
        for (before, after) in rows {
            assert_eq!(before[..160], after[..160]);
            assert!(after.chunks_exact(4).all(|pixel| pixel[3] == 255));
        }
    }
}

#[test]
fn a_picture_is_drawn_on_to_a_size() {
    let folder = folder();
    let outpaint: &[&str] = &[
        "outpaint",
        "small.png",
        "snow",
        "--to",
        "100x24",
        "--anchor",
        "left",
    ];
    let after = made(folder.path(), &[outpaint, &QUICK]);
    assert_eq!((after.width(), after.height()), (100, 24));
    let row = &after.pixels()[4 * 100 * 8..];
    assert_eq!(row[..32], [255; 32]);
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let folder = folder();
    std::fs::write(folder.path().join("page.png"), "<html>").unwrap();
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        assert_refused(&run_in(folder.path(), &[arguments]), code, words);
    };
    refused(&["transform", "none.png", "a"], 1, &["none.png"]);
    refused(
        &["transform", "page.png", "a"],
        1,
        &["page.png", "SVG or a web page"],
    );
    refused(
        &["transform", "a.png", "a", "--strength", "0"],
        2,
        &["strength", "over 0"],
    );
    refused(
        &["inpaint", "a.png", "a", "--mask", "small.png"],
        2,
        &["8×8", "80×48"],
    );
    refused(&["inpaint", "small.png", "a"], 2, &["mask", "transparent"]);
    refused(&["outpaint", "a.png", "a"], 2, &["nothing to draw"]);
    refused(
        &["outpaint", "a.png", "a", "--to", "60x60"],
        2,
        &["60x60", "80x48"],
    );
    refused(&["edit", "a.png", "a"], 1, &["aquatint transform"]);
}

/// What is left of a photograph at strength 0.3, in dB: 26 and 28 were found; one shade for all of it has 17.
const SAME_SUBJECT_DB: f64 = 20.0;

#[test]
fn a_photograph_goes_through_every_verb() {
    let folder = TempDir::new().unwrap();
    let photo = photograph();
    photo.save(folder.path().join("photo.png")).unwrap();
    let made = |arguments: &[&str]| made(folder.path(), &[arguments, &["--steps", "4"]]);

    let transform = &["transform", "photo.png", "a cat face", "--strength", "0.3"];
    assert!(likeness(&made(transform), &photo) > SAME_SUBJECT_DB);

    let rect = ["--mask-rect", "40,32,64,48"];
    let inpaint = made(&[&["inpaint", "photo.png", "a red hat"][..], &rect].concat());
    let is_inside = |[x, y]: [usize; 2]| (40..104).contains(&x) && (32..80).contains(&y);
    let is_kept = |place| is_inside(place) || at(&inpaint, place) == at(&photo, place);
    assert!(places(&photo).all(is_kept));
    assert_ne!(inpaint.pixels(), photo.pixels());

    let outpaint = made(&["outpaint", "photo.png", "a cat face", "--left", "48"]);
    assert_eq!(outpaint.width(), photo.width() + 48);
    let is_kept = |[x, y]: [usize; 2]| at(&outpaint, [x + 48, y]) == at(&photo, [x, y]);
    assert!(places(&photo).all(is_kept));

    let model = data("models/tiny_instruct.safetensors");
    let edit = [
        "edit",
        "photo.png",
        "make it winter",
        "-m",
        model.to_str().unwrap(),
    ];
    let size = ["-W", "256", "-H", "192"];
    assert_ne!(made(&[&edit[..], &size].concat()).pixels(), photo.pixels());

    let upscale = [
        "upscale",
        "photo.png",
        "a cat face",
        "--scale",
        "2",
        "--strength",
        "0.3",
    ];
    let upscaled = made(&upscale);
    assert_eq!(upscaled.width(), 2 * photo.width());
    let reduced = upscaled.resized(photo.width(), photo.height(), ResizeMode::Stretch);
    assert!(likeness(&reduced.unwrap(), &photo) > SAME_SUBJECT_DB);
}

/// Chelsea the cat, by Stéfan van der Walt (CC0).
fn photograph() -> Image {
    let bytes = std::fs::read(data("tiles.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let photo = tensors.tensor("photo").unwrap();
    let rgba = photo.data().chunks_exact(3);
    let rgba = rgba.flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect();
    Image::from_rgba(photo.shape()[1], photo.shape()[0], rgba).unwrap()
}

fn likeness(found: &Image, expected: &Image) -> f64 {
    let size = |image: &Image| [image.width(), image.height()];
    assert_eq!(size(found), size(expected));
    psnr(found.pixels().iter(), expected.pixels())
}

/// Every x and y of a picture.
fn places(image: &Image) -> impl Iterator<Item = [usize; 2]> {
    let (width, height) = (image.width(), image.height());
    (0..height).flat_map(move |y| (0..width).map(move |x| [x, y]))
}

fn at(image: &Image, [x, y]: [usize; 2]) -> &[u8] {
    &image.pixels()[4 * (y * image.width() + x)..][..4]
}
