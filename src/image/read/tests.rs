//! Files as people have them, against what PIL reads of them (`tests/golden/uploads.py`).

use super::*;
use crate::image::{ResizeMode, testing};
use safetensors::SafeTensors;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// JPEG and lossy WebP leave the last bits of the inverse transform and of the colours to the decoder.
const LOSSY_TOLERANCE: u8 = 3;
/// PIL sums in whole numbers of 1/2²², this crate in f32; each rounds twice, once a direction.
const RESIZE_TOLERANCE: u8 = 1;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/uploads")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).expect("the file is there")
}

/// What PIL reads: width, height and RGBA.
fn expected() -> Vec<(String, Image)> {
    let bytes = bytes("expected.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let image = |(name, tensor): (String, safetensors::tensor::TensorView<'_>)| {
        let [height, width, 4] = *tensor.shape() else {
            panic!("{name}")
        };
        let image = Image::from_rgba(width, height, tensor.data().to_vec()).unwrap();
        (name, image)
    };
    tensors.into_iter().map(image).collect()
}

fn assert_near(name: &str, found: &Image, expected: &Image, tolerance: u8) {
    let difference = found.difference(expected).expect("they have one size");
    assert!(difference.max <= tolerance, "{name}: {difference}");
}

fn refusal(bytes: &[u8]) -> String {
    let start = Instant::now();
    let error = decode(bytes, Path::new("a.png")).expect_err("it is refused");
    assert!(start.elapsed() < Duration::from_secs(1), "{error}");
    let message = error.to_string();
    assert!(message.starts_with("a.png: "), "{message}");
    message
}

#[test]
fn files_are_read_as_pil_reads_them() {
    let expected = expected();
    let files = expected
        .iter()
        .filter(|(name, _)| !name.starts_with("resized."));
    let mut count = 0;
    for (name, expected) in files {
        let found = open(&folder().join(name)).unwrap_or_else(|error| panic!("{error}"));
        let lossy = name.ends_with("jpg") || name == "lossy.webp";
        assert_near(
            name,
            &found,
            expected,
            if lossy { LOSSY_TOLERANCE } else { 0 },
        );
        count += 1;
    }
    assert!(count > 30);
}

