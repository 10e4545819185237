use super::*;
use crate::error::Error;
use safetensors::tensor::{Dtype, TensorView};
use std::fs;

pub(super) const DEMO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/models/demo/tiny-emoji-sd.safetensors"
);

/// A safetensors file of zeros with these tensors.
pub(super) fn tensor_file(tensors: &[(&str, &str, &[usize])]) -> Vec<u8> {
    file_with(tensors, &[])
}

pub(super) fn file_with(tensors: &[(&str, &str, &[usize])], metadata: &[(&str, &str)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape)| {
        let dtype: Dtype = serde_json::from_value((*dtype).into()).unwrap();
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let view = TensorView::new(dtype, shape.to_vec(), vec![0; bytes].leak()).unwrap();
        (*name, view)
    });
    let metadata: Vec<(String, String)> = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    // An empty map would be written as malformed JSON by safetensors 0.8.0.
    let metadata = (!metadata.is_empty()).then(|| metadata.into_iter().collect());
    safetensors::serialize(views, metadata).unwrap()
}

/// Opens bytes from a file on disk.
pub(super) fn open_bytes(bytes: &[u8]) -> Result<Weights> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    Weights::open(file.path())
}

pub(super) fn demo() -> Weights {
    Weights::open(DEMO).unwrap()
}

/// Writes the parts of a checkpoint as a diffusers folder.
fn write_folder(weights: &Weights, folder: &Path) {
    for part in weights.parts() {
        let prefix = format!("{}.", part.name);
        let mine = weights.tensors().filter_map(|tensor| {
            let name = tensor.name.strip_prefix(&prefix)?;
            let shape = match *tensor.shape.dims() {
                // As diffusers has them: linear layers in the VAE's attention.
                [o, i, 1, 1] if name.contains(".to_") => vec![o, i],
                ref shape => shape.to_vec(),
            };
            let view = TensorView::new(Dtype::F16, shape, weights.bytes(tensor.name)?);
            Some((name.to_owned(), view.unwrap()))
        });
        let stem = if part.name == "text_encoder" {
            "model"
        } else {
            "diffusion_pytorch_model"
        };
        let part_folder = folder.join(&part.name);
        fs::create_dir_all(&part_folder).unwrap();
        let bytes = safetensors::serialize(mine, None).unwrap();
        fs::write(part_folder.join(format!("{stem}.safetensors")), bytes).unwrap();
        fs::write(
            part_folder.join("config.json"),
            weights.config(&part.name).unwrap().to_string(),
        )
        .unwrap();
    }
}

#[test]
fn the_demo_model_opens_as_sd1_with_nothing_left_over() {
    let weights = demo();
    assert_eq!(weights.naming(), Naming::Ldm);
    assert_eq!(weights.leftovers(), [""; 0]);
    assert_eq!(weights.looks_like(), None);
    assert!(weights.folder().is_none());
    assert_eq!(weights.config("vae").unwrap()["scaling_factor"], 0.18215);
    assert_eq!(weights.metadata()["modelspec.prediction_type"], "epsilon");
    let parts = weights.parts();
    let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["text_encoder", "unet", "vae"]);
    assert!(
        parts
            .iter()
            .all(|part| part.dtypes == BTreeMap::from([("f16".to_owned(), part.tensor_count)]))
    );
    let bytes: usize = parts.iter().map(|part| part.size_bytes).sum();
    let parameters: usize = parts.iter().map(|part| part.parameter_count).sum();
    assert_eq!(bytes, 2 * parameters);
    let unet = weights.scope("unet");
    assert_eq!(
        (
            unet.count("down_blocks"),
            unet.count("up_blocks"),
            unet.count("up_blocks.0.resnets")
        ),
        (3, 3, 2)
    );
}

