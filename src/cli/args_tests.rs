use super::*;
use crate::cli::drawing::DrawArgs;
use crate::cli::values::{Seed, Sigmas, bytes};
use aquatint::sampling::{Prediction, SAMPLERS, SCHEDULES};

fn generate(arguments: &[&str]) -> GenerateArgs {
    let argv = std::iter::once("aquatint").chain(arguments.iter().copied());
    match parse(argv.map(OsString::from)) {
        Ok(Verb::Generate(args)) => *args,
        other => panic!("{arguments:?} were read as {other:?}"),
    }
}

fn drawn(arguments: &[&str]) -> DrawArgs {
    generate(arguments).draw
}

fn refusal(arguments: &[&str]) -> String {
    let argv = std::iter::once("aquatint").chain(arguments.iter().copied());
    let refusal = parse(argv.map(OsString::from)).unwrap_err();
    assert_eq!(refusal.exit_code(), 2, "{arguments:?}");
    refusal.to_string()
}

#[test]
fn the_command_line_is_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn a_prompt_alone_is_generate() {
    assert_eq!(generate(&["a cat"]).prompt, "a cat");
    assert_eq!(drawn(&["-W", "256", "a cat"]).size.width, Some(256));
    assert_eq!(generate(&["generate", "plan"]).prompt, "plan");
    assert_eq!(generate(&[""]).prompt, "");
    assert_eq!(generate(&["-q", "--", "-v"]).prompt, "-v");
}

#[test]
fn amounts_of_memory_have_the_units_of_disks_or_of_processors() {
    for (typed, expected) in [
        ("6GB", 6_000_000_000),
        ("800mb", 800_000_000),
        ("5.5 GiB", 5_905_580_032),
        ("512MiB", 536_870_912),
        ("4G", 4_294_967_296),
        ("7b", 7),
        ("640k", 655_360),
        ("99999999999GB", u64::MAX),
    ] {
        assert_eq!(bytes(typed), Ok(expected), "{typed}");
    }
    for typed in [
        "",
        "GB",
        "0",
        "16",
        "1048576",
        "0.2b",
        "-6GB",
        "6 GB free",
        "6TBs",
        "1.2.3GB",
        "half",
    ] {
        let refusal = bytes(typed).unwrap_err();
        assert!(refusal.contains("as in 6GB"), "{typed}: {refusal}");
    }
}

#[test]
fn verbs_are_not_prompts() {
    let argv = ["aquatint", "plan", "-W", "64"].map(OsString::from);
    assert!(matches!(parse(argv), Ok(Verb::Plan(_))));
    let argv = ["aquatint", "--version"].map(OsString::from);
    assert!(matches!(parse(argv), Ok(Verb::Version(Detail::Plain))));
}

#[test]
fn the_names_that_users_of_other_programs_know_are_taken() {
    let args = drawn(&[
        "--cfg-scale",
        "7",
        "--sampling-method",
        "euler",
        "--scheduler",
        "karras",
        "a cat",
    ]);
    assert_eq!(args.guidance_scale, Some(7.0));
    assert_eq!(args.sampler.as_deref(), Some("euler"));
    assert_eq!(args.schedule.as_deref(), Some("karras"));
}

#[test]
fn zero_is_a_seed_and_minus_one_draws() {
    assert_eq!(drawn(&["a"]).seed, Seed::Draw);
    assert_eq!(drawn(&["a", "-s", "-1"]).seed, Seed::Draw);
    assert_eq!(drawn(&["a", "-s", "0"]).seed, Seed::Fixed(0));
    assert_eq!(
        drawn(&["a", "-s", "18446744073709551615"]).seed,
        Seed::Fixed(u64::MAX)
    );
}

#[test]
fn what_is_no_number_is_refused_by_the_flags_name() {
    for (flag, values) in [
        ("--width", ["-5", "1.5", "wide", ""]),
        ("--height", ["-5", "1e3", "nan", "99999999999999999999"]),
        ("--steps", ["-1", "0.5", "many", "0x10"]),
        ("--batch-size", ["-1", "two", "1,5", " 1"]),
        ("--guidance-scale", ["nan", "inf", "strong", "7,5"]),
        ("--seed", ["-2", "18446744073709551616", "1.0", "lucky"]),
        ("--preset", ["", "webui", "A1112", "comfy"]),
        ("--noise", ["cuda", "", "noise.bin", "torch"]),
        ("--precision", ["f64", "f8", "", "half"]),
        ("--sigmas", ["14.6,,0", "", "many", "14.6;0"]),
        ("--sigma-rules", ["karras", "", "1", "forge"]),
        ("--noise-path", ["brown", "", "1", "philox"]),
        ("--eta", ["nan", "inf", "", "half"]),
        ("--prediction", ["x", "", "epsilom", "0"]),
    ] {
        for value in values {
            let message = refusal(&["a cat", flag, value]);
            assert!(message.contains(flag), "{flag} {value:?}: {message}");
        }
    }
}

#[test]
fn words_without_quotes_are_explained() {
    assert!(refusal(&["a", "cat"]).contains("in quotes"));
    assert!(!refusal(&["a", "--cat"]).contains("in quotes"));
}

#[test]
fn help_names_every_sampler_and_schedule() {
    let argv = ["aquatint", "generate", "--help"].map(OsString::from);
    let help = parse(argv).unwrap_err().to_string();
    let samplers = SAMPLERS.iter().map(|sampler| sampler.name);
    for name in samplers.chain(SCHEDULES.iter().map(|schedule| schedule.name)) {
        assert!(
            help.contains(&format!("- {name}: ")),
            "{name} is missing in:\n{help}"
        );
    }
}

#[test]
fn own_sigmas_are_read_with_spaces_and_brackets_or_without() {
    for typed in ["14.6,3.9,0", "14.6, 3.9, 0.0", "[14.6, 3.9, 0]"] {
        let args = drawn(&["a cat", "--sigmas", typed]);
        assert_eq!(args.sigmas, Some(Sigmas(vec![14.6, 3.9, 0.0])));
    }
    let both = ["a cat", "--sigmas", "14.6,0", "--schedule", "karras"];
    assert!(refusal(&both).contains("--schedule"));
}

#[test]
fn predictions_are_read_by_the_names_of_other_programs() {
    for (typed, prediction) in [("eps", Prediction::Epsilon), ("v", Prediction::V)] {
        let args = drawn(&["a cat", "--prediction", typed]);
        assert_eq!(args.prediction, Some(prediction));
    }
}
