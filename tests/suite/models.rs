//! The models folder: what is listed, what a name means, and where is looked.

mod names;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::program::{QUICK, aquatint, assert_refused, device, run_within, stderr, stdout};

/// The longest that listing a hundred files may take.
const LIST_LIMIT: Duration = Duration::from_secs(1);
/// How often they are listed, on a machine that other tests and programs keep busy.
const LIST_TRIES: usize = 10;
/// The longest that any other answer may take, for a program that shares its machine with other tests.
const LIMIT: Duration = Duration::from_secs(5);

fn data(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/golden/data").join(name)
}

/// A folder for models, and a home for settings beside it.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("models")).unwrap();
        Self { folder }
    }

    fn path(&self, inside: &str) -> PathBuf {
        let path = self.folder.path().join(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Copies a tiny model of the goldens.
    fn copy(&self, golden: &str, inside: &str) {
        fs::copy(data(golden), self.path(inside)).unwrap();
    }

    /// The program, which looks in `models` and has its settings in this home.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = aquatint();
        command
            .current_dir(self.folder.path())
            .env("AQUATINT_MODELS", self.folder.path().join("models"))
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.folder.path().join("config"))
            .args(arguments);
        command
    }

    /// What a run said that succeeded.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = run_within(LIMIT, &mut self.program(arguments));
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        stdout(&output)
    }

    #[track_caller]
    fn assert_refused(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let output = run_within(LIMIT, &mut self.program(arguments));
        assert_refused(&output, code, words);
    }

    /// The models of `--json`, by name.
    fn listed(&self) -> BTreeMap<String, Value> {
        let report: Value = serde_json::from_str(&self.succeed(&["models", "--json"])).unwrap();
        let models = report["models"].as_array().unwrap().iter();
        let named = models.map(|model| (model["name"].as_str().unwrap().to_owned(), model.clone()));
        named.collect()
    }
}