#[test]
fn a_folder_and_a_single_file_give_the_same_names_and_bytes() {
    let single = demo();
    let folder = tempfile::tempdir().unwrap();
    write_folder(&single, folder.path());
    let parts = Weights::open(folder.path()).unwrap();
    assert_eq!(parts.folder(), Some(folder.path()));
    assert_eq!(parts.naming(), Naming::Diffusers);
    assert!(parts.names().eq(single.names()));
    for name in single.names() {
        assert_eq!(
            parts.bytes(name).unwrap(),
            single.bytes(name).unwrap(),
            "{name}"
        );
        let shape = parts.param(name).unwrap().shape;
        assert_eq!(
            single.scope("").get(name, shape).unwrap(),
            parts.scope("").get(name, shape).unwrap()
        );
    }
    assert_eq!(parts.config("unet"), single.config("unet"));
}

/// The folder was written by diffusers with `variant="fp16"` and its UNet in two shards.
#[test]
fn a_folder_of_shards_and_variants_has_the_tensors_of_the_single_file() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/models");
    let single = Weights::open(models.join("tiny_xl.safetensors")).unwrap();
    let folder = Weights::open(models.join("tiny_xl_folder")).unwrap();
    assert_eq!(folder.leftovers(), [""; 0]);
    assert!(folder.names().eq(single.names()));
    for name in folder.names() {
        let shape = folder.scope("").shape(name).unwrap();
        single.scope("").get(name, shape).unwrap();
    }
}

#[test]
fn static_bytes_open_by_the_same_path() {
    let bytes: &'static [u8] = fs::read(DEMO).unwrap().leak();
    let (embedded, mapped) = (Weights::from_static("<demo>", bytes).unwrap(), demo());
    assert_eq!(embedded.path(), Path::new("<demo>"));
    assert!(embedded.names().eq(mapped.names()));
    for name in mapped.names() {
        mapped.drop_behind(name);
        embedded.drop_behind(name);
        assert_eq!(embedded.bytes(name), mapped.bytes(name), "{name}");
    }
    let error = Weights::from_static("<demo>", b"").unwrap_err();
    assert_eq!(error.to_string(), "<demo>: is empty; download it again");
}

#[test]
fn a_missing_file_and_an_unknown_model_are_different() {
    let missing = Weights::open("/nowhere/model.safetensors").unwrap_err();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
    let unknown = open_bytes(&tensor_file(&[("bert.layer.weight", "F32", &[1])])).unwrap_err();
    assert!(matches!(unknown, Error::UnknownModel { .. }), "{unknown}");
    assert!(
        unknown.to_string().contains("\"bert.layer.weight\""),
        "{unknown}"
    );
    let empty = open_bytes(&tensor_file(&[])).unwrap_err();
    assert!(empty.to_string().contains("holds no weights"), "{empty}");
}

#[test]
fn what_is_no_checkpoint_is_told_by_its_names() {
    for (name, words) in [
        (
            "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight",
            "a LoRA",
        ),
        ("emb_params", "a textual inversion"),
        ("clip_l", "a textual inversion"),
        ("clip_g", "a textual inversion"),
        ("control_model.time_embed.0.weight", "a ControlNet"),
        ("model.diffusion_model.joint_blocks.0.x", "an SD 3 model"),
        (
            "double_blocks.0.img_attn.norm.key_norm.scale",
            "a FLUX model",
        ),
    ] {
        let error = open_bytes(&tensor_file(&[(name, "F16", &[4])]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("unknown model") && error.contains(words),
            "{error}"
        );
    }
}

#[test]
fn a_vae_alone_says_so_when_the_unet_is_asked_for() {
    let vae = open_bytes(&tensor_file(&[(
        "decoder.conv_in.weight",
        "F16",
        &[4, 4, 3, 3],
    )]))
    .unwrap();
    let error = vae
        .scope("unet")
        .get("conv_in.weight", [8, 4, 3, 3])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("missing tensor unet.conv_in.weight"),
        "{error}"
    );
    assert!(
        error.contains(
            "looks like a VAE alone; add --unet PATH and --text-encoder PATH, or give a full checkpoint"
        ),
        "{error}"
    );
}

