//! Model files that are damaged, hostile or something else: the program answers each with one
//! sentence that names the file, the reason and the remedy, soon and with nothing left behind.

mod folders;
mod making;

use crate::program::{
    DEMO, QUICK, aquatint, assert_refused, device, files, run, run_within, stderr, stdout,
};
use making::{Checkpoint, entry, with_entries, with_header, with_header_length, write};
use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

/// The longest that any answer may take, for a program that shares its machine with other tests.
const LIMIT: Duration = Duration::from_secs(5);
/// The longest that the refusal of what is no file may take: it is not read at all.
const UNREAD_LIMIT: Duration = Duration::from_secs(1);
/// The most bytes of a header.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What a reason and a remedy are recognised by, with bars between them.
type Words = &'static str;

/// Everything that opens a model.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Generate,
    Plan,
    Inspect,
}

/// Runs a verb on a model; what is drawn goes to `folder`.
fn ask(verb: Verb, model: &Path, folder: &Path, limit: Duration) -> Output {
    let mut command = aquatint();
    command.current_dir(folder);
    match verb {
        Verb::Generate => command
            .args(["generate", "a cat"])
            .args(QUICK)
            .args(device())
            .arg("-m"),
        Verb::Plan => command.args(["plan", "-m"]),
        Verb::Inspect => command.arg("inspect"),
    };
    run_within(limit, command.arg(model))
}

/// Asserts that verbs refuse a model with its name and all the words, and leave nothing.
#[track_caller]
fn assert_refused_by(verbs: &[Verb], limit: Duration, model: &Path, words: &str) {
    let folder = TempDir::new().unwrap();
    let path = model.display().to_string();
    let words: Vec<&str> = words.split(" | ").chain([path.as_str()]).collect();
    for &verb in verbs {
        assert_refused(&ask(verb, model, folder.path(), limit), 1, &words);
        assert_eq!(files(folder.path()), [""; 0], "{verb:?} left something");
    }
}

/// Asserts that no verb takes a model.
#[track_caller]
fn assert_unreadable(model: &Path, words: &str) {
    let verbs = [Verb::Generate, Verb::Plan, Verb::Inspect];
    assert_refused_by(&verbs, LIMIT, model, words);
}

