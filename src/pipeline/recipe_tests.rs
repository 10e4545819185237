use super::*;
use crate::image::{Image, Parameters};
use std::io::Cursor;
use std::path::Path;

/// A picture's file with texts, read back.
fn info(texts: &[(&str, &str)]) -> PngInfo {
    let pixel = Image::from_rgba(1, 1, vec![0; 4]).expect("one pixel");
    let with_texts = texts.iter().fold(pixel, |image, (keyword, text)| {
        image.with_text(keyword, text)
    });
    let bytes = with_texts.to_png().expect("it can be written");
    PngInfo::read(Cursor::new(bytes), Path::new("a.png")).expect("it was written here")
}

fn a1111(parameters: &str) -> Recipe {
    Recipe::read(&info(&[(PARAMETERS_KEYWORD, parameters)])).expect("it has settings")
}

/// Sampler and schedule of a `parameters` text with these settings.
fn sampler_and_schedule(settings: &str) -> (Option<String>, Option<String>) {
    let request = a1111(&format!("Steps: 20, CFG scale: 7, {settings}")).request;
    (request.sampler, request.schedule)
}

fn names(sampler: &str, schedule: &str) -> (Option<String>, Option<String>) {
    (Some(sampler.to_owned()), Some(schedule.to_owned()))
}

#[test]
fn a_picture_of_a1111_becomes_a_request() {
    // The form of AUTOMATIC1111 1.10.1's modules/processing.py, create_infotext.
    let recipe = a1111(
        "a lighthouse,\nstorm\nNegative prompt: blurry\nSteps: 28, Sampler: DPM++ 2M, \
         Schedule type: Karras, CFG scale: 6.5, Seed: 4294967295, Size: 512x768, \
         Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, RNG: CPU, Version: v1.10.1",
    );
    let expected = Request::new("a lighthouse,\nstorm")
        .negative("blurry")
        .steps(28)
        .sampler("dpmpp_2m")
        .schedule("karras")
        .guidance_scale(6.5)
        .seed(4_294_967_295)
        .size(512, 768)
        .preset(Preset::A1111)
        .noise(Noise::TorchCpu);
    assert_eq!(recipe.request, expected);
    assert_eq!(recipe.program, Program::A1111);
    assert_eq!(recipe.version.as_deref(), Some("v1.10.1"));
    assert_eq!(recipe.model.as_deref(), Some("v1-5-pruned-emaonly"));
    assert_eq!(recipe.model_hash.as_deref(), Some("6ce0161689"));
    assert_eq!(recipe.warnings, [""; 0]);
    assert!(recipe.request.check().is_ok());
}

#[test]
fn a1111s_refiner_and_eta_are_followed() {
    let recipe = a1111(
        "a cat\nSteps: 20, Sampler: Euler a, Seed: 1, CFG scale: 7, Eta: 0.67, \
         Refiner: sd_xl_refiner_1.0 [7440042bbd], Refiner switch at: 0.8, Version: v1.10.1",
    );
    assert_eq!(recipe.refiner.as_deref(), Some("sd_xl_refiner_1.0"));
    assert_eq!(recipe.request.refiner_start, Some(0.8));
    assert_eq!(recipe.request.eta, Some(0.67));
    assert_eq!(recipe.warnings, [""; 0]);
    // A sampler that adds no noise has none.
    let euler = a1111("a cat\nSteps: 20, Sampler: Euler, Seed: 1, CFG scale: 7, Eta: 0.67");
    assert_eq!(euler.request.eta, None);
}

#[test]
fn noise_is_cudas_unless_the_picture_says_otherwise() {
    let noise = |rng: &str| {
        let request = a1111(&format!("Steps: 20, Seed: 1, CFG scale: 7{rng}")).request;
        let said = request.with_habits();
        (said.noise, said.step_noise)
    };
    let continued = Some(StepNoise::Continued);
    assert_eq!(noise(""), (Some(Noise::Philox), continued));
    assert_eq!(noise(", RNG: NV"), (Some(Noise::Philox), continued));
    assert_eq!(noise(", RNG: cuda"), (Some(Noise::Philox), continued));
    assert_eq!(noise(", RNG: CPU"), (Some(Noise::TorchCpu), continued));
    // 31337 is NovelAI's.
    let anew = |source| StepNoise::Anew {
        source,
        seed_offset: 31337,
    };
    let (_, steps) = noise(", ENSD: 31337");
    assert_eq!(steps, Some(anew(NoiseSource::Philox)));
    let (_, steps) = noise(", RNG: CPU, ENSD: 31337");
    assert_eq!(steps, Some(anew(NoiseSource::TorchCpu)));
}

