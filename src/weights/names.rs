//! One name for a weight: tables of rows from the namings of files to diffusers' names.
//!
//! A name in a file is first given a part (`unet`, `vae`, `text_encoder`) by its prefix, then
//! translated by the first row of that part's tables that fits. A new naming is new rows.
//!
//! Checked against diffusers' own converters (`loaders/single_file_utils.py`, 0.42.1).

use super::rows::Tail::{Renamed, Same};
use super::rows::{Places, Row, Tail};
use super::view::View;
use std::collections::BTreeSet;

/// Which naming a file uses; inside, there is only the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The names of the original training code: `model.diffusion_model.input_blocks.1.0.in_layers.2.weight`.
    Ldm,
    /// The names of the diffusers library: `unet.down_blocks.0.resnets.0.conv1.weight`.
    Diffusers,
}

impl std::fmt::Display for Naming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ldm => "ldm",
            Self::Diffusers => "diffusers",
        })
    }
}

/// What is known of a file's names.
#[derive(Debug, Default)]
pub(super) struct Translation {
    /// The names of each known tensor.
    pub(super) known: Vec<Known>,
    /// Tensors that say something of the model, with their indices in the file's list.
    pub(super) markers: Vec<(&'static str, usize)>,
    /// Indices of tensors that no row knew. Ignorable ones are in neither list.
    pub(super) leftovers: Vec<usize>,
    /// Whether some name needed a row of the LDM tables.
    pub(super) has_ldm: bool,
}

/// A name that is known, and what of the file's tensor has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: String,
    /// The tensor's index in the file's list.
    pub(super) entry: usize,
    pub(super) view: View,
}

/// Prefixes of single files, and the part that follows them; the first that fits counts.
///
/// Those of `text_encoders.` are Stable Diffusion 3's and what ComfyUI (0.3, `sd.py`, `CLIPSave`)
/// writes for encoders saved together or without a checkpoint; `clip_h` is Stable Diffusion 2's.
const PREFIXES: &[(&str, &str)] = &[
    ("model.diffusion_model.", "unet"),
    ("first_stage_model.", "vae"),
    ("cond_stage_model.transformer.", "text_encoder"),
    ("cond_stage_model.model.", "text_encoder"),
    ("conditioner.embedders.0.transformer.", "text_encoder"),
    ("conditioner.embedders.0.model.", "text_encoder_2"),
    ("conditioner.embedders.1.model.", "text_encoder_2"),
    ("diffusion_model.", "unet"),
    ("text_encoders.clip_l.transformer.", "text_encoder"),
    ("text_encoders.clip_h.transformer.", "text_encoder"),
    ("text_encoders.clip_g.transformer.", "text_encoder_2"),
    ("text_encoders.clip_l.", "text_encoder"),
    ("text_encoders.clip_h.", "text_encoder"),
    ("text_encoders.clip_g.", "text_encoder_2"),
    ("clip_l.transformer.", "text_encoder"),
    ("clip_h.transformer.", "text_encoder"),
    ("clip_g.transformer.", "text_encoder_2"),
    ("clip_l.", "text_encoder"),
    ("clip_h.", "text_encoder"),
    ("clip_g.", "text_encoder_2"),
    ("unet.", "unet"),
    ("vae.", "vae"),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
];

/// Tensors that tell a file of one part alone, without any prefix.
const BARE_PARTS: &[(&str, &str)] = &[
    ("time_embed.0.weight", "unet"),
    ("time_embedding.linear_1.weight", "unet"),
    ("decoder.conv_in.weight", "vae"),
    ("encoder.conv_in.weight", "vae"),
    (
        "text_model.embeddings.token_embedding.weight",
        "text_encoder",
    ),
    ("embeddings.token_embedding.weight", "text_encoder"),
    ("transformer.resblocks.0.ln_1.weight", "text_encoder"),
];

/// Tensors that say something of the model and are no weights: ComfyUI's `supported_models.py`.
const MARKERS: &[&str] = &[
    "v_pred",
    "ztsnr",
    "edm_vpred.sigma_max",
    "edm_vpred.sigma_min",
];

