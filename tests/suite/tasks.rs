//! Tasks that start from a picture: against diffusers (`tests/golden/tasks.py`), and what they refuse.

use crate::device;
use crate::goldens::{F32_PSNR, Golden, pipeline, traced};
use aquatint::{
    Fill, Image, Inpaint, InputImage, Noise, Outpaint, Precision, Preset, Rect, Request, Task,
};

/// The task of a case, with its pictures.
fn task(golden: &Golden) -> Task {
    let image = picture(golden, "input");
    let number = |field: &str| golden.case[field].as_f64().unwrap();
    match golden.case["task"].as_str().unwrap() {
        "transform" => Task::ImageToImage {
            image,
            strength: number("strength"),
        },
        "edit" => Task::Instruct {
            image,
            image_guidance_scale: number("image_guidance_scale"),
        },
        "inpaint" => {
            let mut inpaint = Inpaint::new(image).mask(picture(golden, "mask"));
            inpaint.strength = number("strength");
            Task::Inpaint(inpaint)
        }
        other => panic!("{other}"),
    }
}

/// A recorded picture `[H, W, 3]`, or a mask `[H, W]`.
fn picture(golden: &Golden, name: &str) -> InputImage {
    let tensors = golden.tensors();
    let tensor = tensors.tensor(name).unwrap();
    let (height, width) = (tensor.shape()[0], tensor.shape()[1]);
    let channels = tensor.data().len() / (height * width);
    let pixels = tensor.data().chunks_exact(channels);
    let pixels = pixels.flat_map(|pixel| [pixel[0], pixel[channels / 2], pixel[channels - 1], 255]);
    Image::from_rgba(width, height, pixels.collect())
        .unwrap()
        .into()
}

/// The cases of these tasks.
fn cases(tasks: &[&str]) -> Vec<Golden> {
    let all = Golden::all_of("tasks", 11).into_iter();
    all.filter(|golden| tasks.contains(&golden.case["task"].as_str().unwrap()))
        .collect()
}

#[test]
fn every_step_agrees_with_diffusers() {
    for golden in cases(&["transform", "edit"]) {
        let request = golden.request().task(task(&golden));
        let request = request.precision(Precision::F32);
        let (images, trace) = traced(device::best(), &golden, &request);
        golden.check_trace(&trace);
        golden.check_images(&images, F32_PSNR);
    }
}

#[test]
fn every_step_of_filling_in_agrees_with_diffusers() {
    // The picture itself is diffusers' only within the mask: theirs has lost a little everywhere.
    for golden in cases(&["inpaint"]) {
        let request = golden.request().task(task(&golden));
        let request = request.precision(Precision::F32);
        let (_, trace) = traced(device::best(), &golden, &request);
        golden.check_trace(&trace);
    }
}

#[test]
fn pictures_agree_with_diffusers_in_f16() {
    for golden in cases(&["transform", "edit"]) {
        golden.check_in_f16(device::best(), golden.request().task(task(&golden)));
    }
}

/// A smooth picture.
fn gradient(width: usize, height: usize) -> InputImage {
    let pixels = (0..height).flat_map(|y| {
        (0..width).flat_map(move |x| {
            let share = |at: usize, of: usize| u8::try_from(255 * at / of).unwrap();
            [share(x, width), share(y, height), 128, 255]
        })
    });
    Image::from_rgba(width, height, pixels.collect())
        .unwrap()
        .into()
}

fn transform(image: InputImage, strength: f64) -> Request {
    let request = Request::new("a kite").steps(4).seed(3);
    request.task(Task::ImageToImage { image, strength })
}

#[test]
fn a_batch_is_made_of_pictures_that_can_be_made_alone() {
    let pipeline = pipeline("tiny_sd2");
    let transform = transform(gradient(28, 36), 0.5);
    // In several rounds, with noise that is a motion.
    let outpaint = Task::Outpaint(Outpaint::new(gradient(28, 36), [16, 0, 0, 0]));
    let outpaint = transform.clone().task(outpaint).size(24, 24);
    let cases = [
        (None, transform.clone()),
        (Some(Preset::Diffusers), transform),
        (None, outpaint.clone().steps(2).sampler("dpmpp_2m_sde")),
        (
            Some(Preset::Diffusers),
            outpaint.steps(2).sampler("dpmpp_2m_sde"),
        ),
    ];
    for (preset, request) in cases {
        let mut request = request.precision(Precision::F32);
        request.preset = preset;
        let batch = pipeline.generate(&request.clone().batch_size(2)).unwrap();
        let second = batch[1].text(aquatint::REQUEST_KEYWORD).unwrap();
        let alone: Request = serde_json::from_str(second).unwrap();
        let task = alone.task.clone().with_images(&[gradient(28, 36)]).unwrap();
        let alone = pipeline.generate(&alone.task(task)).unwrap();
        assert!(
            alone[0].difference(&batch[1]).unwrap().is_none(),
            "{preset:?}"
        );
    }
}