/// Writes a safetensors file of f16 with a header and a hole for the tensors, which takes no disk.
fn write_sparse(path: &Path, shapes: &BTreeMap<String, Vec<u64>>) {
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in shapes {
        let start = end;
        end += 2 * shape.iter().product::<u64>();
        let entry = json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = File::create(path).unwrap();
    let length = header.len() as u64;
    file.write_all(&length.to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    file.set_len(8 + length + end).unwrap();
}

/// The names and shapes of a real checkpoint.
fn shapes(keys: &str) -> BTreeMap<String, Vec<u64>> {
    let file = File::open(data("keys").join(keys)).unwrap();
    serde_json::from_reader(GzDecoder::new(file)).unwrap()
}

#[cfg(unix)] // Elsewhere holes take their space.
#[test]
fn models_are_listed_with_what_they_are() {
    let home = Home::new();
    home.copy("models/tiny_a.safetensors", "models/plain.safetensors");
    home.copy("models/tiny_inpaint.safetensors", "models/fill.safetensors");
    home.copy(
        "models/tiny_instruct.safetensors",
        "models/edit.safetensors",
    );
    for (keys, name) in [
        ("full_sdxl_base_1.0.json.gz", "xl"),
        ("full_sd21_v2-1_768.json.gz", "two"),
        ("diffusers_vae_sd.json.gz", "vae"),
    ] {
        let shapes = shapes(keys).into_iter();
        let shapes = shapes.map(|(key, shape)| match name {
            "vae" => (format!("first_stage_model.{key}"), shape),
            _ => (key, shape),
        });
        write_sparse(
            &home.path(&format!("models/{name}.safetensors")),
            &shapes.collect(),
        );
    }
    let listed = home.listed();
    for (name, kind, family, purpose) in [
        ("plain", "model", json!("sd1"), json!("text_to_image")),
        ("fill", "model", json!("sd1"), json!("inpaint")),
        ("edit", "model", json!("sd1"), json!("instruct")),
        ("xl", "model", json!("sdxl"), json!("text_to_image")),
        ("two", "model", json!("sd2"), json!("text_to_image")),
        ("vae", "parts", Value::Null, Value::Null),
    ] {
        let model = &listed[name];
        let found = [&model["kind"], &model["family"], &model["purpose"]];
        assert_eq!(found, [&json!(kind), &family, &purpose], "{name}");
        assert_eq!(model["problem"], Value::Null, "{name}");
        let path = home.path(&format!("models/{name}.safetensors"));
        assert_eq!(model["path"], path.to_str().unwrap());
        assert_eq!(model["size_bytes"], path.metadata().unwrap().len());
    }
    let table = home.succeed(&["models"]);
    for row in [
        "NAME   FAMILY",
        "fill   sd1",
        "xl     sdxl      6.94 GB  f16    generate",
        "vae    -",
    ] {
        assert!(table.contains(row), "no {row:?} in\n{table}");
    }
    for usage in ["inpaint", "instruct", "vae"] {
        assert!(
            table.lines().any(|line| line.ends_with(usage)),
            "no {usage:?} in\n{table}"
        );
    }
}

/// Names as kohya's sd-scripts, PEFT, diffusers, A1111 and ControlNet's authors write them; the
/// widths are those of the families' text encoders.
#[test]
fn what_adds_to_models_is_listed_as_what_it_is() {
    const KOHYA: &str = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
    const PEFT: &str = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k";
    const LDM: &str = "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight";
    let [sd1, sd2, sdxl] = ["sd1", "sd2", "sdxl"].map(|family| json!(family));
    let unknown = Value::Null;
    let home = Home::new();
    for (kind, family, tensors) in [
        (
            "lora",
            &sd1,
            vec![(format!("{KOHYA}.lora_down.weight"), [4, 768])],
        ),
        (
            "lora",
            &sdxl,
            vec![(format!("{KOHYA}.lora_down.weight"), [4, 2048])],
        ),
        (
            "lora",
            &unknown,
            vec![(format!("{KOHYA}.lora_up.weight"), [320, 768])],
        ),
        (
            "lora",
            &unknown,
            vec![(format!("{KOHYA}.hada_w1_a"), [768, 768])],
        ),
        (
            "lora",
            &sd2,
            vec![(format!("{PEFT}.lora_A.weight"), [4, 1024])],
        ),
        (
            "lora",
            &sd1,
            vec![(format!("{PEFT}.lora.down.weight"), [4, 768])],
        ),
        ("embedding", &sd1, vec![("emb_params".to_owned(), [2, 768])]),
        (
            "embedding",
            &sd2,
            vec![("emb_params".to_owned(), [2, 1024])],
        ),
        (
            "embedding",
            &sdxl,
            vec![
                ("clip_g".to_owned(), [2, 1280]),
                ("clip_l".to_owned(), [2, 768]),
            ],
        ),
        ("control_net", &sd1, vec![(LDM.to_owned(), [320, 768])]),
        (
            "control_net",
            &unknown,
            vec![(
                "controlnet_cond_embedding.conv_in.weight".to_owned(),
                [4, 4],
            )],
        ),
    ] {
        let tensors = tensors.into_iter();
        let tensors: BTreeMap<_, _> = tensors
            .map(|(name, shape)| (name, shape.to_vec()))
            .collect();
        write_sparse(&home.path("models/it.safetensors"), &tensors);
        let model = &home.listed()["it"];
        assert_eq!(model["kind"], kind, "{tensors:?}");
        assert_eq!(&model["family"], family, "{tensors:?}");
        assert_eq!(model["problem"], Value::Null, "{tensors:?}");
        assert!(model["dtypes"]["f16"].as_u64() > Some(0), "{model}");
    }
}

#[test]
fn a_diffusers_folder_is_one_model() {
    let home = Home::new();
    let source = data("models/tiny_c");
    for entry in ["", "unet", "vae", "text_encoder", "scheduler", "tokenizer"] {
        for file in fs::read_dir(source.join(entry)).unwrap() {
            let file = file.unwrap().path();
            if file.is_file() {
                let name = file.file_name().unwrap().to_str().unwrap();
                fs::copy(&file, home.path(&format!("models/tiny/{entry}/{name}"))).unwrap();
            }
        }
    }
    let listed = home.listed();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed["tiny"]["family"], "sd1");
    assert!(listed["tiny"]["size_bytes"].as_u64() > Some(100_000));
    assert!(
        home.succeed(&["inspect", "tiny"])
            .contains("Stable Diffusion 1.x")
    );
}

#[test]
fn broken_files_are_listed_with_their_reasons() {
    let home = Home::new();
    home.copy("models/tiny_a.safetensors", "models/good.safetensors");
    let good = fs::read(data("models/tiny_a.safetensors")).unwrap();
    for (name, content, reason) in [
        ("empty", &b""[..], "is empty"),
        ("short", b"\x01\x02\x03\x04\x05\x06\x07", "too short"),
        ("cut", &good[..good.len() / 2], "incomplete download"),
        ("page", b"<!DOCTYPE html><html></html>", "web page"),
        (
            "pointer",
            b"version https://git-lfs.github.com/spec/v1",
            "LFS pointer",
        ),
        ("pickle", b"PK\x03\x04 and the rest of a zip", "pickle"),
        (
            "huge",
            b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
            "not a safetensors file",
        ),
    ] {
        fs::write(home.path(&format!("models/{name}.safetensors")), content).unwrap();
        let listed = home.listed();
        assert_eq!(listed["good"]["kind"], "model");
        let problem = listed[name]["problem"].as_str().unwrap();
        assert!(problem.contains(reason), "{name}: {problem}");
        assert_eq!(listed[name]["kind"], "unknown");
        assert!(home.succeed(&["models"]).contains(reason));
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_not_read() {
    let home = Home::new();
    let pipe = home.path("models/pipe.safetensors");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success(), "mkfifo is part of every Unix");
    std::os::unix::fs::symlink("/dev/zero", home.path("models/zero.safetensors")).unwrap();
    let listed = home.listed();
    for name in ["pipe", "zero"] {
        let problem = listed[name]["problem"].as_str().unwrap();
        assert!(problem.contains("not a regular file"), "{problem}");
    }
}

#[test]
fn a_files_name_cannot_command_the_terminal() {
    let home = Home::new();
    let hostile = home.path("models/a\u{1b}[2Jb.safetensors");
    if fs::write(hostile, "").is_err() {
        eprintln!("skipped: this file system takes no such names");
        return;
    }
    let table = home.succeed(&["models"]);
    assert!(
        !table.contains('\u{1b}') && table.contains("\\u{1b}[2Jb"),
        "{table}"
    );
}

/// Real headers with holes for the tensors: what is timed is the reading of headers alone.
#[cfg(unix)] // Elsewhere holes take their space.
#[test]
fn a_hundred_files_are_listed_within_a_second() {
    let home = Home::new();
    for keys in [
        "full_sd15_v1-5-pruned-emaonly.json.gz",
        "full_sdxl_base_1.0.json.gz",
    ] {
        let shapes = shapes(keys);
        for copy in 0..50 {
            let name = format!("models/{}-{copy}.safetensors", &keys[..9]);
            write_sparse(&home.path(&name), &shapes);
        }
    }
    let listing = || {
        let started = Instant::now();
        let output = home.program(&["models"]).output().unwrap();
        let elapsed = started.elapsed();
        assert_eq!(stdout(&output).lines().count(), 101, "{}", stderr(&output));
        elapsed
    };
    // Other programs run at the same time: once is enough, in so many tries.
    let times: Vec<Duration> = (0..LIST_TRIES).map(|_| listing()).collect();
    assert!(times.iter().any(|time| *time < LIST_LIMIT), "{times:?}");
}

#[cfg(unix)] // Windows tells nobody but the system where settings are.
#[test]
fn another_programs_tree_is_added_once_read_in_place_and_removed() {
    let home = Home::new();
    home.copy(
        "models/tiny_a.safetensors",
        "ComfyUI/models/checkpoints/tiny.safetensors",
    );
    home.copy(
        "models/tiny_a.safetensors",
        "ComfyUI/custom_nodes/other.safetensors",
    );
    let output = run_within(LIMIT, &mut home.program(&["models", "add", "ComfyUI"]));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("1 file there"),
        "{}",
        stderr(&output)
    );
    let listed = home.listed();
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["tiny"]);
    assert!(home.succeed(&["plan", "-m", "tiny"]).contains("unet"));
    // However its path is typed, it is one.
    home.succeed(&["models", "add", "models/../ComfyUI"]);
    home.succeed(&["models", "remove", "models/../ComfyUI/"]);
    assert!(home.listed().is_empty());
    assert!(
        home.path("ComfyUI/models/checkpoints/tiny.safetensors")
            .is_file()
    );
    home.assert_refused(
        &["models", "remove", "ComfyUI"],
        2,
        &["was added", "there are none"],
    );
    home.assert_refused(
        &["models", "add", "nowhere"],
        1,
        &["nowhere", "check the path"],
    );
}

#[test]
fn a_place_that_is_gone_does_not_hide_the_others() {
    let home = Home::new();
    home.copy("models/tiny_a.safetensors", "models/tiny.safetensors");
    let places = [home.path("unplugged/disk"), home.path("models")];
    let mut list = home.program(&["models"]);
    list.env("AQUATINT_MODELS", std::env::join_paths(places).unwrap());
    let output = run_within(LIMIT, &mut list);
    assert!(stdout(&output).contains("tiny"), "{}", stderr(&output));
    assert!(stderr(&output).contains("unplugged"), "{}", stderr(&output));
}
