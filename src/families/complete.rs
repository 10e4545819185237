//! Whether a checkpoint has all of its layers.
//!
//! Networks here are as deep as their file, so a file that lacks the last layer of a block reads
//! like a smaller network, and would draw something else in silence. Two things betray it: the
//! configuration, where it says how deep the network is, and blocks that are alike in every model.

use super::ModelConfig;
use super::config::Part;
use crate::error::Result;
use crate::networks::PerLevel;
use crate::weights::{Scope, Weights};

/// Fails with the first layer that should be there.
///
/// # Errors
/// [`crate::Error::MissingTensor`] with that layer, [`crate::Error::BadFile`] if the configuration
/// speaks of fewer than there are.
pub(crate) fn check_complete(weights: &Weights, config: &ModelConfig) -> Result<()> {
    for spec in &config.text_encoders {
        text_encoder(weights, spec.part)?;
    }
    unet(weights)?;
    vae_decoder(weights)
}

fn text_encoder(weights: &Weights, part: &'static str) -> Result<()> {
    let checked = Checked::of(weights, part)?;
    let encoder = weights.scope(part).scope("text_model.encoder");
    let layers = checked.part.count("num_hidden_layers")?;
    checked.count(
        "num_hidden_layers",
        layers,
        &encoder,
        "layers",
        "layer_norm1.weight",
    )
}

fn unet(weights: &Weights) -> Result<()> {
    let checked = Checked::of(weights, "unet")?;
    let unet = weights.scope("unet");
    checked.levels(&unet, "down_blocks")?;
    let layers = checked.part.per_level("layers_per_block")?;
    let levels = unet.count("down_blocks");
    for level in 0..levels {
        let block = unet.scope(format!("down_blocks.{level}"));
        let layers = layers.as_ref().and_then(|layers| layers.at(level));
        checked.count(
            "layers_per_block",
            layers,
            &block,
            "resnets",
            "norm1.weight",
        )?;
        // What attends to the prompt on the way down does so on the way up.
        let opposite = unet.scope(format!("up_blocks.{}", levels - 1 - level));
        for (one, other) in [(&block, &opposite), (&opposite, &block)] {
            if one.has_scope("attentions") {
                checked.attention(other, "norm.weight")?;
            }
        }
    }
    // Distilled networks have one residual block in the middle, or nothing there.
    let middle = unet.scope("mid_block");
    let is_whole = middle.count("resnets") > 1;
    match checked.part.text("mid_block_type")?.as_deref() {
        Some("UNetMidBlock2DCrossAttn") => checked.attention(&middle, "norm.weight"),
        None if is_whole => checked.attention(&middle, "norm.weight"),
        _ => Ok(()),
    }
}

fn vae_decoder(weights: &Weights) -> Result<()> {
    let checked = Checked::of(weights, "vae")?;
    let decoder = weights.scope("vae.decoder");
    checked.levels(&decoder, "up_blocks")?;
    let block = |level| decoder.scope(format!("up_blocks.{level}"));
    let levels = 0..decoder.count("up_blocks");
    // One more than the encoder has, and on every level the same.
    let said = checked.part.count("layers_per_block")?;
    let most = levels
        .clone()
        .map(|level| block(level).count("resnets"))
        .max();
    let layers = said.map(|layers| layers + 1).or(most);
    for level in levels {
        checked.count(
            "layers_per_block",
            layers,
            &block(level),
            "resnets",
            "norm1.weight",
        )?;
    }
    match checked.part.flag("mid_block_add_attention")? {
        Some(false) => Ok(()),
        _ => checked.attention(&decoder.scope("mid_block"), "group_norm.weight"),
    }
}

/// A part's tensors beside its configuration.
struct Checked<'w> {
    weights: &'w Weights,
    part: Part<'w>,
}

impl<'w> Checked<'w> {
    fn of(weights: &'w Weights, name: &'static str) -> Result<Self> {
        let part = Part::of(weights, name)?;
        Ok(Self { weights, part })
    }

    /// Fails unless `scope` has as many numbered children as `field` of the configuration wants,
    /// if it wants any number. `tensor` is one that every child has.
    fn count(
        &self,
        field: &str,
        wanted: Option<usize>,
        scope: &Scope,
        child: &str,
        tensor: &str,
    ) -> Result<()> {
        let found = scope.count(child);
        match wanted {
            Some(wanted) if found < wanted => {
                let name = format!("{}.{child}.{found}.{tensor}", scope.path());
                Err(self.weights.missing([name.as_str()]))
            }
            Some(wanted) if found > wanted => Err(self
                .part
                .bad(field, &format!("what fits {found} {child} of the file"))),
            _ => Ok(()),
        }
    }

    /// Fails unless there is a block for each of the configuration's widths.
    fn levels(&self, scope: &Scope, child: &str) -> Result<()> {
        let levels = match self.part.per_level("block_out_channels")? {
            Some(PerLevel::Each(widths)) => Some(widths.len()),
            Some(PerLevel::Same(_)) | None => None,
        };
        let tensor = "resnets.0.norm1.weight";
        self.count("block_out_channels", levels, scope, child, tensor)
    }

    /// Fails unless a block attends to anything. `tensor` is one that its attention has.
    fn attention(&self, block: &Scope, tensor: &str) -> Result<()> {
        if block.has_scope("attentions") {
            return Ok(());
        }
        let name = format!("{}.attentions.0.{tensor}", block.path());
        Err(self.weights.missing([name.as_str()]))
    }
}
