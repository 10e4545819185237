//! Whole runs against diffusers: every case of `tests/golden/data/pictures`.

use crate::device;
use aquatint::{
    Device, DeviceOptions, Image, Model, Noise, Pipeline, Precision, Request, Rule, Rules, Trace,
};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The largest relative difference ‖a−b‖/‖b‖ to diffusers in f32: both round each operation to
/// 2⁻²⁴ in their own order, and a run multiplies such differences by less than ten (the golden
/// script checks that) times some hundred operations.
pub(crate) const F32_TOLERANCE: f64 = 1e-3;
/// The least peak signal-to-noise ratio of the picture, in dB, with f32 and with f16 activations.
pub(crate) const F32_PSNR: f64 = 40.0;
const F16_PSNR: f64 = 30.0;

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/data")
        .join(name)
}

/// A recorded run of diffusers.
pub(crate) struct Golden {
    pub(crate) name: String,
    path: PathBuf,
    bytes: Vec<u8>,
    pub(crate) case: Value,
}

impl Golden {
    pub(crate) fn read(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).expect("the golden is there");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("it is safetensors");
        let case = &header.metadata().as_ref().expect("it has metadata")["case"];
        let case = serde_json::from_str(case).expect("the case is JSON");
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self {
            name,
            path,
            bytes,
            case,
        }
    }

    /// All of them, in order.
    fn all() -> Vec<Self> {
        Self::all_of("pictures", 14)
    }

    /// All of a folder, which are no fewer than so many.
    pub(crate) fn all_of(folder: &str, least: usize) -> Vec<Self> {
        let entries = std::fs::read_dir(data(folder)).expect("the folder is there");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(paths.len() >= least, "some goldens are missing: {paths:?}");
        paths.into_iter().map(Self::read).collect()
    }

    /// The model on a device, with its refiner where there is one.
    pub(crate) fn pipeline(&self, device: &Device) -> Pipeline {
        let load = |field: &str| {
            let name = self.case[field].as_str()?;
            Some(Pipeline::new(device, model(name)).expect("the weights fit"))
        };
        let pipeline = load("model").expect("a case has a model");
        match load("refiner") {
            Some(refiner) => pipeline.with_refiner(refiner).expect("they go together"),
            None => pipeline,
        }
    }

    pub(crate) fn request(&self) -> Request {
        let text = |field: &str| self.case[field].as_str().unwrap();
        let number = |field: &str| usize::try_from(self.case[field].as_u64().unwrap()).unwrap();
        let pair = |field: &str| -> Option<[usize; 2]> {
            serde_json::from_value(self.case[field].clone()).unwrap()
        };
        let mut request = Request::new(text("prompt"))
            .negative(text("negative_prompt"))
            .size(number("width"), number("height"))
            .steps(number("steps"))
            .guidance_scale(self.case["guidance_scale"].as_f64().unwrap())
            .sampler(text("sampler"))
            .schedule(text("schedule"))
            .seed(self.case["seed"].as_u64().unwrap())
            .batch_size(number("batch_size"));
        let clip_skip = self.case["clip_skip"].as_u64();
        request.clip_skip = clip_skip.map(|layer| usize::try_from(layer).unwrap());
        request.refiner_start = self.case["refiner_start"].as_f64();
        request.guidance_rescale = self.case["guidance_rescale"].as_f64().unwrap_or_default();
        request.dynamic_thresholding = self.case["dynamic_thresholding"].as_f64();
        request.threshold_max = self.case["threshold_max"].as_f64();
        request.seamless = serde_json::from_value(self.case["seamless"].clone()).unwrap();
        let second = |field: &str| self.case[field].as_str().map(str::to_owned);
        request.prompt_2 = second("prompt_2");
        request.negative_prompt_2 = second("negative_prompt_2");
        request.original_size = pair("original_size");
        request.crop = pair("crop");
        request.target_size = pair("target_size");
        request
    }

    pub(crate) fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    fn values(&self, name: &str) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(self.tensors().tensor(name).unwrap().data())
    }

    /// Compares every tensor of the golden with the trace.
    pub(crate) fn check_trace(&self, trace: &Trace) {
        let mut compared = 0;
        for (name, expected) in self.tensors().tensors() {
            let expected_values = || -> Vec<f32> { bytemuck::pod_collect_to_vec(expected.data()) };
            compared += 1;
            if name == "input" || name == "mask" {
                continue;
            }
            if name == "image" {
                self.check_traced_image(trace, expected.data());
                continue;
            }
            if name.starts_with("tokens") {
                let ids: Vec<i32> = bytemuck::pod_collect_to_vec(expected.data());
                assert_eq!(trace.ids(&name), Some(ids), "{}: {name}", self.name);
                continue;
            }
            let Some((shape, found)) = trace.values(&name) else {
                // diffusers draws noise for an ancestral sampler's last step too, and weighs it 0.
                assert!(
                    name.starts_with("noise."),
                    "{}: the trace lacks {name}",
                    self.name
                );
                continue;
            };
            assert_eq!(shape, expected.shape(), "{}: {name}", self.name);
            if name == "latents_init" || name.contains("noise.") {
                assert_eq!(
                    found,
                    expected_values(),
                    "{}: {name} is not torch's",
                    self.name
                );
            }
            let error = relative_error(&found, &expected_values());
            assert!(
                error < F32_TOLERANCE,
                "{}: {name} differs by {error:.2e}",
                self.name
            );
        }
        assert!(compared > 6, "{}: only {compared} tensors", self.name);
    }

    /// The trace has the picture as f32 in 0..1, `[B, 3, H, W]`; the golden in bytes, `[B, H, W, 3]`.
    fn check_traced_image(&self, trace: &Trace, expected: &[u8]) {
        let (shape, found) = trace.values("image").unwrap();
        let &[count, channels, height, width] = shape else {
            panic!("{shape:?}")
        };
        let places = (0..count * channels * height * width).map(|place| {
            let (channel, pixel) = (place % channels, place / channels);
            let (picture, pixel) = (pixel / (height * width), pixel % (height * width));
            (picture * channels + channel) * height * width + pixel
        });
        let found: Vec<f32> = places.map(|place| 255.0 * found[place]).collect();
        let expected: Vec<f32> = expected.iter().map(|&byte| f32::from(byte)).collect();
        // The bytes are rounded: half of one, besides the tolerance.
        let furthest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let furthest = furthest.fold(0.0, f32::max);
        assert!(
            furthest < 1.0,
            "{}: image differs by {furthest} of 255",
            self.name
        );
    }

    pub(crate) fn check_images(&self, images: &[Image], least_psnr: f64) {
        let golden = self.tensors();
        let expected = golden.tensor("image").unwrap(); // [B, H, W, 3] bytes
        let [count, height, width, _] = expected.shape() else {
            panic!("{:?}", expected.shape())
        };
        assert_eq!(images.len(), *count, "{}", self.name);
        for (image, expected) in images
            .iter()
            .zip(expected.data().chunks_exact(width * height * 3))
        {
            assert_eq!((image.width(), image.height()), (*width, *height));
            let found = image.pixels().chunks_exact(4).flat_map(|rgba| &rgba[..3]);
            let psnr = psnr(found, expected);
            assert!(
                psnr >= least_psnr,
                "{}: the picture has {psnr:.1} dB",
                self.name
            );
        }
    }

    /// The pictures of a request whose activations are stored in f16, where the device can.
    pub(crate) fn check_in_f16(&self, device: &Device, request: Request) {
        let pipeline = self.pipeline(device);
        match pipeline.generate(&request.precision(Precision::F16)) {
            Ok(images) => self.check_images(&images, F16_PSNR),
            Err(aquatint::Error::Request {
                field: "precision", ..
            }) => eprintln!("skipped: the device does not store f16"),
            Err(error) => panic!("{}: {error}", self.name),
        }
    }
}

