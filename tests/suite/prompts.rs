//! What the network is told of prompts with weights, of long, joined and changing ones.
//!
//! The vectors of a weighted prompt are computed here from those of plain ones, by the formulas of
//! A1111 (`modules/sd_emphasis.py`) and ComfyUI (`comfy/sd1_clip.py`).

use crate::device;
use aquatint::{Model, Pipeline, Precision, PromptStyle, Request, Trace};
use std::sync::OnceLock;

/// One f32 sum taken in another order, on vectors of unit variance.
const TOLERANCE: f32 = 1e-4;
/// Positions of the text encoder.
const LENGTH: usize = 77;
/// "a cat in the sun": the place of the second word. Both "cat" and "dog" are one token.
const CAT: usize = 2;

fn pipeline() -> &'static Pipeline {
    static PIPELINE: OnceLock<Pipeline> = OnceLock::new();
    PIPELINE.get_or_init(|| Pipeline::new(device::best(), Model::demo().unwrap()).unwrap())
}

fn request(style: PromptStyle, prompt: &str) -> Request {
    let request = Request::new(prompt).prompt_style(style).size(64, 64);
    request.steps(1).seed(1).precision(Precision::F32)
}

fn traced(request: &Request) -> Trace {
    let run = pipeline().start_traced(request).unwrap();
    run.finish_traced().unwrap().1
}

/// The vectors of a prompt, and how wide one is.
fn vectors(style: PromptStyle, prompt: &str) -> (Vec<f32>, usize) {
    let trace = traced(&request(style, prompt));
    let (shape, values) = trace.values("prompt_embeds").unwrap();
    (values.clone(), shape[2])
}

fn assert_close(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    let differences = got.iter().zip(want).map(|(got, want)| (got - want).abs());
    let most = differences.fold(0.0, f32::max);
    assert!(most < TOLERANCE, "{most}");
}

#[test]
fn comfys_weights_lead_away_from_the_empty_prompt() {
    let (plain, width) = vectors(PromptStyle::Plain, "a cat in the sun");
    let (empty, _) = vectors(PromptStyle::Plain, "");
    let (got, _) = vectors(PromptStyle::Comfy, "a (cat:1.5) in the sun");
    let mut want = plain.clone();
    for i in CAT * width..(CAT + 1) * width {
        want[i] = empty[i] + 1.5 * (plain[i] - empty[i]);
    }
    assert_close(&got, &want);
    assert!(want != plain);
}

#[test]
fn a1111s_weights_keep_the_mean_of_all_vectors() {
    let (plain, width) = vectors(PromptStyle::Plain, "a cat in the sun");
    let (got, _) = vectors(PromptStyle::A1111, "a (cat:1.5) in the sun");
    let mut want = plain.clone();
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    for value in &mut want[CAT * width..(CAT + 1) * width] {
        *value *= 1.5;
    }
    let ratio = mean(&plain) / mean(&want);
    want.iter_mut().for_each(|value| *value *= ratio);
    assert_close(&got, &want);
    assert!(want != plain);
}

#[test]
fn a_prompt_of_three_chunks_is_encoded_whole_and_the_negative_one_repeated() {
    for style in [PromptStyle::A1111, PromptStyle::Comfy] {
        let mut long = request(style, &"cat ".repeat(151));
        long.negative_prompt = "dog".into();
        let trace = traced(&long);
        let (shape, values) = trace.values("prompt_embeds").unwrap();
        assert_eq!(shape[1], 3 * LENGTH);
        let chunk = LENGTH * shape[2];
        assert_close(
            &values[..chunk],
            &vectors(PromptStyle::Plain, &"cat ".repeat(75)).0,
        );
        assert_close(&values[2 * chunk..], &vectors(PromptStyle::Plain, "cat").0);

        // Which leaves attention as it was.
        let (_, negative) = trace.values("negative_prompt_embeds").unwrap();
        for chunk in negative.chunks_exact(chunk) {
            assert_close(chunk, &vectors(PromptStyle::Plain, "dog").0);
        }
        let memory = |request| pipeline().memory(request).unwrap().activation_bytes;
        assert!(memory(&long) > memory(&request(style, "cat")));
    }
}

/// The latents after the only step of Euler's method from the same noise.
fn one_step(prompt: &str, guidance_scale: f64) -> Vec<f32> {
    let request = request(PromptStyle::A1111, prompt).negative("blurry");
    let trace = traced(&request.sampler("euler").guidance_scale(guidance_scale));
    trace.values("step.000.latents").unwrap().1
}

