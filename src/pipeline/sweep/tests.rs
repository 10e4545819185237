//! Which sweeps are refused, and what the others ask for.

use super::axis::{FIELDS, TASK_FIELDS};
use super::*;
use crate::pipeline::{Precision, Task};
use crate::{Image, InputImage};
use serde_json::Value;

fn sweep(axes: &[&str]) -> Result<Sweep> {
    let axes: Result<Vec<_>> = axes.iter().map(|axis| SweepAxis::parse(axis)).collect();
    Sweep::new(axes?)
}

fn refusal(axes: &[&str], request: &Request) -> (String, String) {
    let cells = sweep(axes).and_then(|sweep| sweep.cells(request));
    match cells {
        Err(Error::Request { field, reason }) => (field.to_owned(), reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_setting_with_one_value_can_vary() {
    let Value::Object(fields) = serde_json::to_value(Request {
        dynamic_thresholding: Some(0.9),
        threshold_max: Some(1.0),
        variation_strength: Some(0.1),
        variation_seed: Some(1),
        vae_tile: Some(512),
        seamless: Some(crate::Seamless::X),
        ..Request::default()
    })
    .unwrap() else {
        panic!("a request is an object")
    };
    // Lists, pictures, and what says how the pictures of a batch belong together.
    let others = [
        "task",
        "sigmas",
        "original_size",
        "crop",
        "target_size",
        "batch_size",
        "batch_noise",
        "step_noise",
    ];
    let mut expected: Vec<_> = fields.keys().map(String::as_str).collect();
    expected.retain(|field| !others.contains(field));
    let mut known = FIELDS.to_vec();
    expected.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, expected);
}

#[test]
fn all_combinations_are_asked_for_and_plans_change_rarely() {
    let sweep = sweep(&["sampler=euler,ddim", "guidance-scale=3, 5,7", "seed=1,2"]).unwrap();
    assert_eq!(sweep.shape(), [2, 3, 2]);
    let cells = sweep.cells(&Request::new("a cat").steps(4)).unwrap();
    assert_eq!(cells.len(), 12);
    for (at, cell) in cells.iter().enumerate() {
        let [column, row, block] = cell.place;
        let request = &cell.request;
        assert_eq!(request.sampler.as_deref(), Some(["euler", "ddim"][column]));
        assert_eq!(request.guidance_scale, Some([3.0, 5.0, 7.0][row]));
        assert_eq!(request.seed, Some([1, 2][block]));
        assert_eq!((request.steps, request.prompt.as_str()), (Some(4), "a cat"));
        // Guidance may change the number of evaluations, so it is outermost.
        assert_eq!(row, at / 4);
        let labels = [
            format!("sampler: {}", ["euler", "ddim"][column]),
            format!("guidance_scale: {}", [3, 5, 7][row]),
            format!("seed: {}", [1, 2][block]),
        ];
        assert_eq!(cell.labels, labels);
    }
}

#[test]
fn combinations_share_a_seed_that_nobody_chose() {
    let sweep = sweep(&["steps=1,2,3"]).unwrap();
    let cells = sweep.cells(&Request::new("a cat")).unwrap();
    let seed = cells[0].request.seed;
    assert!(seed.is_some() && cells.iter().all(|cell| cell.request.seed == seed));
}

#[test]
fn values_in_quotes_may_hold_commas() {
    let values = |typed: &str| SweepAxis::parse(typed).unwrap().values().to_vec();
    assert_eq!(
        values(r#"prompt="a, b" , c d ,"say \"x\"""#),
        ["a, b", "c d", "say \"x\""]
    );
    assert_eq!(values(r"prompt=a\, b,c\\,d\e"), ["a, b", r"c\", r"d\e"]);
    assert_eq!(values(r#"negative_prompt="",ugly"#), ["", "ugly"]);
    assert_eq!(values("prompt=a=b"), ["a=b"]);
    assert_eq!(values("prompt=狐,🐈"), ["狐", "🐈"]);
    for typed in [
        r#"prompt="a, b",c\\,"#.trim_end_matches(','),
        r#"seed=1,2"#,
        r#"prompt="","a\"b""#,
    ] {
        let axis = SweepAxis::parse(typed).unwrap();
        assert_eq!(
            SweepAxis::parse(&axis.to_string()).unwrap(),
            axis,
            "{typed}"
        );
    }
}

#[test]
fn what_cannot_be_swept_is_refused_before_anything_is_drawn() {
    let request = Request::new("a cat");
    let (field, reason) = refusal(&["guidance_scal=3"], &request);
    assert_eq!(field, "sweep");
    assert!(reason.contains("guidance_scale"), "{reason}");
    let long = format!("{}=1", "x".repeat(10_000));
    assert!(refusal(&[&long], &request).1.len() < 200);
    for (axes, field, part) in [
        (&["steps"][..], "sweep", "as in"),
        (&["steps="], "sweep", "empty"),
        (&["steps=1,,2"], "sweep", "empty"),
        (&["prompt=\"a"], "sweep", "no end"),
        (&["prompt=\"a\"b"], "sweep", "comma"),
        (&["steps=1", "steps=2"], "sweep", "twice"),
        (
            &["steps=1", "seed=2", "eta=0", "width=8"],
            "sweep",
            "at most 3",
        ),
        (&["steps=0,1"], "steps", "at least 1"),
        (&["steps=1.5"], "steps", "1.5"),
        (&["steps=-3"], "steps", "-3"),
        (&["guidance_scale=3,NaN"], "guidance_scale", "NaN"),
        (&["sampler=euler,eular"], "sampler", "eular"),
        (&["seamless=z"], "seamless", "\"z\""),
        (&["strength=0.5"], "strength", "task"),
        (&["sigmas=1"], "sweep", "cannot vary"),
    ] {
        let (found, reason) = refusal(axes, &request);
        assert_eq!(found, field, "{axes:?}: {reason}");
        assert!(reason.contains(part), "{axes:?}: {reason}");
    }
    let many = |field: &str| format!("{field}={}", vec!["1"; 50].join(","));
    let (_, reason) = refusal(&[&many("seed"), &many("steps")], &request);
    assert!(reason.contains("50 × 50"), "{reason}");
    let (_, reason) = refusal(&["steps=1,2"], &request.clone().batch_size(2));
    assert!(reason.contains("one picture"), "{reason}");
}

#[test]
fn names_are_read_as_the_program_takes_them() {
    let value = |axis: &str| {
        let cells = sweep(&[axis])
            .unwrap()
            .cells(&Request::new("a cat"))
            .unwrap();
        cells.into_iter().next_back().unwrap().request
    };
    assert_eq!(value("prompt=5").prompt, "5");
    assert_eq!(value("precision=f16,F32").precision, Precision::F32);
    assert_eq!(
        value("noise=torch-cpu,philox").noise,
        Some(crate::Noise::Philox)
    );
    assert_eq!(value("seamless=x,xy").seamless, Some(crate::Seamless::Xy));
    assert_eq!(value("seed=18446744073709551615").seed, Some(u64::MAX));
    assert_eq!(value("guidance_scale=.5").guidance_scale, Some(0.5));
}

#[test]
fn a_tasks_settings_vary_and_its_picture_stays() {
    let image = Image::from_rgba(1, 1, vec![1, 2, 3, 255]).unwrap();
    let task = Task::ImageToImage {
        image: InputImage::from(image),
        strength: 0.75,
    };
    let request = Request::new("a cat").task(task);
    assert_eq!(TASK_FIELDS[0], "strength");
    let cells = sweep(&["strength=0.25,0.5", "steps=2"])
        .unwrap()
        .cells(&request)
        .unwrap();
    let Task::ImageToImage { image, strength } = &cells[1].request.task else {
        panic!("{:?}", cells[1].request.task)
    };
    assert_eq!(*strength, 0.5);
    assert!(image.image().is_ok(), "the pixels are at hand");
    let (field, _) = refusal(&["strength=0.5,2"], &request);
    assert_eq!(field, "strength");
}