/// A model of the goldens on the tests' device.
pub(crate) fn pipeline(name: &str) -> Pipeline {
    Pipeline::new(device::best(), model(name)).expect("the weights fit")
}

/// A model of the goldens, or the one inside the program.
pub(crate) fn model(name: &str) -> Model {
    let opened = match name {
        "demo" => Model::demo(),
        "tiny_c" => Model::open(data("models/tiny_c")),
        name => Model::open(data("models").join(format!("{name}.safetensors"))),
    };
    opened.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// ‖a−b‖/‖b‖
pub(crate) fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value).powi(2);
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let size: f64 = expected.iter().map(|b| square(*b)).sum();
    if difference == 0.0 {
        return 0.0; // both may be zeros
    }
    (difference / size).sqrt()
}

/// 10·log₁₀(255² / mean squared difference), in dB.
pub(crate) fn psnr<'a>(found: impl Iterator<Item = &'a u8>, expected: &[u8]) -> f64 {
    let squares = found
        .zip(expected)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mean = squares.sum::<f64>() / expected.len() as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

pub(crate) fn traced(device: &Device, golden: &Golden, request: &Request) -> (Vec<Image>, Trace) {
    let pipeline = golden.pipeline(device);
    let run = pipeline
        .start_traced(request)
        .unwrap_or_else(|error| panic!("{}: {error}", golden.name));
    run.finish_traced()
        .unwrap_or_else(|error| panic!("{}: {error}", golden.name))
}

#[test]
fn every_step_agrees_with_diffusers_in_f32() {
    for golden in Golden::all() {
        let request = golden.request().precision(Precision::F32);
        let (images, trace) = traced(device::best(), &golden, &request);
        golden.check_trace(&trace);
        golden.check_images(&images, F32_PSNR);
    }
}

#[test]
fn pictures_agree_with_diffusers_in_f16() {
    for golden in Golden::all() {
        golden.check_in_f16(device::best(), golden.request());
    }
}

#[test]
fn pictures_agree_with_diffusers_without_each_rule() {
    check_without_each_rule(&[Golden::read(data("pictures/b_heun_karras.safetensors"))]);
}

#[test]
#[ignore = "takes minutes; the test above does the same with one golden"]
fn every_picture_agrees_with_diffusers_without_each_rule() {
    check_without_each_rule(&Golden::all());
}

fn check_without_each_rule(goldens: &[Golden]) {
    for rule in Rule::ALL {
        let options = DeviceOptions {
            rules: Rules::all().without(rule),
            ..DeviceOptions::default()
        };
        let device = match Device::open(&options) {
            Ok(device) => device,
            Err(error) => {
                eprintln!("skipped: {error}");
                return;
            }
        };
        for golden in goldens {
            eprintln!("{} without {rule:?}", golden.name);
            let request = golden.request().precision(Precision::F32);
            let (images, trace) = traced(&device, golden, &request);
            golden.check_trace(&trace);
            golden.check_images(&images, F32_PSNR);
            golden.check_in_f16(&device, golden.request());
        }
    }
}

#[test]
fn the_interpreter_agrees_with_diffusers() {
    // One case of each tiny model, with every kind of block and sampler row among them.
    for name in [
        "a_euler_ancestral_leading_batch",
        "b_heun_karras",
        "c_euler_linspace",
    ] {
        let golden = Golden::read(data("pictures").join(format!("{name}.safetensors")));
        let (images, trace) = traced(&Device::reference(), &golden, &golden.request());
        golden.check_trace(&trace);
        golden.check_images(&images, F32_PSNR);
    }
}

#[test]
fn recorded_noise_takes_the_place_of_the_seed() {
    let golden = Golden::read(data("pictures/a_euler_ancestral_leading_batch.safetensors"));
    let request = golden
        .request()
        .seed(999)
        .noise(Noise::Recorded(golden.path.clone()));
    let (_, trace) = traced(device::best(), &golden, &request.precision(Precision::F32));
    let last = format!(
        "step.{:03}.latents",
        golden.case["steps"].as_u64().unwrap() - 1
    );
    let (_, found) = trace.values(&last).unwrap();
    assert!(relative_error(&found, &golden.values(&last)) < F32_TOLERANCE);
}

#[test]
fn sixteen_bit_weights_need_no_feature_of_the_device() {
    let options = DeviceOptions {
        portable: true,
        ..DeviceOptions::default()
    };
    let device = match Device::open(&options) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    // Weights in f16, in bf16, and in f16 with the f16 activations that this device refuses.
    for name in ["a_ddim_leading", "b_ddim_trailing"] {
        let golden = Golden::read(data("pictures").join(format!("{name}.safetensors")));
        let (images, trace) = traced(&device, &golden, &golden.request());
        golden.check_trace(&trace);
        golden.check_images(&images, F32_PSNR);
    }
    let pipeline = Pipeline::new(&device, Model::demo().unwrap()).unwrap();
    let refused = pipeline.generate(&Request::new("a fox").precision(Precision::F16));
    assert!(refused.is_err_and(|error| error.to_string().starts_with("precision")));
}

#[test]
fn a_refiner_is_asked_for_in_full_or_not_at_all() {
    let request = Request::new("a pot").size(28, 28).steps(4).seed(1);
    let alone = pipeline("tiny_xl");
    let refused = |pipeline: &Pipeline, request: &Request| {
        let error = pipeline.memory(request).expect_err("it cannot be done");
        error.to_string()
    };
    let error = refused(&alone, &request.clone().refiner_start(0.5));
    assert!(error.contains("there is no refiner"), "{error}");

    let refined = alone.with_refiner(pipeline("tiny_refiner")).unwrap();
    let resolved = refined.resolve(&request).unwrap();
    assert_eq!(resolved.refiner_start, Some(0.8));
    for (start, whose) in [(1e-4, "the model none"), (0.9999, "the refiner none")] {
        let error = refused(&refined, &request.clone().refiner_start(start));
        assert!(error.contains(whose), "{error}");
    }
    let error = refused(&refined, &request.clone().refiner_start(1.0));
    assert!(error.contains("between 0 and 1"), "{error}");
    let error = refused(&refined, &request.clone().sampler("restart"));
    assert!(error.contains("goes back"), "{error}");
    let alone = pipeline("tiny_xl").memory(&request).unwrap();
    assert!(refined.memory(&request).unwrap().weight_bytes > alone.weight_bytes);

    let error = pipeline("tiny_xl")
        .with_refiner(Pipeline::new(&Device::reference(), model("tiny_xl")).unwrap());
    assert!(error.unwrap_err().to_string().contains("another device"));
}

#[test]
fn a_folder_draws_the_picture_of_the_single_file() {
    // SGM names with fused projections against diffusers' in shards and variants, and the program's
    // tokenizer against the folder's two.
    let pixels = |name: &str| {
        let model = Model::open(data("models").join(name)).expect("the model opens");
        let request = Request::new("an old ship").negative("fog").size(36, 28);
        let request = request.steps(3).seed(5).precision(Precision::F32);
        let pipeline = Pipeline::new(device::best(), model).expect("the weights fit");
        pipeline.generate(&request).expect("it draws")[0]
            .pixels()
            .to_vec()
    };
    assert_eq!(pixels("tiny_xl.safetensors"), pixels("tiny_xl_folder"));
}
