//! Model files that are damaged, hostile or something else: the program answers each with one
//! sentence that names the file, the reason and the remedy, soon and with nothing left behind.

use crate::program::{
    QUICK, aquatint, assert_refused, device, files, run, run_within, stderr, stdout,
};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

const DEMO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/models/demo/tiny-emoji-sd.safetensors"
);
const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/data/models/tiny_c"
);
/// The longest that any answer may take, for a program that shares its machine with other tests.
const LIMIT: Duration = Duration::from_secs(5);
/// The longest that the refusal of what is no file may take: it is not read at all.
const UNREAD_LIMIT: Duration = Duration::from_secs(1);
/// The most bytes of a header.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What a reason and a remedy are recognised by, with bars between them.
type Words = &'static str;

// ------------------------------------------------------------------------------ asking the program

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

// ------------------------------------------------------------------------------ making bad files

/// The demo model taken apart, to be put together wrongly.
struct Checkpoint {
    tensors: BTreeMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Checkpoint {
    fn demo() -> Self {
        let file = fs::read(DEMO).unwrap();
        let (_, header) = SafeTensors::read_metadata(&file).unwrap();
        let opened = SafeTensors::deserialize(&file).unwrap();
        let tensors = opened.iter().map(|(name, view)| {
            let tensor = Tensor {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            };
            (name.to_owned(), tensor)
        });
        Self {
            tensors: tensors.collect(),
            metadata: header.metadata().clone().unwrap(),
        }
    }

    /// Only the tensors whose names begin so.
    fn only(mut self, prefix: &str) -> Self {
        self.tensors.retain(|name, _| name.starts_with(prefix));
        self
    }

    /// All but the tensors whose names begin so.
    fn without(mut self, prefix: &str) -> Self {
        let before = self.tensors.len();
        self.tensors.retain(|name, _| !name.starts_with(prefix));
        assert!(self.tensors.len() < before, "no {prefix} in the demo model");
        self
    }

    /// A tensor of another type or shape, its bytes repeated or cut to fit.
    fn with(mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Self {
        let old = self.tensors.get(name).map(|tensor| tensor.bytes.clone());
        let old = old.filter(|bytes| !bytes.is_empty()).unwrap_or(vec![0]);
        let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let tensor = Tensor {
            dtype,
            shape: shape.to_vec(),
            bytes: old.into_iter().cycle().take(size).collect(),
        };
        self.tensors.insert(name.to_owned(), tensor);
        self
    }

    /// A tensor of nothing but NaN.
    fn with_nan(mut self, name: &str) -> Self {
        let tensor = self.tensors.get_mut(name).unwrap();
        for value in tensor.bytes.chunks_exact_mut(2) {
            value.copy_from_slice(&half::f16::NAN.to_le_bytes());
        }
        self
    }

    /// The VAE's configuration without the number of its layers.
    fn without_layer_count(mut self) -> Self {
        let mut config: Value = serde_json::from_str(&self.metadata["config"]).unwrap();
        let vae = config["vae"].as_object_mut().unwrap();
        vae.remove("layers_per_block").unwrap();
        self.metadata.insert("config".into(), config.to_string());
        self
    }

    fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let views = self.tensors.iter().map(|(name, tensor)| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
            (name, view.unwrap())
        });
        let bytes = safetensors::serialize(views, Some(self.metadata.clone())).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Writes bytes as a file of a folder.
fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A file with this header and so many bytes of zeros after it.
fn with_header(header: impl AsRef<[u8]>, data_bytes: usize) -> Vec<u8> {
    let header = header.as_ref();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.resize(file.len() + data_bytes, 0);
    file
}

/// A file whose header is said to be so long.
fn with_header_length(length: u64) -> Vec<u8> {
    let mut file = with_header("{}", 0);
    file[..8].copy_from_slice(&length.to_le_bytes());
    file
}

/// The header's entry for a tensor.
fn entry(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
}

/// A file whose header has these entries.
fn with_entries(entries: &[String], data_bytes: usize) -> Vec<u8> {
    with_header(format!("{{{}}}", entries.join(",")), data_bytes)
}

/// A copy of the small diffusers folder.
fn copy_of_folder() -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for name in files(from) {
            let (from, to) = (from.join(&name), to.join(&name));
            if from.is_dir() {
                copy(&from, &to);
            } else {
                fs::copy(&from, &to).unwrap();
            }
        }
    }
    let folder = TempDir::new().unwrap();
    copy(Path::new(FOLDER), folder.path());
    folder
}

/// The small diffusers folder's file as JSON.
fn read_json(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(Path::new(FOLDER).join(file)).unwrap()).unwrap()
}

// ------------------------------------------------------------------------------ files

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

// ------------------------------------------------------------------------------ folders

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

#[test]
fn an_index_names_files_of_its_own_folder_only() {
    let folder = copy_of_folder();
    let weights = "unet/diffusion_pytorch_model.safetensors";
    fs::remove_file(folder.path().join(weights)).unwrap();
    let index = "unet/diffusion_pytorch_model.safetensors.index.json";
    #[rustfmt::skip]
    let rows: [(Value, Words); 5] = [
        (json!("../../x"), "\"../../x\" | do not trust this download"),
        (json!("/etc/passwd"), "\"/etc/passwd\" | do not trust this download"),
        (json!("..\\x"), ".. | do not trust this download"),
        (json!(5), "something that is no text | do not trust this download"),
        (json!("one.safetensors"), "\"one.safetensors\" | not beside it | download the folder again"),
    ];
    for (shard, words) in rows {
        let map = json!({"weight_map": {"conv_in.weight": shard}});
        write(folder.path(), index, map.to_string());
        assert_unreadable(folder.path(), words);
    }
}