/// Asserts that nothing is drawn with a model, and that `inspect` tells why.
#[track_caller]
fn assert_not_drawn(model: &Path, words: &str) {
    assert_refused_by(&[Verb::Generate, Verb::Plan], LIMIT, model, words);
    let said = stdout(&succeed(Verb::Inspect, model, Path::new(".")));
    for word in words.split(" | ").chain(["no picture"]) {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

/// Runs a verb that must succeed.
#[track_caller]
fn succeed(verb: Verb, model: &Path, folder: &Path) -> Output {
    let output = ask(verb, model, folder, LIMIT);
    assert!(output.status.success(), "{verb:?}: {}", stderr(&output));
    output
}

#[test]
fn other_formats_are_told_whatever_their_name() {
    let pickle: Words = "is a pickle checkpoint | convert it to safetensors";
    let terms: Words = "a site's refusal | accept the model's terms";
    let lfs =
        "version https://git-lfs.github.com/spec/v1\noid sha256:6ce0161689b3\nsize 4265146304\n";
    let gated =
        "Access to model runwayml/stable-diffusion-v1-5 is restricted. You must be authenticated.";
    #[rustfmt::skip]
    let rows: [(&[u8], Words); 8] = [
        (b"PK\x03\x04\0\0\x08\x08\0\0archive/data.pkl", pickle),
        (b"\x80\x02}q\0(X\x0a\0\0\0state_dictq\x01}q\x02.", pickle),
        (b"<!DOCTYPE html>\n<html lang=\"en\">", "is a web page | download it again"),
        (b"\xef\xbb\xbf\n  <html><body>Sign in</body></html>", "is a web page | logged in"),
        (lfs.as_bytes(), "is a Git LFS pointer | git lfs pull"),
        (gated.as_bytes(), terms),
        (br#"{"error":"Access to this model is restricted"}"#, terms),
        (b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", "is a GGUF file | get the .safetensors file"),
    ];
    let folder = TempDir::new().unwrap();
    for (bytes, words) in rows {
        for name in ["model.safetensors", "model.ckpt"] {
            assert_unreadable(&write(folder.path(), name, bytes), words);
        }
    }
}

#[test]
fn incomplete_downloads_are_told() {
    let demo = fs::read(DEMO).unwrap();
    let cut: Words = "is an incomplete download | download it again";
    #[rustfmt::skip]
    let rows: [(&[u8], Words); 6] = [
        (b"", "is empty | download it again"),
        (&demo[..7], "is 7 bytes long | too short | download it again"),
        (&demo[..8], "is not a safetensors file | download it again"),
        (&demo[..1000], cut),
        (&demo[..demo.len() / 2], cut),
        (&demo[..demo.len() - 1], cut),
    ];
    let folder = TempDir::new().unwrap();
    for (bytes, words) in rows {
        assert_unreadable(&write(folder.path(), "model.safetensors", bytes), words);
    }
}

#[test]
fn hostile_headers_are_refused() {
    let two = |first: &str, second: &str| {
        let entries = [
            entry("a", "U8", "[4]", first),
            entry("b", "U8", "[4]", second),
        ];
        with_entries(&entries, 8)
    };
    let one = |dtype: &str, shape: &str, offsets: &str| {
        with_entries(&[entry("a", dtype, shape, offsets)], 4)
    };
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let crowd: Vec<String> = (0..=100_000)
        .map(|i| entry(&i.to_string(), "U8", "[0]", "[0,0]"))
        .collect();
    let no_length: Words = "is not a safetensors file | give a .safetensors file";
    #[rustfmt::skip]
    let rows: [(Vec<u8>, Words); 22] = [
        (with_header_length(0), "header of 0 bytes | download it again"),
        (with_header_length(10), "incomplete download | download it again"),
        (with_header_length(u64::MAX), no_length),
        (with_header_length(1 << 63), no_length),
        (with_header_length(MAX_HEADER_BYTES + 1), no_length),
        (with_header("[]", 0), no_length),
        (with_header("{", 0), "in the middle of its JSON | download it again"),
        (with_header(b"{\xff\xfe}", 0), "not UTF-8 | download it again"),
        (with_header(format!(r#"{{"a":{deep}}}"#), 0), "malformed header | download it again"),
        (with_header(format!(r#"{{"a":{{"x":{deep}}}}}"#), 0), "malformed header | missing field | download it again"),
        (with_header(format!(r#"{{"__metadata__":{deep}}}"#), 0), "malformed header | download it again"),
        (two("[0,4]", "[0,4]"), "\"b\" overlaps another | download it again"),
        (two("[0,4]", "[2,6]"), "\"b\" overlaps another | download it again"),
        (two("[0,4]", "[5,9]"), "\"b\" leaves a hole | download it again"),
        (one("U8", "[4]", "[4,0]"), "before its start | download it again"),
        (one("U8", "[9]", "[0,9]"), "incomplete download | download it again"),
        (one("U8", "[3]", "[0,3]"), "1 bytes after its last tensor | download it again"),
        (one("F16", "[4294967296,4294967296]", "[0,4]"), "no possible size | download it again"),
        (one("F16", "[1,1,1,1,1,2]", "[0,4]"), "more than 5 axes | download it again"),
        (one("F17", "[2]", "[0,4]"), "\"F17\" is not known | download it again"),
        (with_entries(&crowd, 0), "more than 100000 tensors | download it again"),
        (with_entries(&vec![entry("a", "U8", "[4]", "[0,4]"); 2], 4), "\"a\" is there twice | download it again"),
    ];
    let folder = TempDir::new().unwrap();
    for (bytes, words) in rows {
        assert_unreadable(&write(folder.path(), "model.safetensors", bytes), words);
    }

    // As long as allowed, and longer, with a file to match: a hole that takes no disk.
    for (length, words) in [
        (MAX_HEADER_BYTES, "malformed header | download it again"),
        (MAX_HEADER_BYTES + 1, no_length),
    ] {
        let path = write(
            folder.path(),
            "model.safetensors",
            with_header_length(length),
        );
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(8 + length).unwrap();
        assert_unreadable(&path, words);
    }
}

#[test]
fn what_is_not_there_is_named() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("no-such-model.safetensors");
    assert_unreadable(&missing, "check the path");
    let no_folder: Words = "is a folder, but not one of diffusers | give a .safetensors file";
    assert_unreadable(folder.path(), no_folder);
    write(folder.path(), "model.ckpt", "PK\x03\x04");
    assert_unreadable(
        folder.path(),
        "pickle checkpoints only | convert them to safetensors",
    );
    write(folder.path(), "sd15.safetensors", "");
    assert_unreadable(
        folder.path(),
        "is a folder | give one of its files | sd15.safetensors",
    );
}

#[cfg(unix)]
#[test]
fn what_never_ends_is_refused_unread() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe.safetensors");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let looped = folder.path().join("loop.safetensors");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    let linked = folder.path().join("link.safetensors");
    std::os::unix::fs::symlink("/dev/zero", &linked).unwrap();
    device(); // chosen before the clock runs

    let no_file: Words = "not a regular file | give a .safetensors file";
    for (path, words) in [
        (pipe.as_path(), no_file),
        (&linked, no_file),
        (Path::new("/dev/zero"), no_file),
        (&looped, "symbolic links | check the path"),
    ] {
        let verbs = [Verb::Generate, Verb::Plan, Verb::Inspect];
        assert_refused_by(&verbs, UNREAD_LIMIT, path, words);
    }
}

// ------------------------------------------------------------------------------ sound files, wrong tensors

#[test]
fn a_checkpoint_that_cannot_draw_is_described_and_refused() {
    const TEXT: &str = "cond_stage_model.transformer.text_model.";
    const TIME: &str = "model.diffusion_model.time_embed.0.weight";
    const FIRST: &str = "model.diffusion_model.input_blocks.0.0.weight";
    const LAST_OF_LEVEL: &str = "first_stage_model.decoder.up.1.block.1.";
    let demo = Checkpoint::demo;
    #[rustfmt::skip]
    let rows: [(Checkpoint, Words); 13] = [
        (demo().only("first_stage_model."), "missing tensor unet.conv_in.weight | looks like a VAE alone | give a full checkpoint"),
        (demo().without(TEXT), "missing tensor text_encoder. | give a full checkpoint"),
        (demo().without(&format!("{TEXT}encoder.layers.1.")), "missing tensor text_encoder.text_model.encoder.layers.1. | get the file again"),
        (demo().without(&format!("{TEXT}encoder.layers.2.")), "missing tensor text_encoder.text_model.encoder.layers.2. | get the file again"),
        (demo().without("model.diffusion_model.middle_block.1."), "missing tensor unet.mid_block.attentions.0. | get the file again"),
        (demo().without(TIME), "missing tensor unet.time_embedding.linear_1.weight | get the file again"),
        (demo().without(LAST_OF_LEVEL), "missing tensor vae.decoder.up_blocks.2.resnets.1. | get the file again"),
        (demo().without(LAST_OF_LEVEL).without_layer_count(), "missing tensor vae.decoder.up_blocks.2.resnets.1. | get the file again"),
        (demo().with(TIME, Dtype::F16, &[512, 32]), "is [512, 32] | expected [512, 64] | get it again"),
        (demo().with(TIME, Dtype::F16, &[0, 64]), "is [0, 64] | expected at least one | get it again"),
        (demo().with(TIME, Dtype::I64, &[256, 64]), "of i64 | expected [256, 64] of f32 | get it again"),
        (demo().with(TIME, Dtype::F8_E8M0, &[256, 64]), "stored as f8_e8m0 | use an f16"),
        (demo().with(FIRST, Dtype::F16, &[64, 4, 2, 2]), "2×2 pixels | use a model of a known family"),
    ];
    let folder = TempDir::new().unwrap();
    for (checkpoint, words) in rows {
        let path = checkpoint.write(folder.path(), "model.safetensors");
        assert_not_drawn(&path, words);
    }
}

#[test]
fn weights_that_are_not_finite_are_named_with_the_stage_that_failed() {
    let folder = TempDir::new().unwrap();
    #[rustfmt::skip]
    let rows = [
        ("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", "text_encoder.text_model.embeddings.token_embedding.weight", "text_encoder gave"),
        ("model.diffusion_model.time_embed.0.weight", "unet.time_embedding.linear_1.weight", "unet at step 1 gave"),
        ("first_stage_model.decoder.conv_in.weight", "vae.decoder.conv_in.weight", "vae_decoder gave"),
    ];
    for (tensor, name, stage) in rows {
        let path = Checkpoint::demo()
            .with_nan(tensor)
            .write(folder.path(), "model.safetensors");
        let shown = path.display().to_string();
        succeed(Verb::Plan, &path, folder.path());
        let said = stdout(&succeed(Verb::Inspect, &path, folder.path()));
        assert!(said.contains("makes pictures"), "{said}");
        let output = ask(Verb::Generate, &path, folder.path(), LIMIT);
        let words = ["the weights are damaged", name, stage, "not finite", &shown];
        assert_refused(&output, 1, &words);
        let output = run(&["inspect", "--check", &shown]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("1 of the tensors"),
            "{}",
            stderr(&output)
        );
        let line = format!("damaged     {name} (");
        assert!(stdout(&output).contains(&line), "{}", stdout(&output));
        assert_eq!(files(folder.path()), ["model.safetensors"]);
    }
    let sound = run(&["inspect", "--check", "--json", DEMO]);
    assert!(sound.status.success(), "{}", stderr(&sound));
    let said: Value = serde_json::from_slice(&sound.stdout).unwrap();
    assert_eq!(said["damaged"], json!([]));
}

#[test]
fn tensors_that_nobody_knows_do_no_harm() {
    let folder = TempDir::new().unwrap();
    let checkpoint = Checkpoint::demo().with("somebody.elses.weight", Dtype::F16, &[3, 5]);
    let path = checkpoint.write(folder.path(), "model.safetensors");
    let said = stdout(&succeed(Verb::Inspect, &path, folder.path()));
    assert!(said.contains("somebody.elses.weight"), "{said}");
    succeed(Verb::Plan, &path, folder.path());
    let output = succeed(Verb::Generate, &path, folder.path());
    let warning = "warning: not used: 1 of the model's tensors, such as somebody.elses.weight";
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
    let drawn = stdout(&output);
    assert!(folder.path().join(drawn.trim()).is_file(), "{drawn}");
}

#[test]
fn texts_of_a_file_cannot_command_the_terminal() {
    let mut checkpoint = Checkpoint::demo().with("\u{1b}[2J", Dtype::F16, &[1]);
    let title = "\u{1b}]0;mine\u{7}\nfamily      Forged";
    checkpoint.metadata.insert(title.into(), title.into());
    let folder = TempDir::new().unwrap();
    let path = checkpoint.write(folder.path(), "model.safetensors");
    let shown = stdout(&succeed(Verb::Inspect, &path, folder.path()));
    assert!(!shown.contains('\u{1b}'), "{shown}");
    assert_eq!(
        shown
            .lines()
            .filter(|line| line.starts_with("family"))
            .count(),
        1
    );
}