#[test]
fn pictures_are_resized_as_pil_does() {
    let picture = open(&folder().join("rgb.png")).unwrap();
    let expected = expected();
    let resized = expected
        .iter()
        .filter(|(name, _)| name.starts_with("resized."));
    let mut count = 0;
    for (name, expected) in resized {
        let (width, height) = (expected.width(), expected.height());
        let found = picture.resized(width, height, ResizeMode::Stretch).unwrap();
        assert_near(name, &found, expected, RESIZE_TOLERANCE);
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn a_profile_other_than_srgb_and_an_animation_are_told() {
    let warnings = |name: &str| open(&folder().join(name)).unwrap().warnings().join("; ");
    for name in ["rgb.png", "srgb.png", "rgb.jpg", "rgb.webp"] {
        assert_eq!(warnings(name), "", "{name}");
    }
    assert!(
        warnings("xyz.png").contains("colour profile \"XYZ"),
        "{}",
        warnings("xyz.png")
    );
    for name in ["animated.png", "animated.webp"] {
        assert!(warnings(name).contains("is animated; its first"), "{name}");
    }
}

#[test]
fn a_name_of_another_kind_does_not_matter() {
    let jpeg = decode(&bytes("rgb.jpg"), Path::new("a.png")).unwrap();
    assert_eq!((jpeg.width(), jpeg.height()), (24, 20));
}

#[test]
fn what_lies_behind_a_picture_is_not_written_again() {
    for name in ["zip_behind.png", "zip_behind.jpg", "zip_behind.webp"] {
        let has_archive = |bytes: &[u8]| bytes.windows(4).any(|four| four == b"PK\x05\x06");
        assert!(has_archive(&bytes(name)), "{name}");
        let written = open(&folder().join(name)).unwrap().to_png().unwrap();
        assert!(!has_archive(&written), "{name}");
    }
}

#[test]
fn what_is_no_picture_is_told_from_other_pictures() {
    for (bytes, reason) in [
        (&b""[..], "is empty"),
        (b"hello", "no picture that is known here"),
        (
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "SVG or a web page",
        ),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (&bytes("other.gif"), "(GIF)"),
        (&bytes("other.bmp"), "(BMP)"),
        (&bytes("other.tiff"), "(TIFF)"),
    ] {
        let message = refusal(bytes);
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn a_cut_file_is_an_error_at_any_length() {
    for name in [
        "rgb.png",
        "rgba.webp",
        "lossy.webp",
        "rgb.jpg",
        "progressive.jpg",
        "turned_6.jpg",
    ] {
        let whole = bytes(name);
        // A PNG's picture is whole without its last chunk, of 12 bytes; WebP pads to even lengths.
        let needed = match name {
            "rgb.png" => whole.len() - 12,
            _ => whole.len() - 1,
        };
        for length in (0..needed).step_by(7).chain([needed - 1]) {
            assert!(
                decode(&whole[..length], Path::new(name)).is_err(),
                "{name} cut to {length} of {} bytes",
                whole.len()
            );
        }
    }
}

#[test]
fn a_huge_size_is_refused_before_memory_is_taken() {
    let png = [
        testing::SIGNATURE,
        &testing::header(100_000, 100_000),
        &testing::chunk(b"IDAT", &[]),
    ];
    assert!(refusal(&png.concat()).contains("100000×100000"));
    // The frame's header of a JPEG: precision, height, width.
    let mut jpeg = bytes("rgb.jpg");
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    assert!(refusal(&jpeg).contains("65535×65535"));
    // The width and height less one of an extended WebP, 24 bits each.
    let mut webp = bytes("animated.webp");
    let header = webp.windows(4).position(|name| name == b"VP8X").unwrap();
    webp[header + 12..header + 18].copy_from_slice(&[0xFE, 0xFF, 0, 0xFE, 0xFF, 0]);
    assert!(refusal(&webp).contains("65535×65535"));
}

#[test]
fn a_crop_fills_and_a_pad_fits() {
    // Three columns, red, green and blue.
    let pixels = [[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]].concat();
    let wide = Image::from_rgba(3, 1, pixels).unwrap();
    let cropped = wide.resized(2, 2, ResizeMode::Crop).unwrap();
    let [red, green, blue, _] = cropped.pixels()[..4] else {
        panic!("there is a pixel")
    };
    assert!(green > red && green > blue, "{:?}", cropped.pixels());
    let padded = wide.resized(3, 3, ResizeMode::Pad).unwrap();
    assert_eq!(padded.pixels(), wide.pixels().repeat(3));
    let beside = wide.resized(9, 1, ResizeMode::Pad).unwrap();
    assert_eq!(beside.pixels()[..4], wide.pixels()[..4]);
    assert_eq!(beside.pixels()[32..], wide.pixels()[8..]);
}

#[test]
fn a_crop_is_the_middle_of_the_whole() {
    /// The filter does not see what was cut off.
    const MOST_APART: u8 = 4;
    for (columns, new) in [(41_usize, 20_usize), (40, 20), (57, 7), (10, 33)] {
        let pixels = (0..10 * columns).flat_map(|i| {
            let value = u8::try_from(4 * (i % columns)).unwrap();
            [value, value, value, 255]
        });
        let image = Image::from_rgba(columns, 10, pixels.collect()).unwrap();
        let cropped = image.resized(new, new, ResizeMode::Crop).unwrap();
        let wide = (columns * new).div_ceil(10);
        let whole = image.resized(wide, new, ResizeMode::Stretch).unwrap();
        let whole = whole.pixels().chunks_exact(4 * wide);
        let middle = whole.flat_map(|row| &row[4 * ((wide - new) / 2)..][..4 * new]);
        let apart = middle.zip(cropped.pixels()).map(|(a, b)| a.abs_diff(*b));
        let most = apart.max().unwrap();
        assert!(most <= MOST_APART, "{most} for {columns} columns to {new}");
    }
}

#[test]
fn a_line_becomes_a_square_in_little_memory() {
    // All of it scaled, or made as high before it is made narrower, it would take a hundred gibibytes.
    let line = Image::from_rgba(1 << 22, 1, [7, 8, 9, 255].repeat(1 << 22)).unwrap();
    for mode in [ResizeMode::Stretch, ResizeMode::Crop, ResizeMode::Pad] {
        let square = line.resized(2048, 2048, mode).unwrap();
        assert_eq!(square.pixels(), [7, 8, 9, 255].repeat(1 << 22), "{mode:?}");
    }
}

#[test]
fn what_is_transparent_does_not_shine_through() {
    let pixels = [[255, 0, 0, 0], [0, 0, 255, 255]].concat();
    let image = Image::from_rgba(2, 1, pixels).unwrap();
    let half = image.resized(1, 1, ResizeMode::Stretch).unwrap();
    assert_eq!(half.pixels()[..3], [0, 0, 255]);
}
