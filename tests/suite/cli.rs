//! The program as its users meet it: arguments in; files, stdout, stderr and an exit code out.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aquatint::sampling::{SAMPLERS, SCHEDULES};
use aquatint::{Image, PARAMETERS_KEYWORD, REQUEST_KEYWORD};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{aquatint, assert_refused, device, draw, files, json, run, stderr, stdout};

#[test]
fn the_version_says_verbosely_what_a_bug_report_needs() {
    let version = concat!("aquatint ", env!("CARGO_PKG_VERSION"), "\n");
    for short in [&["--version"][..], &["-V"]] {
        assert_eq!(stdout(&run(short)), version);
    }
    for long in [&["--version", "--verbose"][..], &["-v", "-V"], &["-vV"]] {
        let said = stdout(&run(long));
        let rest = said.strip_prefix(version).expect(&said);
        let names = rest.lines().map(|line| line.split_once(": ").expect(line));
        let (names, values): (Vec<&str>, Vec<&str>) = names.unzip();
        let expected = ["commit", "features", "backends", "target", "compiler"];
        assert_eq!(names, expected, "{said}");
        assert!(values[1].contains("demo-model"), "{said}");
        assert!(values[3].contains(std::env::consts::ARCH), "{said}");
        assert!(values[4].trim().starts_with("rustc 1."), "{said}");
    }
    assert_refused(&run(&["--version", "plan"]), 2, &["--version"]);
}

