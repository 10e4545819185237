use super::*;
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
        .map(|(name, index)| (name, shapes[names[index]].clone()))
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
    assert_eq!(
        translation.known,
        [("unet.down_blocks.0.resnets.0.conv1.weight".to_owned(), 0)]
    );
    assert_eq!(translation.leftovers, (1..=9).collect::<Vec<_>>());
}
