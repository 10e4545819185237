//! What a file without the wanted tensors looks like, and what to give instead.

const EMBEDDING: &str =
    "a textual inversion embedding, which adds to a checkpoint and is none itself";

/// All the names that there are in an embedding for SDXL's two text encoders.
const EMBEDDING_OF_TWO: [&str; 2] = ["clip_l", "clip_g"];

/// What only the names of one kind of file contain; the first that occurs counts.
const KINDS: &[(&str, &str)] = &[
    (
        "lora_",
        "a LoRA, which adds to a checkpoint and is none itself",
    ),
    ("emb_params", EMBEDDING),
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
    (".norm1_context.", "an SD 3 model"),
    ("encoder.block.", "a T5 text encoder"),
];

/// Every part, with words for it and the flag that gives it apart.
const PARTS: &[(&str, &str, &str)] = &[
    ("unet", "a UNet", "--unet PATH"),
    ("vae", "a VAE", "--vae PATH"),
    ("text_encoder", "a text encoder", "--text-encoder PATH"),
    (
        "text_encoder_2",
        "a second text encoder",
        "--text-encoder-2 PATH",
    ),
];

/// The parts that every family has, or another in their place.
const USUAL_PARTS: [&str; 3] = ["unet", "vae", "text_encoder"];

/// A part in words: `a VAE`.
pub(super) fn words(part: &str) -> &'static str {
    row(part).map_or("another part", |(_, words, _)| words)
}

/// The flag that gives a part: `--vae PATH`.
pub(super) fn flag(part: &str) -> &'static str {
    row(part).map_or("-m PATH", |(.., flag)| flag)
}

/// Whether that is a part's name.
pub(super) fn is_part(name: &str) -> bool {
    row(name).is_some()
}

fn row(part: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    PARTS.iter().find(|(name, ..)| *name == part)
}

/// What a file seems to be, from its own names; `None` where these say nothing special.
pub(super) fn kind<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    let mut others = names.clone();
    if names.clone().next().is_some() && others.all(|name| EMBEDDING_OF_TWO.contains(&name)) {
        return Some(EMBEDDING);
    }
    let is_in = |needle: &str| names.clone().any(|name| name.contains(needle));
    KINDS
        .iter()
        .find(|(needle, _)| is_in(needle))
        .map(|(_, kind)| *kind)
}

/// Advice for tensors of the parts `wanted` that are missing, from the parts that are there.
pub(super) fn for_missing(wanted: &[&str], present: &[&str], kind: Option<&str>) -> String {
    if let Some(kind) = kind {
        return format!("it looks like {kind}; give a full checkpoint of a known family");
    }
    let mut named = present.iter().chain(wanted);
    let has_text = named.any(|part| part.starts_with("text_encoder"));
    let is_usual = |part: &&str| match *part {
        "text_encoder" => !has_text,
        part => USUAL_PARTS.contains(&part),
    };
    let is_lacking =
        |part: &&str| !present.contains(part) && (wanted.contains(part) || is_usual(part));
    let parts = || PARTS.iter().map(|(part, ..)| *part);
    let lacking: Vec<_> = parts().filter(is_lacking).map(flag).collect();
    let there: Vec<_> = parts()
        .filter(|part| present.contains(part))
        .map(words)
        .collect();
    match (&there[..], &lacking[..]) {
        (_, []) => format!(
            "it has all parts, but not all of {}: it is damaged or of another family; \
             compare with `aquatint inspect`, or get the file again",
            listed(wanted)
        ),
        ([], _) => "it has no known part; give a full checkpoint".to_owned(),
        ([one], lacking) => format!(
            "it looks like {one} alone; add {}, or give a full checkpoint",
            listed(lacking)
        ),
        (there, lacking) => format!(
            "it has {} alone; add {}, or give a full checkpoint",
            listed(there),
            listed(lacking)
        ),
    }
}

/// `one, another and a third`
pub(super) fn listed(items: &[&str]) -> String {
    match items {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [all_but_last @ .., last] => format!("{} and {last}", all_but_last.join(", ")),
    }
}