#[test]
fn recorded_noise_serves_a_picture_that_starts_from_one() {
    let pipeline = pipeline("tiny_sd2");
    let request = transform(gradient(28, 36), 0.5).precision(Precision::F32);
    let (images, trace) = pipeline
        .start_traced(&request)
        .unwrap()
        .finish_traced()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    trace.save(&path).unwrap();
    let again = request.seed(99).noise(Noise::Recorded(path));
    let again = pipeline.generate(&again).unwrap();
    assert!(again[0].difference(&images[0]).unwrap().is_none());
}

#[test]
fn steps_are_counted_as_the_program_does() {
    // diffusers: int(20 · 0.75); A1111: one more, but for DDIM; ComfyUI: all of them.
    let pipeline = pipeline("tiny_sd2");
    for (preset, sampler, expected) in [
        (Preset::Diffusers, "euler", 15),
        (Preset::A1111, "euler", 16),
        (Preset::A1111, "ddim", 15),
        (Preset::ComfyUi, "euler", 20),
    ] {
        let request = transform(gradient(12, 12), 0.75).steps(20).preset(preset);
        let mut run = pipeline.start(&request.sampler(sampler)).unwrap();
        let step = run.next_step().unwrap().unwrap();
        assert_eq!(
            (step.index, step.count),
            (0, expected),
            "{preset:?} {sampler}"
        );
    }
}

#[test]
fn the_size_is_the_pictures_unless_said_or_far_from_the_models() {
    let pipeline = pipeline("tiny_sd2"); // 44×44 pixels, four to a latent
    let size = |request: &Request| {
        let request = pipeline.resolve(request).unwrap();
        (request.width.unwrap(), request.height.unwrap())
    };
    let request = |width, height| transform(gradient(width, height), 0.5);
    assert_eq!(size(&request(36, 28)), (36, 28));
    assert_eq!(size(&request(37, 27)), (36, 28));
    assert_eq!(size(&request(400, 200)), (64, 32));
    assert_eq!(size(&request(4, 4)), (44, 44));
    let mut wide = request(36, 18);
    wide.width = Some(72);
    assert_eq!(size(&wide), (72, 36));
    assert_eq!(size(&request(36, 28).size(20, 24)), (20, 24));
}

#[test]
fn a_task_that_a_model_was_not_trained_for_is_refused_with_the_one_it_was() {
    let edit = Task::Instruct {
        image: gradient(12, 12),
        image_guidance_scale: 1.5,
    };
    let refusal = |name: &str, request: Request| {
        let error = pipeline(name).memory(&request).unwrap_err();
        error.to_string()
    };
    let message = refusal("tiny_sd2", Request::new("").task(edit));
    assert!(message.contains("aquatint transform"), "{message}");
    let message = refusal("tiny_instruct", transform(gradient(12, 12), 0.5));
    assert!(message.contains("aquatint edit"), "{message}");
    let message = refusal("tiny_instruct", Request::new(""));
    assert!(message.contains("aquatint edit"), "{message}");
}

#[test]
fn numbers_out_of_range_are_refused_by_their_names() {
    let pipeline = pipeline("tiny_sd2");
    for strength in [0.0, -1.0, 1.5, f64::NAN] {
        let request = transform(gradient(12, 12), strength);
        let message = pipeline.resolve(&request).unwrap_err().to_string();
        assert!(message.starts_with("strength: "), "{message}");
    }
    let none_left = transform(gradient(12, 12), 0.1);
    let message = pipeline.memory(&none_left).unwrap_err().to_string();
    assert!(message.contains("none of the 4 steps"), "{message}");
    let task = Task::Instruct {
        image: gradient(12, 12),
        image_guidance_scale: -0.5,
    };
    let message = pipeline.resolve(&Request::new("").task(task)).unwrap_err();
    assert!(message.to_string().starts_with("image_guidance_scale: "));
}