#[test]
fn missing_tensors_are_listed_up_to_five() {
    let error = demo()
        .missing([
            "unet.a", "unet.b", "unet.c", "unet.d", "unet.e", "unet.f", "unet.g",
        ])
        .to_string();
    assert!(
        error.contains("unet.a, unet.b, unet.c, unet.d, unet.e; and 2 more are missing"),
        "{error}"
    );
    assert!(
        error.contains("it has all parts, but not all of unet"),
        "{error}"
    );
}

#[test]
fn a_weight_under_two_names_is_refused() {
    let twice = tensor_file(&[
        ("unet.conv_in.weight", "F16", &[4]),
        ("model.diffusion_model.input_blocks.0.0.weight", "F16", &[4]),
    ]);
    let error = open_bytes(&twice).unwrap_err().to_string();
    assert!(error.contains("the same weight twice"), "{error}");
}

#[test]
fn unknown_tensors_are_left_over_and_ignorable_ones_forgotten() {
    let weights = open_bytes(&tensor_file(&[
        ("model.diffusion_model.time_embed.0.weight", "F16", &[4, 4]),
        (
            "cond_stage_model.transformer.text_model.embeddings.position_ids",
            "I64",
            &[1, 77],
        ),
        ("model_ema.decay", "F32", &[]),
        ("zzz", "F16", &[1]),
        ("alphas_cumprod", "F64", &[1000]),
        ("extra.thing", "F16", &[1]),
    ]))
    .unwrap();
    assert!(weights.names().eq(["unet.time_embedding.linear_1.weight"]));
    assert_eq!(weights.leftovers(), ["extra.thing", "zzz"]);
    let info = weights.tensors().next().unwrap();
    assert_eq!(info.file_name, "model.diffusion_model.time_embed.0.weight");
    assert_eq!(
        serde_json::to_value(&info).unwrap()["shape"],
        serde_json::json!([4, 4])
    );
}

#[test]
fn a_malformed_config_entry_is_refused() {
    for config in ["", "{", "[]", "5", &"[".repeat(100_000)] {
        let file = file_with(
            &[("unet.conv_in.weight", "F16", &[4])],
            &[("config", config)],
        );
        let error = open_bytes(&file).unwrap_err();
        assert!(matches!(error, Error::BadFile { .. }));
        assert!(
            error.to_string().contains("malformed \"config\" entry"),
            "{error}"
        );
    }
    let file = file_with(
        &[("unet.conv_in.weight", "F16", &[4])],
        &[("config", r#"{"unet":{"in_channels":4}}"#)],
    );
    assert_eq!(
        open_bytes(&file).unwrap().config("unet").unwrap()["in_channels"],
        4
    );
}

#[test]
fn damage_names_the_file() {
    let file = tempfile::NamedTempFile::with_suffix(".ckpt").unwrap();
    fs::write(file.path(), b"PK\x03\x04 archive/data.pkl").unwrap();
    let error = Weights::open(file.path()).unwrap_err();
    assert!(matches!(error, Error::BadFile { .. }));
    assert!(
        error
            .to_string()
            .starts_with(&file.path().display().to_string()),
        "{error}"
    );
    assert!(
        error.to_string().contains("is a pickle checkpoint"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn links_to_models_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link.safetensors");
    std::os::unix::fs::symlink(DEMO, &link).unwrap();
    assert!(Weights::open(&link).unwrap().names().eq(demo().names()));
}

#[cfg(unix)]
#[test]
fn devices_are_refused_unread() {
    for device in ["/dev/zero", "/dev/null"] {
        let error = Weights::open(device).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}

#[test]
fn a_file_that_shrinks_is_refused_at_the_next_tensor() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        file.path(),
        tensor_file(&[("unet.conv_in.weight", "F16", &[64, 64])]),
    )
    .unwrap();
    let weights = Weights::open(file.path()).unwrap();
    assert_eq!(weights.bytes("unet.conv_in.weight").unwrap().len(), 8192);
    file.as_file().set_len(100).unwrap();
    assert!(weights.bytes("unet.conv_in.weight").is_none());
    let error = weights
        .checked_bytes("unet.conv_in.weight")
        .unwrap_err()
        .to_string();
    assert!(error.contains("shrank"), "{error}");
}