#[test]
fn a_malformed_configuration_is_refused() {
    #[rustfmt::skip]
    let rows: [(&[u8], Words); 4] = [
        (b"{", "is malformed | EOF | download it again"),
        (b"[]", "is malformed | expected a JSON object | download it again"),
        (&[b'['; 100_000], "is malformed | recursion | download it again"),
        (b"\xff\xfe", "is not UTF-8 | download the folder again"),
    ];
    for file in [
        "unet/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "scheduler/scheduler_config.json",
        "model_index.json",
    ] {
        let folder = copy_of_folder();
        for (bytes, words) in rows {
            write(folder.path(), file, bytes);
            let name = file.rsplit('/').next().unwrap();
            assert_unreadable(folder.path(), &format!("{name} | {words}"));
        }
    }
}

#[test]
fn a_configuration_of_wrong_values_names_the_field() {
    const UNET: &str = "unet/config.json";
    const VAE: &str = "vae/config.json";
    const TEXT: &str = "text_encoder/config.json";
    const SCHEDULER: &str = "scheduler/scheduler_config.json";
    #[rustfmt::skip]
    let rows: [(&str, &str, Value, &str); 22] = [
        (UNET, "norm_num_groups", json!("four"), "mend it"),
        (UNET, "norm_num_groups", json!(0), "mend it"),
        (UNET, "norm_num_groups", json!(7), "must divide"),
        (UNET, "attention_head_dim", json!(-1), "mend it"),
        (UNET, "attention_head_dim", json!([[2]]), "mend it"),
        (UNET, "layers_per_block", json!(0), "mend it"),
        (UNET, "block_out_channels", json!([8, 16]), "mend it"),
        (UNET, "norm_eps", json!(1e-300), "mend it"),
        (UNET, "flip_sin_to_cos", json!("yes"), "mend it"),
        (UNET, "sample_size", json!([9, 9, 9]), "mend it"),
        (UNET, "act_fn", json!("mish"), "computes only with"),
        (VAE, "scaling_factor", json!(0), "mend it"),
        (VAE, "scaling_factor", json!("much"), "mend it"),
        (SCHEDULER, "clip_sample", json!(true), "computes only with"),
        (VAE, "shift_factor", json!(0.5), "use a model of a known family"),
        (TEXT, "layer_norm_eps", json!(-1), "mend it"),
        (TEXT, "num_hidden_layers", json!(1), "mend it"),
        (TEXT, "hidden_act", json!("relu"), "known are quick_gelu"),
        (SCHEDULER, "beta_start", json!([]), "mend it"),
        (SCHEDULER, "beta_end", json!(2), "mend it"),
        (SCHEDULER, "num_train_timesteps", json!(1), "mend it"),
        (SCHEDULER, "prediction_type", json!("sample"), "known are epsilon"),
    ];
    for (file, field, value, remedy) in rows {
        let folder = copy_of_folder();
        let mut config = read_json(file);
        config[field] = value;
        write(folder.path(), file, config.to_string());
        assert_not_drawn(folder.path(), &format!("{field} | {remedy}"));
    }

    // What the file makes the default, a user must be allowed to ask for.
    let folder = copy_of_folder();
    let mut config = read_json(UNET);
    config["sample_size"] = json!(1_000_000);
    write(folder.path(), UNET, config.to_string());
    assert_not_drawn(folder.path(), "default of width | 8192 | mend it");
}

#[test]
fn a_damaged_tokenizer_is_refused() {
    let malformed: Words = "is malformed | download it again";
    let unfit: Words = "holds a tokenizer that does not fit together | download it again";
    let vocab = |change: fn(&mut serde_json::Map<String, Value>)| {
        let mut vocab = read_json("tokenizer/vocab.json");
        change(vocab.as_object_mut().unwrap());
        vocab.to_string()
    };
    let absent = vocab(|tokens| drop(tokens.remove("<|endoftext|>")));
    let huge = vocab(|tokens| drop(tokens.insert("zebra</w>".into(), json!(u32::MAX))));
    let shared = vocab(|tokens| drop(tokens.insert("zebra</w>".into(), json!(7))));
    #[rustfmt::skip]
    let rows: [(&str, &[u8], Words); 17] = [
        ("vocab.json", b"{", malformed),
        ("vocab.json", b"[]", malformed),
        ("vocab.json", b"{\"a\":-1}", "has no id | download it again"),
        ("vocab.json", b"\xff", "is not UTF-8 | download the folder again"),
        ("vocab.json", b"{}", unfit),
        ("vocab.json", absent.as_bytes(), unfit),
        ("vocab.json", huge.as_bytes(), "not of one model | download it again"),
        ("vocab.json", shared.as_bytes(), "has the id of another, 7 | download it again"),
        ("merges.txt", b"", "it is empty | download it again"),
        ("merges.txt", b"one\n", "line 1 is not of two tokens | download it again"),
        ("merges.txt", b"#version: 0.2\nqq zz\n", unfit),
        ("tokenizer.json", b"{}", malformed),
        ("tokenizer.json", br#"{"model":{"type":"Unigram"}}"#, "\"Unigram\" | download it again"),
        ("tokenizer.json", br#"{"model":{"vocab":{"a":0},"merges":["a"]}}"#, malformed),
        ("tokenizer.json", br#"{"model":{"vocab":{},"merges":[]}}"#, unfit),
        ("special_tokens_map.json", b"[]", malformed),
        ("tokenizer_config.json", br#"{"eos_token":"nope"}"#, unfit),
    ];
    for (file, bytes, words) in rows {
        let folder = copy_of_folder();
        write(&folder.path().join("tokenizer"), file, bytes);
        assert_not_drawn(folder.path(), words);
    }
}