#[test]
fn a_picture_that_is_named_and_not_given_is_asked_for() {
    let pipeline = pipeline("tiny_sd2");
    let request = transform(gradient(12, 12), 0.5);
    let json = serde_json::to_string(&request).unwrap();
    let named: Request = serde_json::from_str(&json).unwrap();
    let message = pipeline.memory(&named).unwrap_err().to_string();
    assert!(message.contains("12×12"), "{message}");
    let memory = pipeline.memory(&request).unwrap();
    assert!(memory.parts.iter().any(|part| part.name == "vae_encoder"));
}

/// That pixels are the same as before wherever they are to be kept, and others somewhere else.
fn assert_kept(before: &Image, after: &Image, what: &str, kept: impl Fn(usize, usize) -> bool) {
    let size = |image: &Image| (image.width(), image.height());
    assert_eq!(size(before), size(after), "{what}");
    let pixels = before
        .pixels()
        .chunks_exact(4)
        .zip(after.pixels().chunks_exact(4));
    let (width, mut changed) = (before.width(), 0);
    for (i, (before, after)) in pixels.enumerate() {
        if before != after {
            changed += 1;
            let (x, y) = (i % width, i / width);
            assert!(!kept(x, y), "{what}: {x},{y} changed");
        }
    }
    assert!(changed > 0, "{what}: nothing changed");
}

#[test]
fn what_a_mask_keeps_is_kept_to_the_last_bit() {
    let image = gradient(33, 27); // no multiple of the latent factor
    let rects = [
        Rect::new(5, 7, 11, 9),
        Rect::new(0, 0, 3, 27),
        Rect::new(30, 25, 40, 40),
        Rect::new(16, 13, 1, 1),
    ];
    for (name, rect, only_masked, strength) in [
        ("tiny_sd2", rects[0], None, 1.0),
        ("tiny_sd2", rects[1], Some(4), 0.6),
        ("tiny_sd2", rects[2], None, 0.5),
        ("tiny_inpaint", rects[0], None, 1.0),
        ("tiny_inpaint", rects[3], Some(6), 0.8),
    ] {
        let pipeline = pipeline(name);
        for fill in [
            Fill::Original,
            Fill::Blur,
            Fill::Noise,
            Fill::Colour([9, 99, 200]),
        ] {
            let mut inpaint = Inpaint::new(image.clone()).strength(strength);
            inpaint.mask_rect = Some(rect);
            inpaint.only_masked_padding_px = only_masked;
            inpaint.mask_blur_px = 2;
            inpaint.fill = fill;
            let mut request = Request::new("a door")
                .steps(2)
                .seed(1)
                .task(Task::Inpaint(inpaint));
            if only_masked.is_some() {
                request = request.size(20, 16);
            }
            let images = pipeline.generate(&request).unwrap();
            let what = format!("{name}, {rect:?}, {fill:?}");
            assert_kept(image.image().unwrap(), &images[0], &what, |x, y| {
                !(rect.left..rect.left + rect.width).contains(&x)
                    || !(rect.top..rect.top + rect.height).contains(&y)
            });
        }
    }
}

#[test]
fn a_soft_mask_changes_less_where_it_is_darker() {
    let pipeline = pipeline("tiny_sd2");
    let image = gradient(36, 36);
    // Left black, then a third of the steps, then all of them.
    let pixels = (0..36 * 36).flat_map(|i| {
        let value = [0, 85, 255][i % 36 / 12];
        [value, value, value, 255]
    });
    let mask = Image::from_rgba(36, 36, pixels.collect()).unwrap();
    let mut inpaint = Inpaint::new(image.clone()).mask(mask);
    inpaint.mask_blur_px = 0;
    let request = Request::new("a tree")
        .steps(6)
        .seed(2)
        .task(Task::Inpaint(inpaint));
    let after = pipeline.generate(&request).unwrap().remove(0);
    let changes = |columns: std::ops::Range<usize>| -> f64 {
        let pairs = image.image().unwrap().pixels().iter().zip(after.pixels());
        let pairs = pairs
            .enumerate()
            .filter(|(i, _)| columns.contains(&(i / 4 % 36)));
        pairs
            .map(|(_, (a, b))| (f64::from(*a) - f64::from(*b)).abs())
            .sum()
    };
    assert_eq!(changes(0..12), 0.0);
    let (grey, white) = (changes(12..24), changes(24..36));
    assert!(grey > 0.0 && grey < white, "{grey} and {white}");
}

