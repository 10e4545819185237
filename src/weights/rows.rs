//! How a row of the naming tables turns one name into another.

use std::collections::BTreeSet;

/// One row: a beginning in the file, the beginning in diffusers' naming, and what may follow.
///
/// Segments in braces are numbers. `{level}` and `{layer}` stand for themselves; `{input}` and
/// `{output}` are numbers of LDM blocks, from which level and layer are found; `{up}` is a level
/// counted from the other end.
pub(super) struct Row(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) Tail,
);

/// What may follow a row's beginning.
pub(super) enum Tail {
    /// Anything, kept as it stands.
    Same,
    /// One of these, followed by `weight` or the like.
    Renamed(&'static [(&'static str, &'static str)]),
}

impl Row {
    /// The name in diffusers' naming, if this row fits.
    pub(super) fn translate(&self, name: &str, places: &Places) -> Option<String> {
        let Row(theirs, ours, tail) = self;
        let mut place = Place::default();
        let mut rest = name;
        for wanted in theirs.split('.') {
            let (segment, after) = rest.split_once('.')?;
            if wanted.starts_with('{') {
                place = places.resolve(wanted, number(segment)?, place)?;
            } else if wanted != segment {
                return None;
            }
            rest = after;
        }
        let rest = match tail {
            Tail::Same => rest.to_owned(),
            Tail::Renamed(renamed) => {
                let (head, leaf) = rest.rsplit_once('.')?;
                let (_, head) = renamed.iter().find(|(theirs, _)| *theirs == head)?;
                format!("{head}.{leaf}")
            }
        };
        let ours = ours
            .replace("{level}", &place.level.to_string())
            .replace("{layer}", &place.layer.to_string());
        Some(format!("{ours}.{rest}"))
    }
}

/// A number as files write it: digits alone, without leading zeros.
fn number(segment: &str) -> Option<usize> {
    let is_plain = segment == "0" || !segment.starts_with(['0', '+']);
    is_plain.then(|| segment.parse().ok()).flatten()
}

/// A level of a UNet or VAE, and a layer within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    level: usize,
    layer: usize,
}

/// Where the numbered blocks of a file belong, read from which blocks change the resolution.
/// So it holds for any number of levels, of layers in a level and of attentions.
#[derive(Debug, Default)]
pub(super) struct Places {
    input: Vec<Place>,
    output: Vec<Place>,
    vae_levels: usize,
}

impl Places {
    pub(super) fn find(unet: &BTreeSet<&str>, vae: &BTreeSet<&str>) -> Self {
        // Block 0 is conv_in; the first layer stands in block 1.
        let mut input = vec![Place::default()];
        let has = |prefix: &str| has_prefix(unet, prefix);
        input.extend(walk(
            1,
            |n| has(&format!("input_blocks.{n}.")),
            |n| has(&format!("input_blocks.{n}.0.op.")),
        ));
        let output = walk(
            0,
            |n| has(&format!("output_blocks.{n}.")),
            |n| (1..=2).any(|k| has(&format!("output_blocks.{n}.{k}.conv."))),
        );
        let vae_levels = (0..)
            .take_while(|n| has_prefix(vae, &format!("decoder.up.{n}.")))
            .count();
        Self {
            input,
            output,
            vae_levels,
        }
    }

    /// The place after a numbered segment of a row.
    fn resolve(&self, kind: &str, number: usize, place: Place) -> Option<Place> {
        match kind {
            "{input}" => self.input.get(number).copied(),
            "{output}" => self.output.get(number).copied(),
            "{up}" => Some(Place {
                level: self.vae_levels.checked_sub(number)?.checked_sub(1)?,
                ..place
            }),
            "{level}" => Some(Place {
                level: number,
                ..place
            }),
            "{layer}" => Some(Place {
                layer: number,
                ..place
            }),
            _ => None,
        }
    }
}

/// The places of consecutive blocks from `first` on: a level ends with the block that resamples.
fn walk(
    first: usize,
    exists: impl Fn(usize) -> bool,
    resamples: impl Fn(usize) -> bool,
) -> Vec<Place> {
    let mut next = Place::default();
    (first..)
        .take_while(|&n| exists(n))
        .map(|n| {
            let place = next;
            next = if resamples(n) {
                Place {
                    level: place.level + 1,
                    layer: 0,
                }
            } else {
                Place {
                    layer: place.layer + 1,
                    ..place
                }
            };
            place
        })
        .collect()
}

/// Whether some name begins so.
fn has_prefix(names: &BTreeSet<&str>, prefix: &str) -> bool {
    names
        .range(prefix..)
        .next()
        .is_some_and(|name| name.starts_with(prefix))
}
