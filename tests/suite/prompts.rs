//! What the network is told of prompts with weights and of long ones.
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
fn a_prompt_of_three_chunks_is_encoded_whole_and_the_negative_one_padded() {
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

        // A1111 appends empty prompts, ComfyUI repeats what there is.
        let filling = match style {
            PromptStyle::Comfy => "dog",
            _ => "",
        };
        let (_, negative) = trace.values("negative_prompt_embeds").unwrap();
        assert_close(&negative[..chunk], &vectors(PromptStyle::Plain, "dog").0);
        assert_close(
            &negative[2 * chunk..],
            &vectors(PromptStyle::Plain, filling).0,
        );
        let memory = |request| pipeline().memory(request).unwrap().activation_bytes;
        assert!(memory(&long) > memory(&request(style, "cat")));
    }
}

#[test]
fn what_a_prompt_cannot_ask_for_is_known_before_the_first_step() {
    for (prompt, want) in [
        ("a <lora:x:1>", "LoRA"),
        ("a AND b", "AND"),
        ("(a:1000)", "weight"),
    ] {
        let error = pipeline().memory(&request(PromptStyle::A1111, prompt));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}
