//! What a file without the wanted tensors looks like, and what to give instead.

/// What only the names of one kind of file contain; the first that occurs counts.
const KINDS: &[(&str, &str)] = &[
    (
        "lora_",
        "a LoRA, which adds to a checkpoint and is none itself",
    ),
    (
        "emb_params",
        "a textual inversion embedding, which adds to a checkpoint and is none itself",
    ),
    (
        "control_model.",
        "a ControlNet, which adds to a checkpoint and is none itself",
    ),
    (
        "controlnet_cond_embedding.",
        "a ControlNet, which adds to a checkpoint and is none itself",
    ),
    ("joint_blocks.", "an SD 3 model"),
    ("double_blocks.", "a FLUX model"),
    ("single_transformer_blocks.", "a FLUX model"),
    ("encoder.block.", "a T5 text encoder"),
];

/// The parts that a full checkpoint has, with words for each alone.
const PARTS: &[(&str, &str)] = &[
    ("unet", "a UNet"),
    ("vae", "a VAE"),
    ("text_encoder", "a text encoder"),
];

/// What a file seems to be, from its own names; `None` where these say nothing special.
pub(super) fn kind<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    let is_in = |needle: &str| names.clone().any(|name| name.contains(needle));
    KINDS
        .iter()
        .find(|(needle, _)| is_in(needle))
        .map(|(_, kind)| *kind)
}

/// Advice for a tensor of `part` that is missing, from the parts that are there.
pub(super) fn for_missing(part: &str, present: &[&str], kind: Option<&str>) -> String {
    if let Some(kind) = kind {
        return format!("it looks like {kind}; give a full checkpoint of a known family");
    }
    let lacking: Vec<_> = PARTS
        .iter()
        .map(|(part, _)| *part)
        .filter(|part| !present.contains(part))
        .collect();
    let alone: Vec<_> = PARTS
        .iter()
        .filter(|(part, _)| present.contains(part))
        .map(|(_, words)| *words)
        .collect();
    match (&alone[..], &lacking[..]) {
        (_, []) => format!(
            "it has all parts, but not all of {part}: it is damaged or of another family; \
             compare with `aquatint inspect`, or get the file again"
        ),
        ([], _) => "it has no known part; give a full checkpoint".to_owned(),
        ([one], lacking) => format!(
            "it looks like {one} alone; give a full checkpoint, which also has {}",
            lacking.join(" and ")
        ),
        (_, lacking) => format!(
            "it has no {}; give a full checkpoint",
            lacking.join(" and no ")
        ),
    }
}
