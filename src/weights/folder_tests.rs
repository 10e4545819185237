use super::*;
use std::fs;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

#[track_caller]
fn assert_refused(files: &[(&str, &str)], words: &str) {
    let folder = folder(files);
    let error = match read(folder.path()) {
        Ok(_) => panic!("the folder should be refused"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(words), "{error:?} should contain {words:?}");
}

#[test]
fn parts_and_configurations_are_found() {
    let folder = folder(&[
        (
            "model_index.json",
            r#"{"_class_name":"StableDiffusionPipeline"}"#,
        ),
        ("unet/config.json", r#"{"in_channels":4}"#),
        ("unet/diffusion_pytorch_model.safetensors", ""),
        ("vae/diffusion_pytorch_model.fp16.safetensors", ""),
        ("scheduler/scheduler_config.json", r#"{"steps_offset":1}"#),
    ]);
    let found = read(folder.path()).unwrap();
    let parts: Vec<_> = found.parts.iter().map(|(part, _)| *part).collect();
    assert_eq!(parts, ["unet", "vae"]);
    let vae = folder
        .path()
        .join("vae/diffusion_pytorch_model.fp16.safetensors");
    assert_eq!(found.parts[1].1, [vae]);
    assert_eq!(found.configs["unet"]["in_channels"], 4);
    assert_eq!(found.configs["scheduler"]["steps_offset"], 1);
    assert_eq!(
        found.configs["model_index"]["_class_name"],
        "StableDiffusionPipeline"
    );
}

#[test]
fn a_folder_without_parts_is_refused() {
    assert_refused(&[], "not one of diffusers");
    assert_refused(
        &[("notes.txt", "")],
        "give a .safetensors file or a diffusers folder",
    );
    assert_refused(
        &[("sd15.safetensors", "")],
        "give one of its files: \"sd15.safetensors\"",
    );
    assert_refused(&[("sd15.ckpt", "")], "pickle checkpoints only");
}

#[test]
fn a_part_of_pickles_is_refused() {
    assert_refused(
        &[("unet/diffusion_pytorch_model.bin", "")],
        "only as pickles",
    );
}

#[test]
fn a_part_without_weights_is_refused() {
    assert_refused(
        &[("unet/config.json", "{}")],
        "has no diffusion_pytorch_model.safetensors",
    );
}

#[test]
fn malformed_configurations_are_refused() {
    let weights = ("unet/diffusion_pytorch_model.safetensors", "");
    for config in ["", "{", "[]", "nonsense", &"[".repeat(100_000)] {
        assert_refused(
            &[weights, ("unet/config.json", config)],
            "config.json: is malformed",
        );
        assert_refused(
            &[weights, ("model_index.json", config)],
            "model_index.json: is malformed",
        );
    }
}

#[test]
fn shards_outside_the_folder_are_refused_before_anything_else() {
    for name in [
        "../../x.safetensors",
        "/etc/passwd",
        "..\\\\x",
        "C:\\\\x",
        "sub/x.safetensors",
        "..",
        ".",
        "",
        "x\\u0000",
    ] {
        let index = format!(r#"{{"weight_map":{{"a":"model-1.safetensors","b":"{name}"}}}}"#);
        let index = (
            "unet/diffusion_pytorch_model.safetensors.index.json",
            index.as_str(),
        );
        assert_refused(&[index], "do not trust this download");
    }
    let index = (
        "unet/diffusion_pytorch_model.safetensors.index.json",
        r#"{"weight_map":{"a":1}}"#,
    );
    assert_refused(&[index], "do not trust this download");
}

/// The names of the files that are taken for the UNet of a folder with these files.
#[track_caller]
fn taken(files: &[(&str, &str)]) -> Vec<String> {
    let found = read(folder(files).path()).unwrap();
    let files = found.parts[0].1.iter();
    files
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn shards_are_taken_once_each_and_in_order() {
    let index =
        r#"{"weight_map":{"a":"x-2.safetensors","b":"x-1.safetensors","c":"x-2.safetensors"}}"#;
    for name in [
        "unet/diffusion_pytorch_model.safetensors.index.json",
        "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
        "unet/diffusion_pytorch_model.safetensors.index.int.json",
    ] {
        let files = [
            (name, index),
            ("unet/x-1.safetensors", ""),
            ("unet/x-2.safetensors", ""),
            ("unet/x-3.safetensors", ""),
        ];
        assert_eq!(
            taken(&files),
            ["x-1.safetensors", "x-2.safetensors"],
            "{name}"
        );
    }
}

#[test]
fn shards_that_are_missing_are_named() {
    let index = (
        "unet/diffusion_pytorch_model.safetensors.index.json",
        r#"{"weight_map":{"a":"x-1.safetensors","b":"x-2.safetensors","c":"x-3.safetensors"}}"#,
    );
    assert_refused(
        &[index, ("unet/x-2.safetensors", "")],
        "\"x-1.safetensors\", \"x-3.safetensors\", which are not beside it",
    );
}

#[test]
fn an_index_without_files_is_refused() {
    let name = "unet/diffusion_pytorch_model.safetensors.index.json";
    assert_refused(&[(name, "{}")], "no \"weight_map\" object");
    assert_refused(&[(name, r#"{"weight_map":{}}"#)], "names no files");
}

#[test]
fn any_variant_is_taken_the_plain_file_first_and_no_single_shard() {
    let file = |variant| format!("unet/diffusion_pytorch_model{variant}.safetensors");
    let names = ["", ".fp16", ".bf16", ".ema", ".non_ema"].map(file);
    for (first, name) in names.iter().enumerate() {
        let files: Vec<_> = names[first..]
            .iter()
            .map(|name| (name.as_str(), ""))
            .collect();
        assert_eq!(format!("unet/{}", taken(&files).join(" and ")), *name);
    }
    let shard = file("-00001-of-00002");
    let shard_of_variant = file(".fp16-00001-of-00002");
    assert_refused(
        &[(&shard, ""), (&shard_of_variant, "")],
        "has no diffusion_pytorch_model.safetensors",
    );
}
