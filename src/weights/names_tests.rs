use super::*;
use crate::tensor::Shape;
use std::collections::BTreeMap;
use std::io::Read;

type Shapes = BTreeMap<String, Vec<usize>>;

/// A list of tensor names and shapes of a published model.
fn published(file: &str) -> Shapes {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data/keys/");
    let file = std::fs::File::open(format!("{folder}{file}.json.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

fn prefixed(prefix: &str, shapes: Shapes) -> Shapes {
    shapes
        .into_iter()
        .map(|(name, shape)| (format!("{prefix}{name}"), shape))
        .collect()
}

/// The shapes under the one naming, and the leftovers.
fn translated(shapes: &Shapes, part: Option<&str>) -> (Shapes, Vec<String>, bool) {
    let names: Vec<&str> = shapes.keys().map(String::as_str).collect();
    let translation = translate(&names, part);
    let known = translation.known.into_iter();
    let ours = known
        .map(|Known { name, entry, view }| {
            let shape = view.shape(Shape::new(&shapes[names[entry]]));
            (
                name,
                shape.expect("the tensor has that part").dims().to_vec(),
            )
        })
        .collect();
    let leftovers = translation
        .leftovers
        .into_iter()
        .map(|index| names[index].to_owned());
    (ours, leftovers.collect(), translation.has_ldm)
}

fn without_unit_axes(shapes: Shapes) -> Shapes {
    let drop = |shape: Vec<usize>| match shape[..] {
        [o, i, 1, 1] => vec![o, i],
        _ => shape,
    };
    shapes
        .into_iter()
        .map(|(name, shape)| (name, drop(shape)))
        .collect()
}

fn sd15_in_diffusers_names() -> Shapes {
    let mut all = prefixed("unet.", published("diffusers_sd15_unet"));
    all.extend(prefixed("vae.", published("diffusers_vae_sd")));
    all.extend(prefixed("text_encoder.", published("clip_l_hf")));
    all
}

#[test]
fn sd15_single_file_maps_to_diffusers_with_nothing_left_or_missing() {
    let file = published("full_sd15_v1-5-pruned-emaonly");
    let (ours, leftovers, has_ldm) = translated(&file, None);
    assert_eq!(leftovers, [""; 0]);
    assert!(has_ldm);
    assert_eq!(
        without_unit_axes(ours),
        without_unit_axes(sd15_in_diffusers_names())
    );
}

#[test]
fn sdxl_unet_maps_though_its_levels_and_attentions_differ() {
    let (ours, leftovers, _) = translated(&published("ldm_sdxl_base_unet"), None);
    assert_eq!(leftovers, [""; 0]);
    assert_eq!(ours, prefixed("unet.", published("diffusers_sdxl_unet")));
}

#[test]
fn diffusers_names_map_to_themselves_with_or_without_prefixes() {
    let all = sd15_in_diffusers_names();
    assert_eq!(translated(&all, None), (all, Vec::new(), false));
    for (part, file) in [
        ("unet", "diffusers_sd15_unet"),
        ("vae", "diffusers_vae_sd"),
        ("text_encoder", "clip_l_hf"),
    ] {
        let file = published(file);
        let want = prefixed(&format!("{part}."), file.clone());
        assert_eq!(translated(&file, None).0, want, "a single file of one part");
        assert_eq!(translated(&file, Some(part)).0, want, "a part of a folder");
    }
}

#[test]
fn clip_may_lack_its_outer_name() {
    let with = published("clip_l_hf");
    let without: Shapes = with
        .iter()
        .map(|(name, shape)| (name.replace("text_model.", ""), shape.clone()))
        .collect();
    let want = prefixed("text_encoder.", with);
    assert_eq!(translated(&without, None).0, want);
    assert_eq!(translated(&without, Some("text_encoder")).0, want);
    assert_eq!(
        translated(&prefixed("cond_stage_model.transformer.", without), None).0,
        want
    );
}

#[test]
fn a_unet_may_lack_the_outermost_of_its_prefixes() {
    let file = published("ldm_sdxl_base_unet");
    let without = file.iter().map(|(name, shape)| {
        let name = name.strip_prefix("model.").expect("all have it");
        (name.to_owned(), shape.clone())
    });
    assert_eq!(
        translated(&without.collect(), None),
        translated(&file, None)
    );
}

/// ComfyUI's names, as its loaders and `CLIPSave` have them.
#[test]
fn prefixes_of_parts_saved_without_a_checkpoint_are_known() {
    for (prefix, list, part) in [
        (
            "text_encoders.clip_l.transformer.",
            "clip_l_hf",
            "text_encoder",
        ),
        ("clip_l.transformer.", "clip_l_hf", "text_encoder"),
        ("clip_l.", "clip_l_hf", "text_encoder"),
        (
            "text_encoders.clip_g.transformer.",
            "clip_g_hf_sdxl_text_encoder_2",
            "text_encoder_2",
        ),
        (
            "clip_g.transformer.",
            "clip_g_hf_sdxl_text_encoder_2",
            "text_encoder_2",
        ),
        ("clip_g.", "clip_g_hf_sdxl_text_encoder_2", "text_encoder_2"),
    ] {
        let (ours, leftovers, _) = translated(&prefixed(prefix, published(list)), None);
        assert_eq!(leftovers, [""; 0], "{prefix}");
        let wanted = translated(&published(list), Some(part)).0;
        assert_eq!(ours, wanted, "{prefix}");
    }
}

/// The text encoders of a single file that belong to a part, beside those of the list.
fn text_encoder_of(file: &str, part: &str) -> (Shapes, Vec<String>) {
    let (ours, leftovers, _) = translated(&published(file), None);
    let prefix = format!("{part}.");
    let encoder = ours
        .into_iter()
        .filter(|(name, _)| name.starts_with(&prefix));
    (encoder.collect(), leftovers)
}

#[test]
fn sdxl_single_file_has_the_names_of_its_folder() {
    let (second, leftovers) = text_encoder_of("full_sdxl_base_1.0", "text_encoder_2");
    assert_eq!(leftovers, [""; 0]);
    let folder = prefixed(
        "text_encoder_2.",
        published("clip_g_hf_sdxl_text_encoder_2"),
    );
    assert_eq!(second, folder);
    let (first, _) = text_encoder_of("full_sdxl_base_1.0", "text_encoder");
    assert_eq!(first, prefixed("text_encoder.", published("clip_l_hf")));
    let (ours, _, has_ldm) = translated(&published("full_sdxl_base_1.0"), None);
    assert!(has_ldm);
    assert_eq!(ours.len(), first.len() + second.len() + 1680 + 248);
}

#[test]
fn sd21_single_file_has_the_unet_of_its_folder_and_all_layers_of_openclip() {
    let (ours, leftovers, _) = translated(&published("full_sd21_v2-1_768"), None);
    assert_eq!(leftovers, [""; 0]);
    let unet: Shapes = ours
        .iter()
        .filter(|(name, _)| name.starts_with("unet."))
        .map(|(name, shape)| (name.clone(), shape.clone()))
        .collect();
    assert_eq!(unet, prefixed("unet.", published("diffusers_sd21_unet")));
    let layers = ours
        .keys()
        .filter(|name| name.ends_with(".self_attn.q_proj.weight"));
    assert_eq!(layers.count(), 24);
    assert_eq!(
        ours["text_encoder.text_model.encoder.layers.23.self_attn.v_proj.bias"],
        [1024]
    );
}

#[test]
fn networks_of_the_refiner_and_of_inpainting_leave_nothing_over() {
    for (file, channels) in [("ldm_sdxl_refiner_unet", 4), ("ldm_sd15_inpaint_unet", 9)] {
        let (ours, leftovers, _) = translated(&published(file), None);
        assert_eq!(leftovers, [""; 0], "{file}");
        assert_eq!(ours.len(), published(file).len());
        assert_eq!(ours["unet.conv_in.weight"][1], channels);
    }
}

#[test]
fn old_diffusers_names_of_vae_attention_are_known() {
    let old = |name: &str| {
        let rows = [
            ("to_q", "query"),
            ("to_k", "key"),
            ("to_v", "value"),
            ("to_out.0", "proj_attn"),
        ];
        rows.iter()
            .fold(name.to_owned(), |name, (new, old)| name.replace(new, old))
    };
    let new = published("diffusers_vae_sd");
    let file: Shapes = new
        .iter()
        .map(|(name, shape)| (old(name), shape.clone()))
        .collect();
    assert_ne!(file, new);
    assert_eq!(
        translated(&file, Some("vae")),
        (prefixed("vae.", new), Vec::new(), false)
    );
}

#[test]
fn a_vae_alone_in_ldm_names_is_known() {
    let all = published("full_sd15_v1-5-pruned-emaonly");
    let vae = all.into_iter().filter_map(|(name, shape)| {
        Some((name.strip_prefix("first_stage_model.")?.to_owned(), shape))
    });
    let (ours, leftovers, has_ldm) = translated(&vae.collect(), None);
    assert_eq!(leftovers, [""; 0]);
    assert!(has_ldm);
    assert_eq!(
        without_unit_axes(ours),
        without_unit_axes(prefixed("vae.", published("diffusers_vae_sd")))
    );
}

#[test]
fn names_that_no_row_knows_are_left_over() {
    let names = [
        "model.diffusion_model.input_blocks.1.0.in_layers.2.weight",
        "model.diffusion_model.input_blocks.1.0.in_layers.7.weight",
        "model.diffusion_model.input_blocks.99999999999999999999.0.op.weight",
        "model.diffusion_model.input_blocks.01.0.op.weight",
        "model.diffusion_model.joint_blocks.0.x",
        "first_stage_model.decoder.up.3.block.0.conv1.weight",
        "conditioner.embedders.0.x",
        "v_pred",
        "",
        "...",
        "model_ema.decay",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
    ];
    let translation = translate(&names, None);
    let known = Known {
        name: "unet.down_blocks.0.resnets.0.conv1.weight".into(),
        entry: 0,
        view: View::Whole,
    };
    assert_eq!(translation.known, [known]);
    assert_eq!(translation.markers, [("v_pred", 7)]);
    assert_eq!(translation.leftovers, [1, 2, 3, 4, 5, 6, 8, 9]);
}