#[test]
fn joined_prompts_lead_away_from_the_negative_one_side_by_side() {
    // Such a step is linear in the network's output, and so in the guidance.
    let unguided = one_step("a cat", 0.0);
    let (cat, dog) = (one_step("a cat", 4.0), one_step(" a dog", 4.0));
    let towards = |guided: &[f32], i: usize| guided[i] - unguided[i];
    let want: Vec<f32> = (0..cat.len())
        .map(|i| unguided[i] + 0.75 * towards(&cat, i) - 0.5 * towards(&dog, i))
        .collect();
    let got = one_step("a cat :0.75 AND a dog:-0.5", 4.0);
    let largest = want
        .iter()
        .fold(0.0, |most: f32, value| most.max(value.abs()));
    let scaled = |values: &[f32]| -> Vec<f32> { values.iter().map(|x| x / largest).collect() };
    assert_close(&scaled(&got), &scaled(&want));
    assert!(got != cat && got != dog);
    // With no guidance beyond the prompts' own weights, the negative one still counts.
    assert!(one_step("a cat AND a dog", 1.0) != one_step("a cat", 1.0));
}

#[test]
fn words_change_when_the_prompt_says_so() {
    let latents = |prompt: &str| -> Vec<Vec<f32>> {
        let request = request(PromptStyle::A1111, prompt).steps(4);
        let trace = traced(&request.sampler("euler"));
        let of_step = |step| trace.values(&format!("step.{step:03}.latents")).unwrap().1;
        (0..4).map(of_step).collect()
    };
    let (cat, changed) = (latents("a cat"), latents("a [cat:dog:2]"));
    // As in A1111, the evaluation that follows the second step is the last to see what was before.
    assert_eq!(changed[..3], cat[..3]);
    assert!(changed[3] != cat[3]);
    assert_eq!(latents("a [cat:dog:0.5]"), changed);
    assert_eq!(latents("a [cat:dog:9]"), cat);
    assert_eq!(latents("a [cat:dog:0]"), latents("a dog"));

    let trace = traced(&request(PromptStyle::A1111, "a [cat|dog]").steps(3));
    let dog = vectors(PromptStyle::Plain, "a dog").0;
    assert_close(&trace.values("prompt_embeds.1").unwrap().1, &dog);
    assert!(trace.values("prompt_embeds.2").is_none());
}

#[test]
fn prompts_that_cannot_be_repeated_to_one_length_are_refused() {
    let words = |chunks: usize| "cat ".repeat(75 * chunks);
    let long = |prompt, negative| {
        let request = request(PromptStyle::A1111, &words(prompt));
        pipeline().resolve(&request.negative(words(negative)))
    };
    assert!(long(70, 1).is_ok() && long(32, 2).is_ok());
    for (prompt, negative) in [(65, 2), (66, 4), (13, 7)] {
        let error = long(prompt, negative).unwrap_err().to_string();
        assert!(error.contains("like length"), "{error}");
    }
}

#[test]
fn a_negative_prompt_that_counts_for_nothing_is_told() {
    let warned = |scale| {
        let request = request(PromptStyle::Plain, "a cat").negative("blurry");
        let run = pipeline().start(&request.guidance_scale(scale)).unwrap();
        run.warnings().to_vec()
    };
    let [warning] = warned(1.0).try_into().unwrap();
    assert!(warning.contains("negative prompt is not used"), "{warning}");
    assert_eq!(warned(2.0), [""; 0]);
}

#[test]
fn sizes_that_a_model_is_not_told_are_a_warning() {
    let request = request(PromptStyle::Plain, "a cat").original_size(64, 64);
    let run = pipeline().start(&request).unwrap();
    let [warning] = run.warnings() else {
        panic!("{:?}", run.warnings());
    };
    assert!(warning.contains("sizes given are not used"), "{warning}");
}

#[test]
fn a_prompt_that_is_cut_cannot_command_the_terminal() {
    let prompt = "cat ".repeat(80) + "\u{1b}[2J";
    let run = pipeline()
        .start(&request(PromptStyle::Plain, &prompt))
        .unwrap();
    let [warning] = run.warnings() else {
        panic!("{:?}", run.warnings());
    };
    assert!(
        warning.contains("75 tokens") && !warning.contains('\u{1b}'),
        "{warning}"
    );
}

#[test]
fn a_second_prompt_needs_a_second_text_encoder() {
    let error = pipeline().memory(&request(PromptStyle::Plain, "a cat").negative_2("a dog"));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("negative_prompt_2") && error.contains("two text encoders"),
        "{error}"
    );
}

#[test]
fn what_a_prompt_cannot_ask_for_is_known_before_the_first_step() {
    for (prompt, want) in [
        ("a <lora:x:1>", "LoRA"),
        ("AND ".repeat(8).as_str(), "9 prompts"),
        ("a AND b :101", "weight"),
        ("(a:1000)", "weight"),
    ] {
        let error = pipeline().memory(&request(PromptStyle::A1111, prompt));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}
