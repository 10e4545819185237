//! The names of upscaling networks' weights: Real-ESRGAN's inside, whatever the file has.
//!
//! ESRGAN's first files number the layers of one sequence; which of them doubles the size follows from
//! how many there are. Checked against spandrel 0.4.2.

use super::names::{Known, Translation};
use super::view::View;
use std::collections::BTreeSet;

/// The part that an upscaling network is.
pub(super) const PART: &str = "upscaler";

/// Tensors that tell an upscaling network, one list for each kind; all of a list must be there.
const KINDS: [&[&str]; 3] = [
    &[
        "conv_first.weight",
        "body.0.rdb1.conv1.weight",
        "conv_last.weight",
    ],
    &["body.0.weight", "body.1.weight"],
    &[
        "conv_1.sk.weight",
        "block_1.c1_r.sk.weight",
        "conv_cat.weight",
    ],
];

/// What trainers put in front of every name.
const WRAPPERS: [&str; 3] = ["params_ema.", "params.", "module."];

/// Layers that other ESRGAN files call otherwise.
const RENAMED: [(&str, &str); 4] = [
    ("trunk_conv", "conv_body"),
    ("upconv1", "conv_up1"),
    ("upconv2", "conv_up2"),
    ("HRconv", "conv_hr"),
];

/// The names of an upscaling network; `None` where a file is none of a known kind.
pub(super) fn translate(names: &[&str]) -> Option<Translation> {
    let bare: Vec<&str> = names.iter().map(|name| unwrapped(name)).collect();
    let tail = Tail::of(&bare);
    let ours: Vec<String> = bare.iter().map(|name| translate_one(name, &tail)).collect();
    let has = |name: &&str| ours.iter().any(|ours| ours == name);
    if !KINDS.iter().any(|kind| kind.iter().all(has)) {
        return None;
    }
    let known = ours.into_iter().enumerate().map(|(entry, ours)| Known {
        name: format!("{PART}.{ours}"),
        entry,
        view: View::Whole,
    });
    Some(Translation {
        known: known.collect(),
        ..Translation::default()
    })
}

fn unwrapped(name: &str) -> &str {
    let mut wrappers = WRAPPERS.iter();
    wrappers
        .find_map(|wrapper| name.strip_prefix(wrapper))
        .unwrap_or(name)
}

fn translate_one(name: &str, tail: &Tail) -> String {
    let Some((layer, leaf)) = name.rsplit_once('.') else {
        return name.to_owned();
    };
    let renamed = RENAMED.iter().find(|(theirs, _)| *theirs == layer);
    let ours = match renamed {
        Some((_, ours)) => Some((*ours).to_owned()),
        None => dense_layer(layer).or_else(|| tail.layer(layer)),
    };
    ours.map_or_else(|| name.to_owned(), |ours| format!("{ours}.{leaf}"))
}

/// `RRDB_trunk.0.RDB1.conv1` and `model.1.sub.0.RDB1.conv1.0` → `body.0.rdb1.conv1`.
fn dense_layer(layer: &str) -> Option<String> {
    let inner = layer
        .strip_prefix("RRDB_trunk.")
        .or_else(|| layer.strip_prefix("model.1.sub."))?;
    let (block, inner) = inner.split_once('.')?;
    let (dense, conv) = inner.strip_prefix("RDB")?.split_once('.')?;
    let conv = conv.strip_suffix(".0").unwrap_or(conv);
    Some(format!("body.{block}.rdb{dense}.{conv}"))
}

/// The layers of a numbered sequence that follow its trunk, in order: each doubling, then two more.
struct Tail(Vec<usize>);

impl Tail {
    fn of(names: &[&str]) -> Self {
        let layers = names.iter().filter_map(|name| {
            let number = name.strip_prefix("model.")?.strip_suffix(".weight")?;
            number.parse().ok().filter(|number| *number > 1)
        });
        Self(layers.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// `model.0` → `conv_first`, `model.1.sub.23` → `conv_body`, `model.3` → `conv_up1` and so on.
    fn layer(&self, layer: &str) -> Option<String> {
        let number = layer.strip_prefix("model.")?;
        if number.starts_with("1.sub.") {
            return Some("conv_body".into());
        }
        let number: usize = number.parse().ok()?;
        if number == 0 {
            return Some("conv_first".into());
        }
        let place = self.0.iter().position(|known| *known == number)?;
        Some(match self.0.len() - place {
            1 => "conv_last".into(),
            2 => "conv_hr".into(),
            _ => format!("conv_up{}", place + 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(names: &[&str]) -> Vec<String> {
        let translation = translate(names).expect("an upscaler");
        let known = translation.known.into_iter();
        known
            .map(|known| known.name.replace("upscaler.", ""))
            .collect()
    }

    #[test]
    fn a_sequence_of_layers_gets_the_names_of_what_they_do() {
        let names = [
            "model.0.weight",
            "model.1.sub.0.RDB1.conv1.0.weight",
            "model.1.sub.0.RDB2.conv1x1.weight",
            "model.1.sub.1.bias",
            "model.3.weight",
            "model.6.weight",
            "model.8.bias",
            "model.8.weight",
            "model.10.weight",
        ];
        let expected = [
            "conv_first.weight",
            "body.0.rdb1.conv1.weight",
            "body.0.rdb2.conv1x1.weight",
            "conv_body.bias",
            "conv_up1.weight",
            "conv_up2.weight",
            "conv_hr.bias",
            "conv_hr.weight",
            "conv_last.weight",
        ];
        assert_eq!(ours(&names), expected);
    }

    #[test]
    fn a_sequence_that_keeps_the_size_has_no_doubling() {
        let names = [
            "model.0.weight",
            "model.1.sub.0.RDB1.conv1.0.weight",
            "model.2.weight",
            "model.4.weight",
        ];
        assert_eq!(ours(&names)[2..], ["conv_hr.weight", "conv_last.weight"]);
    }

    #[test]
    fn other_words_and_wrappings_come_out_the_same() {
        let names = [
            "params_ema.conv_first.weight",
            "params_ema.RRDB_trunk.2.RDB3.conv5.bias",
            "params_ema.RRDB_trunk.0.RDB1.conv1.weight",
            "params_ema.trunk_conv.bias",
            "params_ema.upconv2.weight",
            "params_ema.HRconv.weight",
            "params_ema.conv_last.weight",
        ];
        let expected = [
            "conv_first.weight",
            "body.2.rdb3.conv5.bias",
            "body.0.rdb1.conv1.weight",
            "conv_body.bias",
            "conv_up2.weight",
            "conv_hr.weight",
            "conv_last.weight",
        ];
        assert_eq!(ours(&names), expected);
    }

    #[test]
    fn other_files_are_none() {
        assert!(translate(&["model.diffusion_model.out.2.weight"]).is_none());
        assert!(translate(&[]).is_none());
    }
}
