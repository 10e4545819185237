use super::super::tests::{DEMO, demo, file_with, tensor_file};
use super::super::{ModelFiles, Weights};
use crate::error::Error;
use safetensors::tensor::{Dtype, TensorView};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A file with the demo's tensors of one part, under `prefix` in place of the part's name.
fn part_file(folder: &TempDir, part: &str, prefix: &str) -> PathBuf {
    let weights = demo();
    let start = format!("{part}.");
    let mine = weights.tensors().filter_map(|tensor| {
        let name = format!("{prefix}{}", tensor.name.strip_prefix(&start)?);
        let shape = tensor.shape.dims().to_vec();
        let view = TensorView::new(Dtype::F16, shape, weights.bytes(tensor.name)?);
        Some((name, view.unwrap()))
    });
    let config = serde_json::json!({ part: weights.config(part), "vae_of_another": {} });
    let metadata = [("config".to_owned(), config.to_string())];
    let bytes = safetensors::serialize(mine, Some(metadata.into())).unwrap();
    let path = folder
        .path()
        .join(format!("{part}-{}.safetensors", prefix.len()));
    fs::write(&path, bytes).unwrap();
    path
}

/// A file of zeros with these tensors of f16.
fn zeros(folder: &TempDir, name: &str, tensors: &[(&str, &[usize])]) -> PathBuf {
    let tensors = tensors.iter().map(|(name, shape)| (*name, "F16", *shape));
    let path = folder.path().join(name);
    fs::write(&path, tensor_file(&tensors.collect::<Vec<_>>())).unwrap();
    path
}

#[track_caller]
fn refusal(files: ModelFiles, path: &Path) -> String {
    let error = Weights::open(files).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
    error
}

#[track_caller]
fn assert_same(found: &Weights, wanted: &Weights) {
    assert!(found.names().eq(wanted.names()));
    for name in wanted.names() {
        assert_eq!(found.bytes(name), wanted.bytes(name), "{name}");
    }
    for part in ["unet", "vae", "text_encoder"] {
        assert_eq!(found.config(part), wanted.config(part), "{part}");
    }
}

#[test]
fn parts_alone_are_the_whole_whatever_their_prefixes() {
    let folder = TempDir::new().unwrap();
    for prefixed in [false, true] {
        let prefix = |part| {
            if prefixed {
                format!("{part}.")
            } else {
                String::new()
            }
        };
        let file = |part| part_file(&folder, part, &prefix(part));
        let files = ModelFiles::default()
            .unet(file("unet"))
            .vae(file("vae"))
            .text_encoder(file("text_encoder"));
        let found = Weights::open(files).unwrap();
        assert_same(&found, &demo());
        assert_eq!(found.path(), file("unet"));
        assert_eq!(found.path_of("vae.decoder.conv_in.weight"), file("vae"));
        assert_eq!(found.folder(), None);
        assert!(
            found.config("vae_of_another").is_some(),
            "the UNet's word counts"
        );
    }
}

#[test]
fn a_part_may_be_taken_out_of_a_whole_checkpoint() {
    let folder = TempDir::new().unwrap();
    let unet = part_file(&folder, "unet", "model.diffusion_model.");
    let files = ModelFiles::new(&unet).vae(DEMO).text_encoder(DEMO);
    assert_same(&Weights::open(files).unwrap(), &demo());
}

#[test]
fn a_part_takes_the_place_of_the_checkpoints_own() {
    let folder = TempDir::new().unwrap();
    let vae = zeros(
        &folder,
        "vae.safetensors",
        &[("decoder.conv_in.weight", &[4, 4, 3, 3])],
    );
    let found = Weights::open(ModelFiles::new(DEMO).vae(&vae)).unwrap();
    let mine = found.names().filter(|name| name.starts_with("vae."));
    assert!(mine.eq(["vae.decoder.conv_in.weight"]));
    assert_eq!(
        found.config("vae"),
        None,
        "what was said of the other is forgotten"
    );
    assert_eq!(found.config("unet"), demo().config("unet"));
    assert_eq!(
        (found.path(), found.path_of("vae")),
        (Path::new(DEMO), vae.as_path())
    );
    let error = found
        .scope("vae.decoder")
        .get("conv_in.weight", [4, 5, 3, 3]);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with(&vae.display().to_string()), "{error}");
    assert!(
        found
            .missing(["vae.decoder.conv_out.weight"])
            .to_string()
            .starts_with(&vae.display().to_string())
    );
}