#[test]
fn a_trace_never_takes_the_place_of_a_picture() {
    let folder = TempDir::new().unwrap();
    let output = draw(folder.path(), &["-o", "out.png", "--trace", "out.png"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("must end in .safetensors"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_size_beyond_32_bits_is_refused_before_anything_runs() {
    for verb in [&["plan"][..], &["generate", "a fox"]] {
        let sizes = ["-W", "8192", "-H", "8192", "-b", "64"];
        let arguments: Vec<&str> = verb.iter().copied().chain(sizes).collect();
        let output = run(&[&arguments[..], if verb.len() > 1 { device() } else { &[] }].concat());
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("use a smaller size"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_prompt_becomes_a_file_that_says_how_it_was_made() {
    let folder = TempDir::new().unwrap();
    let output = draw(folder.path(), &["-s", "42", "-n", "blurry"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "aquatint-42.png\n");
    assert!(
        stderr(&output).contains("64×64 · 2 steps"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("seed 42"), "{}", stderr(&output));

    let image = Image::open(folder.path().join("aquatint-42.png")).unwrap();
    assert_eq!((image.width(), image.height()), (64, 64));
    let parameters = image.text(PARAMETERS_KEYWORD).unwrap();
    assert!(
        parameters.starts_with("a slice of pizza\nNegative prompt: blurry\nSteps: 2, Sampler: "),
        "{parameters}"
    );
    assert!(
        parameters.contains("Seed: 42, Size: 64x64, Model: "),
        "{parameters}"
    );
    let request: Value = serde_json::from_str(image.text(REQUEST_KEYWORD).unwrap()).unwrap();
    assert_eq!(request["prompt"], "a slice of pizza");
    assert_eq!(request["seed"], 42);
    assert_eq!(request["steps"], 2);
}

#[test]
fn the_same_seed_gives_the_same_picture_and_a_drawn_seed_is_told() {
    let folder = TempDir::new().unwrap();
    let first = json(&draw(
        folder.path(),
        &["--json", "-s", "-1", "-o", "first.png"],
    ));
    let seed = first["images"][0]["seed"].as_u64().unwrap();
    assert_eq!(first["request"]["seed"], seed);
    let again = draw(folder.path(), &["-s", &seed.to_string(), "-o", "again.png"]);
    assert!(again.status.success(), "{}", stderr(&again));
    let pixels = |name| Image::open(folder.path().join(name)).unwrap().into_pixels();
    assert_eq!(pixels("first.png"), pixels("again.png"));
}

#[test]
fn files_that_exist_are_never_lost() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cat.png"), "precious").unwrap();
    let output = draw(folder.path(), &["-q", "-o", "cat.png", "-b", "2"]);
    assert_eq!(
        stdout(&output),
        "cat-1.png\ncat-2.png\n",
        "{}",
        stderr(&output)
    );
    assert_eq!(stderr(&output), "");
    assert_eq!(
        fs::read_to_string(folder.path().join("cat.png")).unwrap(),
        "precious"
    );

    let output = draw(folder.path(), &["-o", "cat.png", "--overwrite"]);
    assert_eq!(stdout(&output), "cat.png\n", "{}", stderr(&output));
    assert!(Image::open(folder.path().join("cat.png")).is_ok());
    assert_eq!(files(folder.path()), ["cat-1.png", "cat-2.png", "cat.png"]);
}

#[test]
fn a_trace_is_written_once() {
    let folder = TempDir::new().unwrap();
    let output = draw(folder.path(), &["--trace", "run.safetensors"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(folder.path().join("run.safetensors").is_file());
    let output = draw(folder.path(), &["--trace", "run.safetensors"]);
    assert_refused(&output, 2, &["trace", "run.safetensors", "--overwrite"]);
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn json_holds_the_request_the_files_and_the_timings() {
    let folder = TempDir::new().unwrap();
    let report = json(&draw(
        folder.path(),
        &["--json", "-s", "7", "-b", "2", "-o", "{index}"],
    ));
    assert_eq!(report["request"]["width"], 64);
    assert_eq!(report["request"]["batch_size"], 2);
    assert!(
        report["request"]["guidance_scale"].is_number(),
        "defaults are filled in: {report}"
    );
    assert!(
        report["request"]["sampler"].is_string(),
        "defaults are filled in: {report}"
    );
    for (index, seed) in [(0, 7), (1, 8)] {
        let image = &report["images"][index];
        assert_eq!(image["seed"], seed);
        assert_eq!(image["path"], format!("{index}.png"));
    }
    assert_eq!(report["memory"]["residence"], "together");
    assert!(report["timings"]["steps_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn numbers_out_of_range_are_usage_errors_that_name_the_flag() {
    for (flag, field, values) in [
        (
            "--width",
            "width",
            &["0", "7", "-5", "1000000000", "wide", "1e999"][..],
        ),
        (
            "--height",
            "height",
            &["0", "7", "-5", "1000000000", "18446744073709551616"],
        ),
        ("--steps", "steps", &["0", "-1", "1000000", "2.5"]),
        (
            "--guidance-scale",
            "guidance",
            &["NaN", "inf", "1e999", "strong"],
        ),
        ("--seed", "seed", &["-2", "18446744073709551616", "lucky"]),
        ("--batch-size", "batch", &["0", "-1", "1000000"]),
        ("--sampler", "sampler", &["", "no_such_sampler"]),
        ("--schedule", "schedule", &["", "no_such_schedule"]),
        ("--noise", "noise", &["cuda", "noise.bin"]),
        ("--precision", "precision", &["f8", ""]),
    ] {
        for value in values {
            let start = Instant::now();
            let arguments = [&["a cat", flag, value], device()].concat();
            assert_refused(&run(&arguments), 2, &[field]);
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{flag} {value} took too long"
            );
        }
    }
}

#[test]
fn an_unknown_sampler_is_answered_with_the_known_ones() {
    let names: Vec<&str> = SAMPLERS.iter().map(|sampler| sampler.name).collect();
    assert_refused(&run(&["a cat", "--sampler", "eulr"]), 2, &names);
    let names: Vec<&str> = SCHEDULES.iter().map(|schedule| schedule.name).collect();
    assert_refused(&run(&["a cat", "--schedule", "karas"]), 2, &names);
}

#[test]
fn places_that_cannot_be_written_are_refused_before_the_work() {
    assert_refused(
        &run(&["a cat", "-o", "no/such/folder/a.png"]),
        2,
        &["no/such/folder"],
    );
    assert_refused(&run(&["a cat", "-o", "a.jpg"]), 2, &[".png"]);
    assert_refused(
        &run(&["a cat", "-o", "{sede}.png"]),
        2,
        &["{sede}", "{seed}"],
    );
    let trace = ["a cat", "--trace", "no/such/folder/a.safetensors"];
    assert_refused(&run(&trace), 2, &["trace", "no/such/folder"]);
}

#[test]
fn a_missing_model_is_named() {
    for verb in [&["a cat", "-m"][..], &["plan", "-m"], &["inspect"]] {
        let output = aquatint()
            .args(verb)
            .arg("no-such-model.safetensors")
            .output()
            .unwrap();
        assert_refused(&output, 1, &["no-such-model.safetensors"]);
    }
}

#[test]
fn missing_noise_is_named() {
    let folder = TempDir::new().unwrap();
    let output = draw(folder.path(), &["--noise", "no-such-noise.safetensors"]);
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("no-such-noise.safetensors"),
        "{}",
        stderr(&output)
    );
    assert!(files(folder.path()).is_empty());
}

#[test]
fn an_unknown_device_is_named() {
    let output = run(&["a cat", "--device", "no-such-device"]);
    assert!(!output.status.success());
    assert!(
        stderr(&output).starts_with("error: "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn words_without_quotes_are_explained() {
    assert_refused(&run(&["a", "slice", "of", "pizza"]), 2, &["quotes"]);
}

#[cfg(unix)]
#[test]
fn a_prompt_that_is_not_utf_8_is_a_usage_error() {
    use std::os::unix::ffi::OsStrExt;
    let prompt = std::ffi::OsStr::from_bytes(b"a c\xFFt");
    for arguments in [vec![prompt], vec!["generate".as_ref(), prompt]] {
        assert_refused(&aquatint().args(arguments).output().unwrap(), 2, &["UTF-8"]);
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["help", "plan"],
        &["generate", "--help"],
    ] {
        let output = run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(stdout(&output).contains("Usage: aquatint"), "{arguments:?}");
    }
    assert_eq!(
        stdout(&run(&["-V"])),
        concat!("aquatint ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(run(&[]).status.code(), Some(2));
}

#[test]
fn devices_are_listed_with_what_they_can_do() {
    let output = run(&["devices", "--json"]);
    if device().is_empty() {
        let devices = json(&output);
        for (index, device) in devices.as_array().unwrap().iter().enumerate() {
            assert_eq!(device["index"], index);
            for field in ["name", "backend", "kind", "software", "features", "limits"] {
                assert!(!device[field].is_null(), "no {field} in {device}");
            }
        }
        let name = devices[0]["name"].as_str().unwrap().to_owned();
        assert!(stdout(&run(&["devices"])).contains(&name));
    } else {
        assert_refused(&output, 1, &["install"]);
    }
}

#[test]
fn a_plan_tells_work_and_memory_of_each_part() {
    let plan = |size| json(&run(&["plan", "-W", size, "-H", "64", "--json"]));
    let (small, large) = (plan("64"), plan("128"));
    for part in ["text_encoder", "unet", "vae_decoder"] {
        for figure in [
            "dispatches",
            "flops",
            "bytes",
            "weight_bytes",
            "peak_activation_bytes",
        ] {
            let small = small["parts"][part][figure].as_u64();
            let large = large["parts"][part][figure].as_u64();
            assert!(small > Some(0), "{part}: no {figure}");
            assert!(small <= large, "{part}: {figure} shrinks with the size");
        }
        assert!(stdout(&run(&["plan"])).contains(part));
    }
    assert_refused(&run(&["plan", "-W", "7"]), 2, &["width"]);
}

#[test]
fn inspect_lists_tensors_only_when_asked() {
    let plain = json(&run(&["inspect", "--json"]));
    assert!(plain.get("tensors").is_none());
    let tensors = json(&run(&["inspect", "--json", "--tensors"]));
    assert!(!tensors["tensors"].as_array().unwrap().is_empty());
    let name = tensors["tensors"][0]["name"].as_str().unwrap();
    assert!(stdout(&run(&["inspect", "--tensors"])).contains(name));
    assert!(!stdout(&run(&["inspect"])).contains(name));
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = aquatint()
        .args(["inspect", "--tensors"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_within_a_step_and_leaves_nothing() {
    /// Shells' exit code after SIGINT.
    const CANCELLED: i32 = 130;
    let folder = TempDir::new().unwrap();
    let mut child = aquatint()
        .current_dir(folder.path())
        .args([
            "a slice of pizza",
            "-W",
            "64",
            "-H",
            "64",
            "--steps",
            "1000",
        ])
        .args(device())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(
        lines.by_ref().any(|line| line.contains("1000 steps")),
        "the settings are printed"
    );
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let rest: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(CANCELLED), "{rest:?}");
    assert_eq!(
        rest.last().map(String::as_str),
        Some("cancelled"),
        "{rest:?}"
    );
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    assert!(output.stdout.is_empty());
}
