//! The values of published files, under the names that diffusers' converters give them.
#![cfg(unix)] // elsewhere the holes of files take their space

use super::{ModelFiles, Weights};
use crate::tensor::Layout;
use serde::Deserialize;
use std::collections::BTreeMap;
use tempfile::TempDir;

#[path = "../../tests/support/model_files.rs"]
mod model_files;

/// Where a weight comes from.
#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    /// The file's tensor of that name.
    Whole(String),
    /// A part of it, or the same the other way round: which of its elements are the weight's first,
    /// second and last.
    Elements(String, u64, u64, u64),
}

/// Asserts that a weight has the first, the second and the last value of its source.
#[track_caller]
fn assert_values(weights: &Weights, name: &str, source: &Source) {
    let param = weights.param(name).unwrap_or_else(|| panic!("no {name}"));
    let last = param.shape.len() as u64 - 1;
    let (file_name, elements) = match source {
        Source::Whole(file_name) => (file_name, [0, 1, last]),
        Source::Elements(file_name, first, second, last) => (file_name, [*first, *second, *last]),
    };
    assert_eq!(weights.file_name(name), Some(file_name.as_str()));
    // Bytes are as in the file: there, the first row's second element is the second row's first.
    let is_transposed = elements[1] != elements[0] + 1;
    assert_eq!(param.layout == Layout::Transposed, is_transposed, "{name}");
    let stored = weights.bytes(name).expect("it was found above");
    let size = param.dtype.size_bytes();
    for (place, element) in [0, 1, last].into_iter().zip(elements) {
        if place > last || (is_transposed && place == 1) {
            continue;
        }
        let place =
            usize::try_from(place).expect("files are smaller than the memory there may be") * size;
        let expected = model_files::seeded(file_name, element, size as u64);
        assert_eq!(stored[place..][..size], expected, "{name} of {file_name}");
    }
}

/// `tests/golden/conversion.py` wrote what diffusers makes of each list.
#[test]
fn values_of_single_files_go_where_diffusers_puts_them() {
    let conversion = model_files::read("conversion");
    let conversion: BTreeMap<String, BTreeMap<String, Source>> =
        serde_json::from_value(conversion).unwrap();
    for (list, sources) in conversion {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("model.safetensors");
        model_files::write(&path, &list, model_files::MIXED);
        let weights = Weights::open(&path).unwrap();
        for (name, source) in &sources {
            assert_values(&weights, name, source);
        }
        let without_source: Vec<_> = weights
            .names()
            .filter(|name| !sources.contains_key(*name))
            .collect();
        // diffusers does not take the last layer of Stable Diffusion 2's text encoder, nor what
        // follows it.
        let is_known = |name: &&str| {
            list == "full_sd21_v2-1_768"
                && (name.starts_with("text_encoder.text_model.encoder.layers.23.")
                    || *name == "text_encoder.text_projection.weight")
        };
        assert!(without_source.iter().all(is_known), "{without_source:?}");
    }
}

#[test]
fn values_of_diffusers_files_keep_their_names() {
    for (list, part) in [
        ("diffusers_sd15_unet", "unet"),
        ("diffusers_sd21_unet", "unet"),
        ("diffusers_sdxl_unet", "unet"),
        ("diffusers_bk_sdm_tiny_unet", "unet"),
        ("diffusers_koala_1b_unet", "unet"),
        ("diffusers_vae_sd", "vae"),
        ("clip_l_hf", "text_encoder"),
        ("clip_g_hf_sdxl_text_encoder_2", "text_encoder_2"),
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("part.safetensors");
        model_files::write(&path, list, model_files::F16);
        let files = ModelFiles::default();
        let weights = Weights::open(match part {
            "unet" => files.unet(&path),
            "vae" => files.vae(&path),
            "text_encoder" => files.text_encoder(&path),
            _ => files.text_encoder_2(&path),
        });
        let weights = weights.unwrap();
        for name in model_files::listed(list).into_keys() {
            if !model_files::is_not_for_drawing(&name) {
                let weight = format!("{part}.{name}");
                assert_values(&weights, &weight, &Source::Whole(name));
            }
        }
    }
}