#[test]
fn schedules_are_understood_as_each_version_meant_them() {
    // Until 1.8 a part of the sampler's name.
    let old = "Sampler: DPM++ 2M Karras";
    assert_eq!(sampler_and_schedule(old), names("dpmpp_2m", "karras"));
    // Until 1.8 a name alone meant k-diffusion's even timesteps; since 1.9 it is `Automatic`.
    let (sampler, schedule) = sampler_and_schedule("Sampler: DPM++ 2M");
    assert_eq!(sampler.as_deref(), Some("dpmpp_2m"));
    assert_eq!(schedule.as_deref(), Some("normal"));
    let automatic = "Sampler: DPM++ 2M, Schedule type: Automatic";
    assert_eq!(sampler_and_schedule(automatic), names("dpmpp_2m", "karras"));
    let automatic = "Sampler: Euler a, Schedule type: Automatic";
    assert_eq!(
        sampler_and_schedule(automatic),
        names("euler_ancestral", "normal")
    );
    let (_, schedule) = sampler_and_schedule("Sampler: DDIM, Schedule type: Automatic");
    assert_eq!(schedule.as_deref(), Some("ddim_uniform"));
}

#[test]
fn what_cannot_be_followed_is_said() {
    let recipe = a1111(
        "a cat <lora:cats:0.8>\nSteps: many, Sampler: Sorcery, Schedule type: Moon, CFG scale: 7, \
         Seed: -1, Size: 512, Token merging ratio: 7, Hires CFG Scale: 3, \
         Lora hashes: \"cats: 0123456789ab\", Version: v1.10.1",
    );
    let Request {
        steps,
        sampler,
        schedule,
        seed,
        width,
        guidance_scale,
        ..
    } = &recipe.request;
    assert_eq!((*steps, *seed, *width), (None, None, None));
    assert_eq!((sampler, schedule), (&None, &None));
    assert_eq!(*guidance_scale, Some(7.0));
    let [unreadable, unknown, networks] = recipe.warnings.as_slice() else {
        panic!("{:?}", recipe.warnings);
    };
    for name in [
        "Steps",
        "Sampler \"Sorcery\"",
        "Schedule type",
        "Seed",
        "Size",
    ] {
        assert!(unreadable.contains(name), "no {name} in {unreadable}");
    }
    assert!(unknown.contains("Token merging ratio \"7\", Hires CFG Scale \"3\""));
    assert!(!unknown.contains("Lora hashes") && !unknown.contains("Version"));
    assert!(networks.contains("extra networks"));
}

#[test]
fn a_picture_from_a_picture_says_so() {
    let from_another = |settings: &str| {
        let recipe = a1111(&format!(
            "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Size: 512x512, {settings}"
        ));
        recipe
            .warnings
            .iter()
            .any(|warning| warning.contains("another picture"))
    };
    assert!(from_another("Denoising strength: 0.7"));
    assert!(!from_another("Denoising strength: 0.7, Hires upscale: 2"));
    assert!(!from_another("Seed: 1"));
}

#[test]
fn numbers_out_of_range_are_refused_as_a_users_are() {
    for settings in [
        "Steps: 0, CFG scale: 7, Seed: 1",
        "Steps: 20, CFG scale: NaN, Seed: 1",
        "Steps: 20, CFG scale: -7, Seed: 1",
        "Steps: 20, CFG scale: 7, Size: 0x512",
        "Steps: 20, CFG scale: 7, Size: 512x1000000000",
    ] {
        let failure = a1111(settings).request.check();
        assert!(matches!(failure, Err(Error::Request { .. })), "{settings}");
    }
}