#[test]
fn parts_come_from_folders_of_parts_and_of_models() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/models");
    let whole = models.join("tiny_xl_folder");
    let parts = ModelFiles::default()
        .unet(whole.join("unet"))
        .vae(&whole)
        .text_encoder(whole.join("text_encoder"))
        .text_encoder_2(whole.join("text_encoder_2"));
    let (parts, whole) = (Weights::open(parts).unwrap(), Weights::open(whole).unwrap());
    assert_same(&parts, &whole);
    assert_eq!(
        parts.config("text_encoder_2"),
        whole.config("text_encoder_2")
    );
}

#[test]
fn markers_and_metadata_are_those_of_the_unet() {
    let folder = TempDir::new().unwrap();
    let path = |name| folder.path().join(name);
    let unet = (
        "model.diffusion_model.input_blocks.0.0.weight",
        "F16",
        &[4][..],
    );
    let said = |tells| [("modelspec.prediction_type", tells)];
    let marked = file_with(
        &[
            unet,
            ("v_pred", "F32", &[]),
            ("model.diffusion_model.x", "F16", &[1]),
        ],
        &said("v"),
    );
    fs::write(path("marked"), marked).unwrap();
    fs::write(path("plain"), file_with(&[unet], &said("epsilon"))).unwrap();
    let plain = Weights::open(ModelFiles::new(path("marked")).unet(path("plain"))).unwrap();
    assert_eq!(plain.marker("v_pred"), None);
    assert_eq!(plain.metadata()["modelspec.prediction_type"], "epsilon");
    assert_eq!(plain.leftovers(), [""; 0]);
    let marked = Weights::open(ModelFiles::new(path("plain")).unet(path("marked"))).unwrap();
    assert_eq!(marked.marker("v_pred"), Some(vec![0.0]));
    assert_eq!(marked.metadata()["modelspec.prediction_type"], "v");
    assert_eq!(marked.leftovers(), ["model.diffusion_model.x"]);
}

#[test]
fn a_file_of_another_part_is_refused_by_what_it_is() {
    let folder = TempDir::new().unwrap();
    let text = part_file(&folder, "text_encoder", "");
    let vae = part_file(&folder, "vae", "first_stage_model.");
    let of = ModelFiles::new(DEMO);
    for (files, path, words) in [
        (
            of.clone().vae(&text),
            &text,
            "was given as a VAE, but has a text encoder; give a VAE with --vae PATH",
        ),
        (
            of.clone().text_encoder(&vae),
            &vae,
            "was given as a text encoder, but has a VAE; give",
        ),
        (
            of.clone().unet(&vae),
            &vae,
            "was given as a UNet, but has a VAE",
        ),
    ] {
        let error = refusal(files, path);
        assert!(error.contains(words), "{error}");
    }
    // SDXL's text encoders have the same names as each other.
    Weights::open(of.clone().text_encoder_2(&text)).unwrap();
    let lora = zeros(
        &folder,
        "lora",
        &[("lora_unet_mid_block.lora_down.weight", &[4, 4])],
    );
    assert!(refusal(of.clone().unet(&lora), &lora).contains("looks like a LoRA"));
    let bert = zeros(&folder, "bert", &[("bert.layer.weight", &[4])]);
    let error = refusal(of.clone().text_encoder(&bert), &bert);
    assert!(
        error.contains("none of its 1 tensors") && error.contains("\"bert.layer.weight\""),
        "{error}"
    );
}

#[test]
fn parts_that_cannot_be_read_are_refused_by_their_own_names() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("vae.safetensors");
    let error = Weights::open(ModelFiles::new(DEMO).vae(&missing)).unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if *path == missing),
        "{error}"
    );
    fs::write(&missing, b"PK\x03\x04 archive/data.pkl").unwrap();
    assert!(refusal(ModelFiles::new(DEMO).vae(&missing), &missing).contains("pickle"));
    let error = refusal(ModelFiles::new(DEMO).vae(folder.path()), folder.path());
    assert!(error.contains("diffusion_pytorch_model"), "{error}");
    let none = Weights::open(ModelFiles::default()).unwrap_err();
    assert!(
        matches!(none, Error::Request { field: "model", .. }),
        "{none}"
    );
}