/// What training left in the file and drawing does not need, by the beginning of the file's name.
const IGNORABLE_PREFIXES: &[&str] = &[
    "betas",
    "alphas_cumprod",
    "sqrt_",
    "log_one_minus",
    "posterior_",
    "model_ema.",
    "embedding_manager",
    "denoiser.sigmas",
    "loss.",
    "first_stage_model.loss.",
    "first_stage_model.model_ema.",
    "text_encoders.t5xxl.transformer.encoder.embed_tokens.weight",
];

/// The same by the last segment: CLIP's positions are 0, 1, 2, … in every file, and its temperature
/// was for comparing texts with pictures. Of quantised files the words that they are, and the scales
/// of activations, which are not rounded here.
const IGNORABLE_SUFFIXES: &[&str] = &[
    "position_ids",
    "logit_scale",
    "scaled_fp8",
    "comfy_quant",
    "scale_input",
    "input_scale",
];

const UNET_LDM_RESNET: Tail = Renamed(&[
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
]);

#[rustfmt::skip]
const UNET_LDM: &[Row] = &[
    Row("time_embed.0", "time_embedding.linear_1", Same),
    Row("time_embed.2", "time_embedding.linear_2", Same),
    Row("label_emb.0.0", "add_embedding.linear_1", Same),
    Row("label_emb.0.2", "add_embedding.linear_2", Same),
    Row("input_blocks.0.0", "conv_in", Same),
    Row("input_blocks.{input}.0.op", "down_blocks.{level}.downsamplers.0.conv", Same),
    Row("input_blocks.{input}.0", "down_blocks.{level}.resnets.{layer}", UNET_LDM_RESNET),
    Row("input_blocks.{input}.1", "down_blocks.{level}.attentions.{layer}", Same),
    Row("middle_block.0", "mid_block.resnets.0", UNET_LDM_RESNET),
    Row("middle_block.1", "mid_block.attentions.0", Same),
    Row("middle_block.2", "mid_block.resnets.1", UNET_LDM_RESNET),
    Row("output_blocks.{output}.0", "up_blocks.{level}.resnets.{layer}", UNET_LDM_RESNET),
    Row("output_blocks.{output}.1.conv", "up_blocks.{level}.upsamplers.0.conv", Same),
    Row("output_blocks.{output}.2.conv", "up_blocks.{level}.upsamplers.0.conv", Same),
    Row("output_blocks.{output}.1", "up_blocks.{level}.attentions.{layer}", Same),
    Row("out.0", "conv_norm_out", Same),
    Row("out.2", "conv_out", Same),
];

const UNET: &[Row] = &[
    Row("conv_in", "conv_in", Same),
    Row("time_embedding", "time_embedding", Same),
    Row("add_embedding", "add_embedding", Same),
    Row("down_blocks", "down_blocks", Same),
    Row("mid_block", "mid_block", Same),
    Row("up_blocks", "up_blocks", Same),
    Row("conv_norm_out", "conv_norm_out", Same),
    Row("conv_out", "conv_out", Same),
];

const VAE_LDM_RESNET: Tail = Renamed(&[
    ("norm1", "norm1"),
    ("conv1", "conv1"),
    ("norm2", "norm2"),
    ("conv2", "conv2"),
    ("nin_shortcut", "conv_shortcut"),
]);

const VAE_LDM_ATTENTION: Tail = Renamed(&[
    ("norm", "group_norm"),
    ("q", "to_q"),
    ("k", "to_k"),
    ("v", "to_v"),
    ("proj_out", "to_out.0"),
]);

