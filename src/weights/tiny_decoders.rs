//! The names of tiny decoders' weights (TAESD): diffusers' inside, whatever the file has.
//!
//! The original code numbers the same layers from one on, since its first one limits the latents and has no
//! weights. Checked against diffusers' `AutoencoderTiny`, 0.42.1.

use super::names::{Known, Translation};
use super::view::View;

/// The part that a tiny decoder is.
pub(super) const PART: &str = "tiny_decoder";

/// What stands before the number of a layer, and the number of the first with weights: in diffusers'
/// files, in those that hold the original's encoder as well, and in the original decoder's alone.
const NAMINGS: [(&str, usize); 4] = [
    ("decoder.layers.", 0),
    ("taesd_decoder.", 1),
    ("decoder.", 1),
    ("", 1),
];

/// The names of a tiny decoder; `None` where a file has none.
pub(super) fn translate(names: &[&str]) -> Option<Translation> {
    let has = |name: String| names.contains(&name.as_str());
    let (prefix, first) = NAMINGS.into_iter().find(|(prefix, first)| {
        let before = first.checked_sub(1);
        has(format!("{prefix}{first}.weight"))
            && before.is_none_or(|before| !has(format!("{prefix}{before}.weight")))
    })?;
    let mut translation = Translation::default();
    for (entry, name) in names.iter().enumerate() {
        let layer = name.strip_prefix(prefix).and_then(|rest| {
            let (number, rest) = rest.split_once('.')?;
            Some((number.parse::<usize>().ok()?.checked_sub(first)?, rest))
        });
        match layer {
            Some((number, rest)) => translation.known.push(Known {
                name: format!("{PART}.layers.{number}.{rest}"),
                entry,
                view: View::Whole,
            }),
            None => translation.leftovers.push(entry),
        }
    }
    Some(translation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(names: &[&str]) -> Option<Vec<String>> {
        let known = translate(names)?.known.into_iter();
        Some(known.map(|known| known.name).collect())
    }

    #[test]
    fn every_naming_is_diffusers_inside() {
        let expected = [
            "tiny_decoder.layers.0.weight",
            "tiny_decoder.layers.2.conv.0.bias",
        ];
        for names in [
            ["decoder.layers.0.weight", "decoder.layers.2.conv.0.bias"],
            ["taesd_decoder.1.weight", "taesd_decoder.3.conv.0.bias"],
            ["decoder.1.weight", "decoder.3.conv.0.bias"],
            ["1.weight", "3.conv.0.bias"],
        ] {
            assert_eq!(ours(&names).unwrap(), expected, "{names:?}");
        }
    }

    #[test]
    fn an_encoder_alone_is_no_decoder() {
        assert_eq!(ours(&["0.weight", "1.conv.0.weight", "1.weight"]), None);
        assert_eq!(ours(&["encoder.layers.0.weight"]), None);
    }
}
