//! Finding an entry by a name that a person typed.

use crate::error::{Error, Result};
use crate::nearest::edit_distance;

/// Something that is chosen by name.
pub(super) trait Entry {
    fn name(&self) -> &'static str;
    fn aliases(&self) -> &'static [&'static str];

    fn all_names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name()).chain(self.aliases().iter().copied())
    }
}

/// How much of an unknown name is read: enough for every name there is.
const LONGEST_NAME: usize = 64;

/// The entry of this name or alias.
///
/// Case, spaces, hyphens and underscores do not count, and `+` is `p`: "DPM++ 2M" is `dpmpp_2m`.
///
/// # Errors
///
/// [`Error::Request`] for `field`, with the known names, the nearest first.
pub(super) fn find<'a, T: Entry>(
    field: &'static str,
    entries: &'a [T],
    wanted: &str,
) -> Result<&'a T> {
    let key = normalise(wanted);
    exact(entries, &key).ok_or_else(|| {
        let shown: String = wanted.chars().take(LONGEST_NAME).collect();
        let mut known: Vec<_> = entries.iter().collect();
        known.sort_by_key(|entry| {
            let distances = entry
                .all_names()
                .map(|name| edit_distance(&normalise(name), &key));
            distances.min()
        });
        let names: Vec<_> = known.iter().map(|entry| entry.name()).collect();
        Error::request(
            field,
            format!(
                "unknown name {shown:?}; known, the nearest first: {}",
                names.join(", ")
            ),
        )
    })
}

/// The entry with a name or alias that [`normalise`] makes `key` of.
pub(super) fn exact<'a, T: Entry>(entries: &'a [T], key: &str) -> Option<&'a T> {
    entries
        .iter()
        .find(|entry| entry.all_names().any(|name| normalise(name) == key))
}

/// A name as it is compared: in small letters, without what does not count.
pub(super) fn normalise(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, ' ' | '_' | '-'));
    let plain = kept.map(|c| {
        if c == '+' {
            'p'
        } else {
            c.to_ascii_lowercase()
        }
    });
    plain.take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_spaces_or_plus_signs() {
        assert_eq!(normalise("DPM++ 2M"), normalise("dpmpp_2m"));
        assert_eq!(normalise("Euler a"), "eulera");
    }
}