#[rustfmt::skip]
const VAE_LDM: &[Row] = &[
    Row("encoder.down.{level}.block.{layer}", "encoder.down_blocks.{level}.resnets.{layer}", VAE_LDM_RESNET),
    Row("encoder.down.{level}.downsample.conv", "encoder.down_blocks.{level}.downsamplers.0.conv", Same),
    Row("encoder.mid.block_1", "encoder.mid_block.resnets.0", VAE_LDM_RESNET),
    Row("encoder.mid.attn_1", "encoder.mid_block.attentions.0", VAE_LDM_ATTENTION),
    Row("encoder.mid.block_2", "encoder.mid_block.resnets.1", VAE_LDM_RESNET),
    Row("encoder.norm_out", "encoder.conv_norm_out", Same),
    Row("decoder.mid.block_1", "decoder.mid_block.resnets.0", VAE_LDM_RESNET),
    Row("decoder.mid.attn_1", "decoder.mid_block.attentions.0", VAE_LDM_ATTENTION),
    Row("decoder.mid.block_2", "decoder.mid_block.resnets.1", VAE_LDM_RESNET),
    Row("decoder.up.{up}.block.{layer}", "decoder.up_blocks.{level}.resnets.{layer}", VAE_LDM_RESNET),
    Row("decoder.up.{up}.upsample.conv", "decoder.up_blocks.{level}.upsamplers.0.conv", Same),
    Row("decoder.norm_out", "decoder.conv_norm_out", Same),
];

/// Older diffusers had other names in the VAE's attention.
const VAE_ATTENTION: Tail = Renamed(&[
    ("query", "to_q"),
    ("key", "to_k"),
    ("value", "to_v"),
    ("proj_attn", "to_out.0"),
    ("group_norm", "group_norm"),
    ("to_q", "to_q"),
    ("to_k", "to_k"),
    ("to_v", "to_v"),
    ("to_out.0", "to_out.0"),
]);

#[rustfmt::skip]
const VAE: &[Row] = &[
    Row("encoder.conv_in", "encoder.conv_in", Same),
    Row("encoder.down_blocks", "encoder.down_blocks", Same),
    Row("encoder.mid_block.attentions.{layer}", "encoder.mid_block.attentions.{layer}", VAE_ATTENTION),
    Row("encoder.mid_block.resnets", "encoder.mid_block.resnets", Same),
    Row("encoder.conv_norm_out", "encoder.conv_norm_out", Same),
    Row("encoder.conv_out", "encoder.conv_out", Same),
    Row("decoder.conv_in", "decoder.conv_in", Same),
    Row("decoder.mid_block.attentions.{layer}", "decoder.mid_block.attentions.{layer}", VAE_ATTENTION),
    Row("decoder.mid_block.resnets", "decoder.mid_block.resnets", Same),
    Row("decoder.up_blocks", "decoder.up_blocks", Same),
    Row("decoder.conv_norm_out", "decoder.conv_norm_out", Same),
    Row("decoder.conv_out", "decoder.conv_out", Same),
    Row("quant_conv", "quant_conv", Same),
    Row("post_quant_conv", "post_quant_conv", Same),
];

/// transformers 5 saves without `text_model.`, everything before it with.
const TEXT_ENCODER: &[Row] = &[
    Row("text_model", "text_model", Same),
    Row("embeddings", "text_model.embeddings", Same),
    Row("encoder", "text_model.encoder", Same),
    Row("final_layer_norm", "text_model.final_layer_norm", Same),
    Row("text_projection", "text_projection", Same),
];

/// Queries, keys and values stored as one.
const FUSED: &str = "self_attn.{qkv}_proj";

#[rustfmt::skip]
const OPEN_CLIP: &[Row] = &[
    Row("token_embedding", "text_model.embeddings.token_embedding", Same),
    Row("positional_embedding", "text_model.embeddings.position_embedding", Same),
    Row("transformer.resblocks.{layer}", "text_model.encoder.layers.{layer}", Renamed(&[
        ("ln_1", "layer_norm1"),
        ("attn.in_proj", FUSED),
        ("attn.out_proj", "self_attn.out_proj"),
        ("ln_2", "layer_norm2"),
        ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
    ])),
    Row("ln_final", "text_model.final_layer_norm", Same),
];

/// OpenCLIP's parameters that belong to no layer have no `.weight`.
const LEAFLESS: &[(&str, &str)] = &[
    ("positional_embedding", "positional_embedding.weight"),
    ("attn.in_proj_weight", "attn.in_proj.weight"),
    ("attn.in_proj_bias", "attn.in_proj.bias"),
];

/// OpenCLIP's projection, which multiplies from the other side than a layer's weight.
const OPEN_CLIP_PROJECTION: (&str, &str) = ("text_projection", "text_projection.weight");

