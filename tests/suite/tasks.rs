//! Tasks that start from a picture: against diffusers (`tests/golden/tasks.py`), and what they refuse.

use crate::device;
use crate::goldens::{F16_PSNR, F32_PSNR, Golden, model, traced};
use aquatint::{Image, InputImage, Noise, Pipeline, Precision, Preset, Request, Task};

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
fn pictures_agree_with_diffusers_in_f16() {
    for golden in cases(&["transform", "edit"]) {
        let request = golden.request().task(task(&golden));
        let pipeline = golden.pipeline(device::best());
        match pipeline.generate(&request.precision(Precision::F16)) {
            Ok(images) => golden.check_images(&images, F16_PSNR),
            Err(aquatint::Error::Request {
                field: "precision", ..
            }) => {
                eprintln!("skipped: the device does not store f16");
                return;
            }
            Err(error) => panic!("{}: {error}", golden.name),
        }
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

fn pipeline(name: &str) -> Pipeline {
    Pipeline::new(device::best(), model(name)).expect("the weights fit")
}

fn transform(image: InputImage, strength: f64) -> Request {
    let request = Request::new("a kite").steps(4).seed(3);
    request.task(Task::ImageToImage { image, strength })
}

#[test]
fn a_batch_is_made_of_pictures_that_can_be_made_alone() {
    let pipeline = pipeline("tiny_sd2");
    for preset in [None, Some(Preset::Diffusers)] {
        let mut request = transform(gradient(28, 36), 0.5).precision(Precision::F32);
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