#[test]
fn masks_that_cannot_be_followed_are_refused_with_the_reason() {
    let pipeline = pipeline("tiny_sd2");
    let refusal = |inpaint: Inpaint| {
        let request = Request::new("").task(Task::Inpaint(inpaint));
        let message = pipeline.resolve(&request).unwrap_err().to_string();
        assert!(message.starts_with("mask"), "{message}");
        message
    };
    let image = gradient(24, 20);
    let message = refusal(Inpaint::new(image.clone()).mask(gradient(20, 24)));
    assert!(
        message.contains("20×24") && message.contains("24×20"),
        "{message}"
    );
    assert!(refusal(Inpaint::new(image.clone())).contains("no pixel of the image is transparent"));
    let black = Image::from_rgba(24, 20, [0, 0, 0, 255].repeat(480)).unwrap();
    assert!(refusal(Inpaint::new(image.clone()).mask(black)).contains("nothing in it is white"));
    let mut outside = Inpaint::new(image);
    outside.mask_rect = Some(Rect::new(24, 0, 5, 5));
    assert!(refusal(outside).contains("outside"));
}

#[test]
fn a_picture_is_drawn_on_in_rounds_and_stays_as_it_is() {
    for name in ["tiny_sd2", "tiny_inpaint"] {
        let pipeline = pipeline(name);
        let image = gradient(21, 18);
        let task = Task::Outpaint(Outpaint::new(image.clone(), [13, 30, 0, 22]));
        let request = Request::new("hills")
            .size(24, 24)
            .steps(2)
            .seed(4)
            .task(task);
        let request = request.sampler("dpmpp_2m_sde").batch_size(2);
        let mut run = pipeline.start(&request).unwrap();
        let count = run.step_count();
        assert_eq!(pipeline.step_count(&request).unwrap(), count);
        assert!(count > 4 && count.is_multiple_of(2), "{count}");
        let mut steps = 0;
        while let Some(step) = run.next_step().unwrap() {
            assert_eq!((step.index, step.count), (steps, count));
            steps += 1;
        }
        assert_eq!(steps, count);
        let images = run.finish().unwrap();
        assert_eq!((images[0].width(), images[0].height()), (64, 40));
        for after in &images {
            assert!(after.pixels().chunks_exact(4).all(|pixel| pixel[3] == 255));
            let kept = after.pixels().chunks_exact(4 * 64).take(18);
            let kept: Vec<u8> = kept.flat_map(|row| row[4 * 13..4 * 34].to_vec()).collect();
            assert_eq!(kept, image.image().unwrap().pixels(), "{name}");
        }
        assert_ne!(images[0].pixels(), images[1].pixels());
    }
}

#[test]
fn no_edge_shows_where_a_smooth_picture_is_drawn_on() {
    let pipeline = pipeline("tiny_sd2");
    let task = Task::Outpaint(Outpaint::new(gradient(28, 28), [16, 16, 8, 8]));
    let request = Request::new("fog").steps(3).seed(6).task(task);
    let after = pipeline.generate(&request).unwrap().remove(0);
    let pixel = |x: usize, y: usize| &after.pixels()[4 * (y * 60 + x)..][..3];
    let step = |a: &[u8], b: &[u8]| -> f64 {
        let steps = a
            .iter()
            .zip(b)
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
        steps.sum::<f64>() / 3.0
    };
    // The mean step over the left edge against those beside it, within the picture and outside.
    let mean = |x: usize| {
        (8..36)
            .map(|y| step(pixel(x, y), pixel(x + 1, y)))
            .sum::<f64>()
            / 28.0
    };
    let (across, beside) = (mean(15), mean(14).max(mean(13)).max(mean(16)));
    assert!(
        across <= 1.5 * beside + 4.0,
        "{across:.1} across the edge, {beside:.1} beside it"
    );
}