/// The tables of each part, tried in this order.
const TABLES: &[(&str, Naming, &[Row])] = &[
    ("unet", Naming::Ldm, UNET_LDM),
    ("unet", Naming::Diffusers, UNET),
    ("vae", Naming::Ldm, VAE_LDM),
    ("vae", Naming::Diffusers, VAE),
    ("text_encoder", Naming::Ldm, OPEN_CLIP),
    ("text_encoder", Naming::Diffusers, TEXT_ENCODER),
    ("text_encoder_2", Naming::Ldm, OPEN_CLIP),
    ("text_encoder_2", Naming::Diffusers, TEXT_ENCODER),
];

/// Translates a file's names; `part` says that the whole file is that part, as in a diffusers folder.
pub(super) fn translate(names: &[&str], part: Option<&str>) -> Translation {
    let bare = part.or_else(|| bare_part(names));
    let split = |name| match bare {
        Some(part) => Some((part, name)),
        None => split_part(name),
    };
    let within = |wanted: &str| {
        let inner = names.iter().filter_map(|&name| split(name));
        inner
            .filter(|(part, _)| *part == wanted)
            .map(|(_, name)| name)
            .collect()
    };
    let places = Places::find(&within("unet"), &within("vae"));

    let mut translation = Translation::default();
    for (index, &name) in names.iter().enumerate() {
        if let Some(marker) = MARKERS.iter().find(|marker| **marker == name) {
            translation.markers.push((marker, index));
            continue;
        }
        if is_ignorable(name) {
            continue;
        }
        let found = split(name).and_then(|(part, inner)| {
            let (ours, naming) = translate_one(part, inner, &places)?;
            Some((part, ours, naming))
        });
        match found {
            Some((part, ours, naming)) => {
                translation.has_ldm |= naming == Naming::Ldm;
                let known = ours.into_iter().map(|(ours, view)| Known {
                    name: format!("{part}.{ours}"),
                    entry: index,
                    view,
                });
                translation.known.extend(known);
            }
            None => translation.leftovers.push(index),
        }
    }
    translation
}

/// The part that all of a file is, without any prefix; `None` of files of several parts.
pub(super) fn bare_part(names: &[&str]) -> Option<&'static str> {
    let present: BTreeSet<&str> = names.iter().copied().collect();
    let mut parts = BARE_PARTS.iter();
    parts.find_map(|&(marker, part)| present.contains(marker).then_some(part))
}

/// The part that a name's prefix tells.
pub(super) fn part_in(name: &str) -> Option<&'static str> {
    split_part(name).map(|(part, _)| part)
}

fn split_part(name: &str) -> Option<(&'static str, &str)> {
    PREFIXES
        .iter()
        .find_map(|(prefix, part)| Some((*part, name.strip_prefix(prefix)?)))
}

fn is_ignorable(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    IGNORABLE_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || IGNORABLE_SUFFIXES.contains(&last)
}

/// The names of a tensor without its part, and what of it has each of them.
fn translate_one(part: &str, name: &str, places: &Places) -> Option<(Vec<(String, View)>, Naming)> {
    let is_text = part.starts_with("text_encoder");
    if is_text && name == OPEN_CLIP_PROJECTION.0 {
        let ours = OPEN_CLIP_PROJECTION.1.to_owned();
        return Some((vec![(ours, View::Transposed)], Naming::Ldm));
    }
    let with_leaf =
        |(ending, leaf): &(&str, &str)| Some(name.strip_suffix(ending)?.to_owned() + leaf);
    let named = LEAFLESS.iter().filter(|_| is_text).find_map(with_leaf);
    let name = named.as_deref().unwrap_or(name);
    TABLES
        .iter()
        .filter(|(table_part, ..)| *table_part == part)
        .find_map(|(_, naming, rows)| {
            let ours = rows.iter().find_map(|row| row.translate(name, places))?;
            Some((unfused(ours), *naming))
        })
}

/// One name for the whole tensor, or one for each third of it.
fn unfused(ours: String) -> Vec<(String, View)> {
    if !ours.contains("{qkv}") {
        return vec![(ours, View::Whole)];
    }
    let thirds = ["q", "k", "v"].into_iter().enumerate();
    thirds
        .map(|(third, letter)| (ours.replace("{qkv}", letter), View::Third(third)))
        .collect()
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
