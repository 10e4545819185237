//! Names as people type them.

use super::*;

#[test]
fn unknown_names_are_refused_with_the_nearest_first() {
    let (field, reason) = request_error(table("dpm++ 2mn", "karras", 20));
    assert_eq!(field, "sampler");
    assert!(reason.contains("first: dpmpp_2m, "), "{reason}");
    let (field, reason) = request_error(table("euler", "linspce", 20));
    assert_eq!(field, "schedule");
    assert!(reason.contains("first: linspace, "), "{reason}");
    assert!(
        request_error(table(&"x".repeat(1 << 20), "karras", 20))
            .1
            .len()
            < 1000
    );
}

#[test]
fn names_of_other_programs_are_understood_and_mean_one_thing() {
    for (typed, name) in [
        ("Euler a", "euler_ancestral"),
        ("k_euler_a", "euler_ancestral"),
        ("DPM++ 2M", "dpmpp_2m"),
        ("dpm++2m", "dpmpp_2m"),
        ("DDIMScheduler", "ddim"),
        ("HEUN", "heun"),
    ] {
        assert_eq!(Sampler::find(typed).unwrap().name, name);
    }
    for sampler in SAMPLERS {
        for alias in sampler.aliases {
            assert_eq!(Sampler::find(alias).unwrap().name, sampler.name);
        }
    }
    for spacing in SCHEDULES {
        for alias in spacing.aliases {
            assert_eq!(Spacing::find(alias).unwrap().name, spacing.name);
        }
    }
}

#[test]
fn every_programs_schedules_are_understood() {
    for (typed, name) in [
        // A1111 1.10, modules/sd_schedulers.py: names and labels.
        ("Uniform", "normal"),
        ("Karras", "karras"),
        ("Exponential", "exponential"),
        ("Polyexponential", "polyexponential"),
        ("SGM Uniform", "sgm_uniform"),
        ("SGMUniform", "sgm_uniform"),
        ("KL Optimal", "kl_optimal"),
        ("Align Your Steps", "align_your_steps"),
        ("Simple", "simple"),
        ("Normal", "normal"),
        ("DDIM", "ddim_uniform"),
        ("Beta", "beta"),
        // ComfyUI, comfy/samplers.py.
        ("simple", "simple"),
        ("sgm_uniform", "sgm_uniform"),
        ("ddim_uniform", "ddim_uniform"),
        ("linear_quadratic", "linear_quadratic"),
        // sd.cpp, examples/common.
        ("discrete", "normal"),
        ("ays", "align_your_steps"),
        // diffusers, `timestep_spacing` and the flags of its schedulers.
        ("leading", "leading"),
        ("trailing", "trailing"),
        ("linspace", "linspace"),
        ("use_karras_sigmas", "karras"),
    ] {
        assert_eq!(Spacing::find(typed).unwrap().name, name, "{typed}");
    }
}

fn choice(sampler: &str, schedule: Option<&str>) -> (&'static str, &'static str) {
    let Choice { sampler, schedule } = Choice::find(sampler, schedule, "leading").unwrap();
    (sampler.name, schedule.name)
}

#[test]
fn a_samplers_name_may_end_in_a_schedules() {
    for (typed, sampler, schedule) in [
        ("DPM++ 2M Karras", "dpmpp_2m", "karras"),
        ("Euler a Karras", "euler_ancestral", "karras"),
        ("k_dpmpp_2m_ka", "dpmpp_2m", "karras"),
        ("dpmpp_2m_k", "dpmpp_2m", "karras"),
        ("euler_k", "euler", "karras"),
        ("ddim_trailing", "ddim", "trailing"),
        ("DPM++ 2M AYS", "dpmpp_2m", "align_your_steps"),
        ("Heun SGM Uniform", "heun", "sgm_uniform"),
        ("DDIM", "ddim", "leading"),
        ("Euler", "euler", "leading"),
    ] {
        assert_eq!(choice(typed, None), (sampler, schedule), "{typed}");
    }
    for wrong in ["Karras", "DPM++ 9M Karras", "karras euler", "_k"] {
        let refused = Choice::find(wrong, None, "leading");
        assert_eq!(request_error(refused).0, "sampler", "{wrong}");
    }
}

#[test]
fn a_schedule_that_is_given_outweighs_one_in_the_samplers_name() {
    assert_eq!(
        choice("DPM++ 2M Karras", Some("exponential")),
        ("dpmpp_2m", "exponential")
    );
    let refused = Choice::find("DPM++ 2M Karras", Some("karas"), "leading");
    assert!(request_error(refused).1.contains("first: karras, "));
}

#[test]
fn automatic_is_the_schedule_that_a1111_chooses_for_the_sampler() {
    for (sampler, schedule) in [
        ("DPM++ 2M", "karras"),
        ("Euler a", "normal"),
        ("Heun", "normal"),
        ("DDIM", "ddim_uniform"),
    ] {
        assert_eq!(choice(sampler, Some("Automatic")).1, schedule, "{sampler}");
    }
    assert_eq!(choice("DPM++ 2M Karras", Some("automatic")).1, "karras");
}

#[test]
fn predictions_are_understood_by_every_programs_names() {
    for (typed, prediction) in [
        ("epsilon", Prediction::Epsilon),
        ("eps", Prediction::Epsilon),
        ("EPS", Prediction::Epsilon),
        ("v", Prediction::V),
        ("v_prediction", Prediction::V),
        ("v-prediction", Prediction::V),
        ("v_pred", Prediction::V),
        ("flow", Prediction::Flow),
    ] {
        assert_eq!(Prediction::find(typed).unwrap(), prediction, "{typed}");
    }
    let (field, reason) = request_error(Prediction::find("epsilom"));
    assert_eq!(field, "prediction");
    assert!(reason.contains("first: epsilon, "), "{reason}");
}

#[test]
fn rules_are_named_after_their_programs() {
    for (text, rules) in [
        ("diffusers", SigmaRules::Diffusers),
        ("k_diffusion", SigmaRules::KDiffusion),
        ("a1111", SigmaRules::KDiffusion),
        ("comfy", SigmaRules::Comfy),
        ("comfyui", SigmaRules::Comfy),
    ] {
        let read: SigmaRules = serde_json::from_value(text.into()).unwrap();
        assert_eq!(read, rules);
    }
}
