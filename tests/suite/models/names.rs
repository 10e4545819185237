//! What a name means: models and parts that are asked for by name.

use super::*;

#[test]
fn a_model_is_used_by_its_name() {
    let home = Home::new();
    home.copy("models/tiny_a.safetensors", "models/sub/Tiny_A.safetensors");
    for name in ["tiny_a", "Tiny_A.safetensors", "sub/tiny_a"] {
        let plan = home.succeed(&["plan", "-m", name]);
        assert!(plan.contains("unet"), "{plan}");
        let said = home.succeed(&["inspect", name]);
        assert!(said.contains("Stable Diffusion 1.x"), "{said}");
    }
    let mut draw = home.program(&["generate", "a cat", "-m", "tiny_a", "-o", "a.png"]);
    let output = draw.args(QUICK).args(device()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(home.path("a.png").is_file());
}

#[test]
fn a_part_is_used_by_its_name() {
    let home = Home::new();
    home.copy("models/tiny_a.safetensors", "models/model.safetensors");
    // The one in bf16 among those in f16.
    home.copy("models/tiny_b.safetensors", "models/vae/vae.safetensors");
    let said = home.succeed(&["inspect", "model", "--vae", "vae"]);
    let vae = said.lines().find(|line| line.starts_with("vae ")).unwrap();
    assert!(vae.contains("bf16"), "{said}");
    home.assert_refused(&["plan", "-m", "vae"], 2, &["is a VAE, not a model"]);
    // A part's folder here is meant before a file elsewhere.
    fs::create_dir(home.path("vae")).unwrap();
    fs::write(home.path("vae/config.json"), "{}").unwrap();
    home.assert_refused(&["inspect", "model", "--vae", "vae"], 1, &["vae: "]);
}

#[test]
fn no_such_file_unknown_model_and_no_models_are_different_answers() {
    let home = Home::new();
    let plan = |model: &'static str| ["plan", "-m", model];
    let none = [
        "no models found",
        "looked in",
        "models",
        "aquatint models add",
    ];
    home.assert_refused(&plan("tiny"), 2, &none);
    home.copy("models/tiny_a.safetensors", "models/tiny_a.safetensors");
    let unknown = [
        "unknown model \"tiny_b\"",
        "did you mean \"tiny_a\"?",
        "aquatint models",
    ];
    home.assert_refused(&plan("tiny_b"), 2, &unknown);
    let file = [
        "unknown model \"tiny_b.safetensors\"",
        "did you mean \"tiny_a\"?",
    ];
    home.assert_refused(&plan("tiny_b.safetensors"), 2, &file);
    for path in [
        "./tiny_a",
        "nowhere/tiny_a.safetensors",
        "/nowhere/tiny_a",
        "juggernaut.safetensors",
    ] {
        home.assert_refused(&plan(path), 1, &["no such file", path]);
    }
    home.copy(
        "models/tiny_a.safetensors",
        "models/again/tiny_a.safetensors",
    );
    let both = ["several files", "again", "give the path"];
    home.assert_refused(&plan("tiny_a"), 2, &both);
}

#[test]
fn a_file_here_is_taken_before_a_model_of_that_name() {
    let home = Home::new();
    home.copy("models/tiny_a.safetensors", "models/tiny.safetensors");
    home.copy("models/tiny_sd2.safetensors", "tiny.safetensors");
    fs::create_dir(home.path("tiny")).unwrap();
    assert!(
        home.succeed(&["inspect", "tiny.safetensors"])
            .contains("Stable Diffusion 2.x")
    );
    // A folder that is no model stands in nobody's way.
    assert!(
        home.succeed(&["inspect", "tiny"])
            .contains("Stable Diffusion 1.x")
    );
}

#[test]
fn a_picture_is_replayed_with_the_model_that_it_names() {
    let home = Home::new();
    home.copy("models/tiny_a.safetensors", "models/tiny.safetensors");
    let run = |arguments: &[&str]| {
        let output = home.program(arguments).args(device()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    let draw = ["generate", "a cat", "-m", "tiny", "-o", "a.png", "-s", "7"];
    run(&[&draw[..], &QUICK].concat());
    let replay = ["replay", "a.png", "-o", "b.png", "--require-equal"];
    let output = run(&replay);
    assert!(stdout(&output).contains("identical"), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("tiny.safetensors"),
        "{}",
        stderr(&output)
    );
    fs::remove_file(home.path("models/tiny.safetensors")).unwrap();
    home.assert_refused(
        &replay,
        2,
        &[
            "made with the model \"tiny\"",
            "no models found",
            "-m MODEL",
        ],
    );
}
