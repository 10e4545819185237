//! What of a file is taken as the part that it was given for.

use super::advice;
use super::header::quoted;
use super::inventory::SHOWN_NAMES;
use super::names::{Translation, bare_part, part_in, translate};
use super::part_of;
use std::collections::BTreeSet;

/// Translates the names of a file that was given as `part`: of a file with prefixes those of that
/// part, else all.
///
/// # Errors
/// What the file has instead, and what to give, without the file's name.
pub(super) fn translate_part(names: &[&str], part: &str) -> Result<Translation, String> {
    let bare = bare_part(names);
    let has_prefixes = bare.is_none() && names.iter().any(|name| part_in(name).is_some());
    let mut translation = match bare {
        Some(other) if !are_alike(other, part) => {
            return Err(another(part, &BTreeSet::from([other])));
        }
        _ if has_prefixes => translate(names, None),
        _ => translate(names, Some(part)),
    };
    if has_prefixes {
        let known = translation.known.iter();
        let present: BTreeSet<&str> = known.map(|known| part_of(&known.name)).collect();
        if !present.contains(part) {
            return Err(another(part, &present));
        }
        translation
            .known
            .retain(|known| part_of(&known.name) == part);
        let is_mine = |index: &usize| part_in(names[*index]) == Some(part);
        translation.leftovers.retain(is_mine);
    }
    if part != "unet" {
        translation.markers.clear();
    }
    if translation.known.is_empty() {
        return Err(unknown(names, part));
    }
    Ok(translation)
}

/// Whether names without prefixes may be of either part: text encoders have the same ones.
fn are_alike(bare: &str, part: &str) -> bool {
    bare == part
        || [bare, part]
            .iter()
            .all(|part| part.starts_with("text_encoder"))
}

/// Why a file of other parts is refused.
fn another(part: &str, present: &BTreeSet<&str>) -> String {
    let wanted = advice::words(part);
    let present: Vec<&str> = present.iter().map(|part| advice::words(part)).collect();
    let flag = advice::flag(part);
    match &present[..] {
        [] => format!("was given as {wanted} and has none; give {wanted} with {flag}"),
        present => format!(
            "was given as {wanted}, but has {}; give {wanted} with {flag}, or leave it away",
            advice::listed(present)
        ),
    }
}

/// Why a file of no known part is refused.
fn unknown(names: &[&str], part: &str) -> String {
    let wanted = advice::words(part);
    if let Some(kind) = advice::kind(names.iter().copied()) {
        return format!("was given as {wanted}, but looks like {kind}; give {wanted}");
    }
    let shown = names.iter().take(SHOWN_NAMES).map(|name| quoted(name));
    let shown = shown.collect::<Vec<_>>().join(", ");
    format!(
        "was given as {wanted}, but none of its {} tensors is known as one of {wanted} ({shown}, …); \
         get the file again, or give another",
        names.len()
    )
}

#[cfg(test)]
#[path = "apart_tests.rs"]
mod tests;
