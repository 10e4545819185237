//! The configuration of one part: fields that are absent or of their type, in their range.

use crate::error::{Error, Result};
use crate::networks::PerLevel;
use crate::weights::Weights;
use serde_json::Value;
use std::path::Path;

/// The most that a count in a configuration can sensibly be.
const MAX_COUNT: u64 = 1 << 20;
/// The range of f32, in which the networks compute.
const SINGLE_MIN: f64 = f32::MIN_POSITIVE as f64;
const SINGLE_MAX: f64 = f32::MAX as f64;
/// How much of a wrong value a message cites.
const CITED_CHARS: usize = 60;

/// Fields, and the values (as JSON) for which the arithmetic here is right. Absent and `null` are
/// always right; a list is if all its members are.
pub(super) type Supported = &'static [(&'static str, &'static [&'static str])];

/// The configuration of one part, whose fields are absent or of their type.
pub(in crate::families) struct Part<'w> {
    path: &'w Path,
    name: &'static str,
    json: Option<&'w Value>,
}

impl<'w> Part<'w> {
    pub(in crate::families) fn of(weights: &'w Weights, name: &'static str) -> Result<Self> {
        let (path, json) = (weights.path_of(name), weights.config(name));
        match json {
            Some(other) if !other.is_object() => Err(Error::bad_file(
                path,
                format!(
                    "{name} configuration is {}, expected an object; \
                     mend it, or download the model again",
                    cite(other)
                ),
            )),
            json => Ok(Self { path, name, json }),
        }
    }

    /// A field that is there and not `null`.
    fn get(&self, field: &str) -> Option<&'w Value> {
        self.json?.get(field).filter(|value| !value.is_null())
    }

    /// The field as `read` understands it.
    fn read<T>(
        &self,
        field: &str,
        expected: &str,
        read: impl Fn(&'w Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let understood = |value| read(value).ok_or_else(|| self.bad(field, expected));
        self.get(field).map(understood).transpose()
    }

    pub(in crate::families) fn bad(&self, field: &str, expected: &str) -> Error {
        let found = self.get(field).map_or_else(|| "absent".to_owned(), cite);
        let name = self.name;
        Error::bad_file(
            self.path,
            format!(
                "{name} configuration: {field} is {found}, expected {expected}; \
                 mend it, or download the model again"
            ),
        )
    }

    pub(in crate::families) fn count(&self, field: &str) -> Result<Option<usize>> {
        self.read(field, "a whole number from 1 to 1048576", count)
    }

    pub(super) fn count_or_zero(&self, field: &str) -> Result<Option<usize>> {
        let read = |value: &Value| {
            if value.as_u64() == Some(0) {
                Some(0)
            } else {
                count(value)
            }
        };
        self.read(field, "a whole number from 0 to 1048576", read)
    }

    pub(super) fn number(&self, field: &str) -> Result<Option<f64>> {
        self.read(field, "a number", in_range(-SINGLE_MAX..=SINGLE_MAX))
    }

    pub(super) fn positive(&self, field: &str) -> Result<Option<f64>> {
        self.read(
            field,
            "a positive number",
            in_range(SINGLE_MIN..=SINGLE_MAX),
        )
    }

    pub(in crate::families) fn flag(&self, field: &str) -> Result<Option<bool>> {
        self.read(field, "true or false", Value::as_bool)
    }

    pub(in crate::families) fn text(&self, field: &str) -> Result<Option<String>> {
        self.read(field, "a name", |value| value.as_str().map(str::to_owned))
    }

    pub(in crate::families) fn per_level(&self, field: &str) -> Result<Option<PerLevel>> {
        self.read(
            field,
            "a whole number from 1 to 1048576, or a list of such",
            |value| match value {
                Value::Array(values) => values
                    .iter()
                    .map(count)
                    .collect::<Option<_>>()
                    .map(PerLevel::Each),
                value => count(value).map(PerLevel::Same),
            },
        )
    }

    /// So many colours, each red, green and blue: a list of lists.
    pub(super) fn colours<const N: usize>(&self, field: &str) -> Result<Option<[[f32; 3]; N]>> {
        let channel = in_range(-SINGLE_MAX..=SINGLE_MAX);
        let colour = |value: &Value| -> Option<[f32; 3]> {
            let channels = value.as_array()?.iter();
            let channels = channels.map(|value| channel(value).map(single));
            channels.collect::<Option<Vec<_>>>()?.try_into().ok()
        };
        let expected = match N {
            1 => "a list of a list of three numbers".to_owned(),
            count => format!("a list of {count} lists of three numbers"),
        };
        self.read(field, &expected, |value| {
            let colours = value.as_array()?.iter().map(colour);
            colours.collect::<Option<Vec<_>>>()?.try_into().ok()
        })
    }

    pub(super) fn choice<T: Copy>(&self, field: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(name) = self.text(field)? else {
            return Ok(None);
        };
        match choices.iter().find(|(choice, _)| *choice == name) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => Err(unknown_choice(
                self.path,
                &format!("{}'s {field}", self.name),
                &name,
                choices,
            )),
        }
    }

    /// Fails at the first field whose value asks for arithmetic that is not here.
    pub(super) fn check(&self, supported: Supported) -> Result<()> {
        for (field, allowed) in supported {
            let Some(value) = self.get(field) else {
                continue;
            };
            if !is_supported(value, allowed) {
                let known = match allowed {
                    [] => "it absent".to_owned(),
                    allowed => allowed.join(" or "),
                };
                return Err(Error::Unsupported(format!(
                    "{}: {} configuration: {field} is {}; this version computes only with {known}",
                    self.path.display(),
                    self.name,
                    cite(value)
                )));
            }
        }
        Ok(())
    }
}

fn is_supported(value: &Value, allowed: &[&str]) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().all(|value| is_supported(value, allowed)),
        value => allowed.contains(&value.to_string().as_str()),
    }
}

pub(super) fn unknown_choice<T>(
    path: &Path,
    what: &str,
    given: &str,
    choices: &[(&str, T)],
) -> Error {
    let known: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let given: String = given.chars().take(CITED_CHARS).collect();
    Error::Unsupported(format!(
        "{}: {what} \"{given}\"; known are {}",
        path.display(),
        known.join(", ")
    ))
}

fn count(value: &Value) -> Option<usize> {
    let number = value
        .as_u64()
        .filter(|number| (1..=MAX_COUNT).contains(number))?;
    usize::try_from(number).ok()
}

fn in_range(range: std::ops::RangeInclusive<f64>) -> impl Fn(&Value) -> Option<f64> {
    move |value| value.as_f64().filter(|number| range.contains(number))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the networks compute in f32"
)]
pub(super) fn single(number: f64) -> f32 {
    number as f32
}

/// A value in a message, shortened.
fn cite(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(CITED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
