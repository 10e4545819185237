//! Which requests are refused, and requests as JSON.

use super::*;

fn refused(request: &Request) -> &'static str {
    match request.check() {
        Err(Error::Request { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_out_of_range_is_named() {
    let request = || Request::new("a cat");
    assert_eq!(refused(&request().size(0, 512)), "width");
    assert_eq!(refused(&request().size(512, 1_000_000_000)), "height");
    assert_eq!(refused(&request().steps(0)), "steps");
    assert_eq!(
        refused(&request().guidance_scale(f64::NAN)),
        "guidance_scale"
    );
    assert_eq!(
        refused(&request().guidance_scale(f64::INFINITY)),
        "guidance_scale"
    );
    assert_eq!(refused(&request().guidance_scale(-1.0)), "guidance_scale");
    assert_eq!(refused(&request().batch_size(0)), "batch_size");
    assert_eq!(refused(&request().batch_size(1_000_000)), "batch_size");
    for (index, count) in [(3, 3), (0, 0), (0, MAX_BATCH_SIZE + 1)] {
        let place = BatchNoise::PictureOf { index, count };
        assert_eq!(refused(&request().batch_noise(place)), "batch_noise");
    }
    let backwards = Request {
        guidance_start: 0.6,
        guidance_end: 0.4,
        ..request()
    };
    assert_eq!(refused(&backwards), "guidance_start");
    assert_eq!(refused(&request().sampler("euler_x")), "sampler");
    assert_eq!(refused(&request().schedule("")), "schedule");
    assert_eq!(refused(&request().eta(1.5)), "eta");
    assert_eq!(refused(&request().eta(f64::NAN)), "eta");
    assert_eq!(refused(&request().sigmas([1.0, 2.0, 0.0])), "sigmas");
    assert_eq!(refused(&request().sigmas([])), "sigmas");
    for strength in [-0.1, 1.5, f64::NAN] {
        let wrong = request().variation_strength(strength);
        assert_eq!(refused(&wrong), "variation_strength");
    }
    let seamless = || request().seamless(Seamless::X);
    assert_eq!(refused(&seamless().vae_tile(512)), "vae_tile");
    assert_eq!(refused(&request().variation_seed(3)), "variation_seed");
    let recorded = request().noise(Noise::Recorded("a.safetensors".into()));
    assert_eq!(
        refused(&recorded.variation_strength(0.5)),
        "variation_strength"
    );
    for ratio in [0.0, -0.5, 1.5, f64::NAN] {
        let wrong = request().dynamic_thresholding(ratio);
        assert_eq!(refused(&wrong), "dynamic_thresholding");
    }
    let thresholded = || request().dynamic_thresholding(0.995);
    let both = thresholded().guidance_rescale(0.7);
    assert_eq!(refused(&both), "dynamic_thresholding");
    for max in [0.5, f64::INFINITY, f64::NAN] {
        assert_eq!(refused(&thresholded().threshold_max(max)), "threshold_max");
    }
    assert_eq!(refused(&request().threshold_max(2.0)), "threshold_max");
    assert_eq!(refused(&Request::new("a".repeat(10 << 20))), "prompt");
    assert_eq!(
        refused(&request().negative("a".repeat(10 << 20))),
        "negative_prompt"
    );
}

#[test]
fn a_request_survives_json() {
    let request = Request::new("a cat")
        .size(512, 768)
        .seed(0)
        .sigmas([14.6, 3.9, 0.0])
        .sigma_rules(SigmaRules::Comfy)
        .eta(0.5)
        .dynamic_thresholding(0.995)
        .threshold_max(1.5)
        .noise_path(NoisePath::Brownian)
        .prediction(Prediction::V)
        .noise(Noise::Recorded("n.safetensors".into()));
    let json = serde_json::to_string(&request).expect("it is plain data");
    assert_eq!(
        serde_json::from_str::<Request>(&json).expect("it was written here"),
        request
    );
    assert!(serde_json::from_str::<Request>(r#"{"promt": "a cat"}"#).is_err());
    let short: Request =
        serde_json::from_str(r#"{"prompt": "a cat"}"#).expect("the rest has defaults");
    assert_eq!(short, Request::new("a cat"));
}

fn resolved(request: &Request) -> Request {
    let defaults = Defaults {
        width: 512,
        height: 512,
        steps: 20,
        guidance_scale: 7.5,
        sampler: "euler".into(),
        schedule: "leading".into(),
    };
    request.resolved(&defaults).expect("it is in order")
}

fn names(request: &Request) -> (String, String) {
    let Request {
        sampler, schedule, ..
    } = resolved(request);
    (sampler.unwrap_or_default(), schedule.unwrap_or_default())
}

#[test]
fn a_schedule_in_the_samplers_name_counts_unless_one_is_given() {
    let request = || Request::new("a cat");
    let pair = |sampler: &str, schedule: &str| (sampler.to_owned(), schedule.to_owned());
    assert_eq!(names(&request()), pair("euler", "leading"));
    assert_eq!(
        names(&request().sampler("DPM++ 2M Karras")),
        pair("dpmpp_2m", "karras")
    );
    assert_eq!(
        names(&request().sampler("DPM++ 2M Karras").schedule("Simple")),
        pair("dpmpp_2m", "simple")
    );
    assert_eq!(
        names(&request().schedule("Automatic")),
        pair("euler", "normal")
    );
}

#[test]
fn own_sigmas_say_how_many_steps_there_are() {
    let request = Request::new("a cat").sigmas([14.6, 3.9, 0.9, 0.0]);
    assert_eq!(resolved(&request).steps, Some(3));
    assert_eq!(resolved(&request.steps(4)).steps, Some(4), "refused later");
}
