//! Pictures under way, against diffusers' own clean latents and ComfyUI's colours for them.

use crate::device;
use crate::goldens::{Golden, data, pipeline};
use crate::program::run;
#[cfg(feature = "demo-model")]
use crate::program::{DEMO, QUICK, device as chosen_device};
use aquatint::{Error, Precision, Request, TinyDecoder};
#[cfg(feature = "demo-model")]
use aquatint::{Image, Model, Pipeline, ResizeMode};

/// By how many levels a byte may differ from one that was rounded from nearly the same value.
const LEVELS: u8 = 1;

#[test]
fn previews_show_what_diffusers_holds_for_clean() {
    for golden in Golden::all_of("previews", 5) {
        let request = golden.request().precision(Precision::F32);
        let mut run = golden.pipeline(device::best()).start(&request).unwrap();
        assert!(
            run.preview().unwrap().is_empty(),
            "nothing is known of it yet"
        );
        let tensors = golden.tensors();
        while let Some(step) = run.next_step().unwrap() {
            let at = format!("{}, step {}", golden.name, step.index);
            let expected = tensors.tensor(&format!("step.{:03}.preview", step.index));
            let expected = expected.unwrap();
            let [count, height, width, 3] = expected.shape() else {
                panic!("{at}: {:?}", expected.shape());
            };
            let found = run.preview().unwrap();
            assert_eq!(found.len(), *count, "{at}");
            let pictures = expected.data().chunks_exact(height * width * 3);
            for (picture, expected) in found.iter().zip(pictures) {
                assert_eq!(
                    [picture.height(), picture.width()],
                    [*height, *width],
                    "{at}"
                );
                let pixels = picture.pixels().chunks_exact(4);
                let channels = pixels.flat_map(|pixel| &pixel[..3]);
                let largest = channels.zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(largest <= Some(LEVELS), "{at}: off by {largest:?}");
            }
        }
    }
}

#[test]
fn a_run_that_was_looked_at_draws_the_same_picture() {
    let pipeline = pipeline("tiny_a");
    for sampler in ["euler_ancestral", "pndm"] {
        let request = Request::new("a green boat").size(40, 56).steps(3).seed(5);
        let request = request.sampler(sampler);
        let unseen = pipeline.generate(&request).unwrap();
        let mut run = pipeline.start(&request).unwrap();
        while run.next_step().unwrap().is_some() {
            run.preview().unwrap();
        }
        assert_eq!(run.finish().unwrap(), unseen, "{sampler}");
    }
}

#[test]
fn a_run_that_was_called_off_has_no_preview() {
    let pipeline = pipeline("tiny_a");
    let mut run = pipeline
        .start(&Request::new("a green boat").size(40, 56))
        .unwrap();
    run.next_step().unwrap();
    run.canceller().cancel();
    assert!(matches!(run.next_step(), Err(Error::Cancelled)));
    assert!(matches!(run.preview(), Err(Error::Cancelled)));
}

#[cfg(feature = "demo-model")]
#[test]
fn the_last_preview_has_the_colours_of_the_picture() {
    /// Of 255, on average. The fit is off by 12 to 19 on the pictures that it was made from; other colours,
    /// such as those of Stable Diffusion's own latents, by 60.
    const MEAN_LEVELS: f64 = 24.0;
    let pipeline = Pipeline::new(device::best(), Model::demo().unwrap()).unwrap();
    let request = Request::new("a fox on a dark green background")
        .steps(6)
        .seed(1);
    let mut run = pipeline.start(&request).unwrap();
    let mut last = Vec::new();
    while run.next_step().unwrap().is_some() {
        last = run.preview().unwrap();
    }
    let [preview, picture] = [last.remove(0), run.finish().unwrap().remove(0)];
    let side = picture.width() / preview.width();
    let small = picture.resized(preview.width(), preview.height(), ResizeMode::Stretch);
    let small = small.unwrap();
    assert_eq!(side, 8);
    let levels = preview.pixels().iter().zip(small.pixels());
    let off = levels.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
    let off = off / (preview.width() * preview.height() * 3) as f64;
    assert!(off < MEAN_LEVELS, "off by {off:.1} levels");
}

#[cfg(feature = "demo-model")]
#[test]
fn the_program_keeps_previews_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (picture, preview) = (path("cat.png"), path("now.png"));
    std::fs::write(&preview, "of another run").unwrap();
    let flags = [
        "--preview",
        &preview,
        "--preview-interval",
        "5",
        "-o",
        &picture,
        "-b",
        "2",
    ];
    let arguments = [
        &["generate", "a cat", "-q"],
        &flags[..],
        &QUICK,
        chosen_device(),
    ]
    .concat();
    let output = run(&arguments);
    assert!(output.status.success(), "{output:?}");
    let sizes = |side: usize| {
        // After the last step at the latest, whatever the interval.
        for name in ["now.png", "now-1.png"] {
            let preview = Image::open(path(name)).unwrap();
            assert_eq!([preview.width(), preview.height()], [side, side], "{name}");
        }
    };
    sizes(8);
    let decoder = data("taesd/decoder.safetensors");
    let with_decoder = [&arguments[..], &["--taesd", decoder.to_str().unwrap()]].concat();
    let output = run(&with_decoder);
    assert!(output.status.success(), "{output:?}");
    sizes(64);
    let output = run(&[&arguments[..], &["--taesd", DEMO]].concat());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{message}");
    assert!(message.contains("give TAESD's decoder"), "{message}");
}

#[test]
fn a_preview_that_cannot_be_written_is_refused_before_anything_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere/now.png");
    let cases = [
        (nowhere.to_str().unwrap(), "make it first"),
        (folder.path().to_str().unwrap(), ".png"),
        ("now.jpg", "must end in .png"),
    ];
    for (path, reason) in cases {
        let output = run(&[
            "generate",
            "a cat",
            "--preview",
            path,
            "-m",
            "no model at all",
        ]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{path}: {message}");
        assert!(message.contains(reason), "{path}: {message}");
    }
}

#[test]
fn a_tiny_decoder_shows_pictures_at_their_size() {
    let decoder = TinyDecoder::open(device::best(), data("taesd/decoder.safetensors")).unwrap();
    let pipeline = pipeline("tiny_a");
    let request = Request::new("a green boat").size(40, 56).steps(2).seed(5);
    let mut run = pipeline.start(&request.batch_size(2)).unwrap();
    assert!(run.preview_with(&decoder).unwrap().is_empty());
    while run.next_step().unwrap().is_some() {
        let pictures = run.preview_with(&decoder).unwrap();
        let sizes = pictures
            .iter()
            .map(|picture| [picture.width(), picture.height()]);
        assert_eq!(sizes.collect::<Vec<_>>(), [[40, 56]; 2]);
    }
}

#[test]
fn a_resumed_run_has_a_preview_after_its_next_step() {
    let pipeline = pipeline("tiny_a");
    let request = Request::new("a green boat").size(40, 56).steps(3).seed(5);
    let mut run = pipeline.start(&request.sampler("pndm")).unwrap();
    run.next_step().unwrap();
    let mut resumed = pipeline.resume(&run.checkpoint().unwrap()).unwrap();
    assert!(resumed.preview().unwrap().is_empty());
    for run in [&mut run, &mut resumed] {
        run.next_step().unwrap();
    }
    assert_eq!(run.preview().unwrap(), resumed.preview().unwrap());
}
