//! Folders whose index, configurations or tokenizer are damaged.

use super::*;
use serde_json::{Value, json};

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/data/models/tiny_c"
);

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