#[test]
fn what_is_written_here_is_read_back_whole() {
    let request = Request::new("a fox: \"red\", 狐\nBREAK (x:1.2)\n")
        .negative("Steps: 3, Seed: 4, CFG scale: 5")
        .size(64, 96)
        .steps(7)
        .guidance_scale(2.5)
        .sampler("heun")
        .schedule("karras")
        .seed(u64::MAX)
        .variation_strength(0.25)
        .variation_seed(7);
    let parameters = Parameters {
        prompt: &request.prompt,
        negative_prompt: &request.negative_prompt,
        steps: 7,
        sampler: "heun",
        schedule: "karras",
        guidance_scale: 2.5,
        seed: u64::MAX,
        variation: Some((7, 0.25)),
        clip_skip: None,
        rng: Some("CPU"),
        width: 64,
        height: 96,
        model: "odd, \"name\": x",
        parts: &[("VAE", "my, vae.safetensors".to_owned())],
        strength: None,
        hires: None,
        image_guidance_scale: None,
        refiner: Some(("a refiner", 0.75)),
    }
    .to_string();
    let json = request.to_json().expect("it is plain data");
    let texts = [
        (PARAMETERS_KEYWORD, parameters.as_str()),
        (REQUEST_KEYWORD, json.as_str()),
    ];
    let recipe = Recipe::read(&info(&texts)).expect("both texts are there");
    assert_eq!(recipe.request, request);
    assert_eq!(recipe.program, Program::Aquatint);
    assert_eq!(recipe.model.as_deref(), Some("odd, \"name\": x"));
    assert_eq!(recipe.refiner.as_deref(), Some("a refiner"));
    let vae = ("vae", "my, vae.safetensors".to_owned());
    assert_eq!(recipe.parts, BTreeMap::from([vae]));
    assert_eq!(recipe.warnings, [""; 0]);
    // And by programs that know no other text than A1111's.
    let theirs = a1111(&parameters).request;
    assert_eq!(theirs.sampler, request.sampler);
    assert_eq!(theirs.schedule, request.schedule);
    assert_eq!(theirs.seed, request.seed);
    assert_eq!(theirs.variation_seed, request.variation_seed);
    assert_eq!(theirs.variation_strength, request.variation_strength);
    assert_eq!((theirs.width, theirs.height), (Some(64), Some(96)));
}

#[test]
fn every_sampler_and_schedule_is_known_by_the_name_that_is_written() {
    for sampler in crate::sampling::SAMPLERS {
        for schedule in crate::sampling::SCHEDULES {
            let parameters = Parameters {
                prompt: "",
                negative_prompt: "",
                steps: 1,
                sampler: sampler.name,
                schedule: schedule.name,
                guidance_scale: 1.0,
                seed: 0,
                variation: None,
                clip_skip: None,
                rng: None,
                width: 8,
                height: 8,
                model: "m",
                parts: &[],
                strength: None,
                hires: None,
                image_guidance_scale: None,
                refiner: None,
            };
            let request = a1111(&parameters.to_string()).request;
            assert_eq!(request.sampler.as_deref(), Some(sampler.name));
            assert_eq!(request.schedule.as_deref(), Some(schedule.name));
        }
    }
}

#[test]
fn a_picture_that_does_not_say_is_refused_with_the_reason() {
    let reason = |texts: &[(&str, &str)]| {
        let failure = Recipe::read(&info(texts)).expect_err("it says nothing useful");
        assert!(matches!(failure, Error::BadFile { .. }));
        failure.to_string()
    };
    assert!(reason(&[]).contains("no text at all"));
    assert!(reason(&[("Comment", "hello")]).contains("Comment"));
    assert!(reason(&[(PARAMETERS_KEYWORD, "a cat")]).contains("with settings"));
    let graph = r#"{"3": {"class_type": "KSampler", "inputs": {"seed": 5}}}"#;
    assert!(reason(&[(COMFYUI_KEYWORD, graph)]).contains("ComfyUI"));
}

#[test]
fn a_request_of_a_later_version_is_no_request_of_this_one() {
    for json in [r#"{"prompt": "a cat", "moon_phase": 3}"#, "{", "[]", ""] {
        let parameters = "Steps: 1, Seed: 2, CFG scale: 3, Version: aquatint 9.0.0";
        let texts = [(REQUEST_KEYWORD, json), (PARAMETERS_KEYWORD, parameters)];
        let failure = Recipe::read(&info(&texts)).expect_err("it is not understood");
        assert!(failure.to_string().contains("aquatint 9.0.0"), "{failure}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Recipe::read(&info(&[(REQUEST_KEYWORD, &deep)])).is_err());
}
