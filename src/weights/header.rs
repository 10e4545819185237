//! The header of a safetensors file, checked once at the door.
//!
//! The rules are those of the [format] and of the `safetensors` crate, with three more: duplicate
//! keys are refused (parsers differ on which one counts), tensors have at most [`MAX_RANK`] axes,
//! and every complaint names the tensor, the reason and the remedy.
//!
//! [format]: https://github.com/huggingface/safetensors#format

use super::disguise::disguise;
use crate::tensor::{DType, MAX_RANK, Shape};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// The longest header allowed, as in the `safetensors` crate.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The header's length stands in front of it, little-endian.
const LENGTH_BYTES: usize = 8;
/// The most tensors that a file may have: thirty times those of the largest model known here.
const MAX_TENSORS: usize = 100_000;
/// Names from files are cut to this many characters in messages.
const SHOWN_CHARS: usize = 120;

/// An element type that safetensors files may have; only some of them can be weights here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredType {
    /// As in the header: `F16`, `F8_E4M3`, …
    code: &'static str,
    bits: u64,
}

/// The element types of safetensors 0.8 and their widths in bits.
#[rustfmt::skip]
const STORED_TYPES: &[StoredType] = &{
    const fn row(code: &'static str, bits: u64) -> StoredType { StoredType { code, bits } }
    [
        row("F16", 16), row("F32", 32), row("BF16", 16), row("F64", 64),
        row("I64", 64), row("I32", 32), row("I16", 16), row("I8", 8),
        row("U64", 64), row("U32", 32), row("U16", 16), row("U8", 8), row("BOOL", 8), row("C64", 64),
        row("F8_E4M3", 8), row("F8_E5M2", 8), row("F8_E8M0", 8), row("F8_E4M3FNUZ", 8), row("F8_E5M2FNUZ", 8),
        row("F6_E2M3", 6), row("F6_E3M2", 6), row("F4", 4),
    ]
};

impl StoredType {
    /// The header's word for it.
    pub(super) fn code(self) -> &'static str {
        self.code
    }

    /// The type to compute with, for the types that weights here can have.
    pub(super) fn dtype(self) -> Option<DType> {
        match self.code {
            "F32" => Some(DType::F32),
            "F16" => Some(DType::F16),
            "BF16" => Some(DType::Bf16),
            "F8_E4M3" => Some(DType::F8E4m3),
            "F8_E5M2" => Some(DType::F8E5m2),
            _ => None,
        }
    }

    /// Whether it is a float of 8 bits or fewer, which quantised models have. Most are not read.
    pub(super) fn is_tiny_float(self) -> bool {
        self.code.starts_with('F') && self.bits <= 8
    }
}

/// One tensor as the header describes it.
#[derive(Debug)]
pub(super) struct Entry {
    /// The name in the file.
    pub(super) name: String,
    pub(super) dtype: StoredType,
    pub(super) shape: Shape,
    /// Where its bytes lie, from the start of the file.
    pub(super) range: Range<usize>,
}

/// A checked header.
#[derive(Debug)]
pub(super) struct Header {
    /// In the order of their bytes.
    pub(super) entries: Vec<Entry>,
    /// The `__metadata__` entry.
    pub(super) metadata: BTreeMap<String, String>,
}

/// Reads and checks the header of a whole file; the error is a reason without the file's name.
pub(super) fn parse(file: &[u8]) -> Result<Header, String> {
    let text = header_text(file)?;
    let raw: RawHeader = serde_json::from_str(text).map_err(|error| json_reason(&error))?;
    let data_start = LENGTH_BYTES + text.len();
    let entries = check_layout(raw.tensors, data_start, file.len())?;
    Ok(Header {
        entries,
        metadata: raw.metadata,
    })
}

/// A name from a file, fit for a message: quoted, escaped and not too long.
pub(super) fn quoted(name: &str) -> String {
    crate::error::quoted(name, SHOWN_CHARS)
}

/// The header's JSON, if the file begins like a safetensors file.
fn header_text(file: &[u8]) -> Result<&str, String> {
    if file.is_empty() {
        return Err("is empty; download it again".to_owned());
    }
    let Some((length, after)) = file.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(format!(
            "is {} bytes long, too short for a safetensors file; download it again",
            file.len()
        ));
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .and_then(|length| after.get(..length));
    match header {
        Some(header) if length <= MAX_HEADER_BYTES && header.starts_with(b"{") => {
            std::str::from_utf8(header).map_err(|error| {
                format!(
                    "has a header that is not UTF-8 (at byte {}), so it is damaged; download it again",
                    LENGTH_BYTES + error.valid_up_to()
                )
            })
        }
        _ => Err(disguise(file).unwrap_or_else(|| length_reason(length, after, file.len()))),
    }
}

/// Why a header of this length cannot be.
fn length_reason(length: u64, after: &[u8], file_bytes: usize) -> String {
    if length == 0 {
        "has a header of 0 bytes, so it is not a safetensors file or is damaged; download it again"
            .to_owned()
    } else if length > MAX_HEADER_BYTES {
        format!(
            "is not a safetensors file (its first 8 bytes would mean a header of {length} bytes, \
             at most {MAX_HEADER_BYTES} are allowed); give a .safetensors file"
        )
    } else if after.starts_with(b"{") {
        format!(
            "is an incomplete download: its header promises {length} bytes, \
             the file has {file_bytes} in all; download it again"
        )
    } else {
        "is not a safetensors file (no JSON header after the first 8 bytes); \
         give a .safetensors file, or download it again"
            .to_owned()
    }
}

/// What is wrong with the header's JSON.
fn json_reason(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "has a header that ends in the middle of its JSON, so it is damaged; download it again".to_owned();
    }
    let reason: String = error.to_string().chars().take(3 * SHOWN_CHARS).collect();
    format!(
        "has a malformed header ({reason}); download it again, or save it again with safetensors"
    )
}

/// The header as JSON says it, not yet compared with the file.
struct RawHeader {
    tensors: BTreeMap<String, RawEntry>,
    metadata: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct RawEntry {
    dtype: StoredType,
    shape: Axes,
    data_offsets: (u64, u64),
}

/// At most [`MAX_RANK`] axes; reading stops at one more, however long the list is.
struct Axes(Vec<u64>);

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut tensors = BTreeMap::new();
                let mut metadata = None;
                while let Some(name) = map.next_key::<String>()? {
                    let is_new = if name == "__metadata__" {
                        let value: Option<UniqueMap> = map.next_value()?;
                        metadata
                            .replace(value.map(|map| map.0).unwrap_or_default())
                            .is_none()
                    } else if tensors.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!(
                            "there are more than {MAX_TENSORS} tensors"
                        )));
                    } else {
                        tensors.insert(name.clone(), map.next_value()?).is_none()
                    };
                    if !is_new {
                        return Err(A::Error::custom(format!(
                            "{} is there twice",
                            quoted(&name)
                        )));
                    }
                }
                Ok(RawHeader {
                    tensors,
                    metadata: metadata.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// A map of strings in which no key stands twice.
struct UniqueMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = UniqueMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueMap, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if entries.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("{} is there twice", quoted(&key))));
                    }
                }
                Ok(UniqueMap(entries))
            }
        }
        deserializer.deserialize_map(MapVisitor)
    }
}

impl<'de> Deserialize<'de> for StoredType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        let known = STORED_TYPES.iter().find(|known| known.code == code);
        known
            .copied()
            .ok_or_else(|| D::Error::custom(format!("element type {} is not known", quoted(&code))))
    }
}

impl<'de> Deserialize<'de> for Axes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AxesVisitor;
        impl<'de> Visitor<'de> for AxesVisitor {
            type Value = Axes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of axes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Axes, A::Error> {
                let mut axes = Vec::with_capacity(MAX_RANK);
                while let Some(axis) = seq.next_element()? {
                    if axes.len() == MAX_RANK {
                        return Err(A::Error::custom(format!(
                            "a tensor has more than {MAX_RANK} axes"
                        )));
                    }
                    axes.push(axis);
                }
                Ok(Axes(axes))
            }
        }
        deserializer.deserialize_seq(AxesVisitor)
    }
}

/// What is wrong with a tensor.
fn damaged(name: &str, what: impl std::fmt::Display) -> String {
    format!(
        "is damaged: tensor {} {what}; download it again",
        quoted(name)
    )
}

/// Checks that the tensors fill the rest of the file, in order, without holes or overlaps.
fn check_layout(
    tensors: BTreeMap<String, RawEntry>,
    data_start: usize,
    file_bytes: usize,
) -> Result<Vec<Entry>, String> {
    let mut tensors: Vec<_> = tensors.into_iter().collect();
    tensors.sort_by_key(|(_, raw)| raw.data_offsets);
    let mut filled = 0;
    for (name, raw) in &tensors {
        check_place(raw, filled).map_err(|what| damaged(name, what))?;
        filled = raw.data_offsets.1;
    }
    check_length(filled.saturating_add(data_start as u64), file_bytes as u64)?;
    let entries = tensors.iter().map(|(name, raw)| {
        let too_large = || damaged(name, "is too large for this machine");
        entry(name, raw, data_start).ok_or_else(too_large)
    });
    entries.collect()
}

/// Checks that a tensor follows the one before it, which ended at `filled`, and is as long as its
/// shape and type say.
fn check_place(raw: &RawEntry, filled: u64) -> Result<(), String> {
    let (start, end) = raw.data_offsets;
    if end < start {
        return Err(format!("ends at byte {end}, before its start at {start}"));
    }
    if start != filled {
        let what = if start < filled {
            "overlaps another"
        } else {
            "leaves a hole before it"
        };
        return Err(format!("{what} (it starts at byte {start}, not {filled})"));
    }
    let Axes(shape) = &raw.shape;
    match size_bytes(raw) {
        None => Err(format!("of shape {shape:?} is of no possible size")),
        Some(size) if size == end - start => Ok(()),
        Some(size) => Err(format!(
            "of shape {shape:?} and type {} needs {size} bytes, but has {}",
            raw.dtype.code,
            end - start
        )),
    }
}

/// Checks that a file is as long as its header promises.
fn check_length(promised: u64, found: u64) -> Result<(), String> {
    if promised > found {
        return Err(format!(
            "is an incomplete download: its header promises {promised} bytes, \
             the file has {found}; download it again"
        ));
    }
    if promised < found {
        return Err(format!(
            "has {} bytes after its last tensor that the header does not describe; \
             download it again, or save it again with safetensors",
            found - promised
        ));
    }
    Ok(())
}

/// The bytes that a tensor's shape and type need; `None` if that overflows or ends inside a byte.
fn size_bytes(raw: &RawEntry) -> Option<u64> {
    let axes = raw.shape.0.iter();
    let elements = axes.copied().try_fold(1u64, u64::checked_mul)?;
    let bits = elements.checked_mul(raw.dtype.bits)?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// A checked entry, with its place counted from the start of the file.
fn entry(name: &str, raw: &RawEntry, data_start: usize) -> Option<Entry> {
    let axes: Option<Vec<usize>> = raw
        .shape
        .0
        .iter()
        .map(|&axis| usize::try_from(axis).ok())
        .collect();
    let place = |offset: u64| usize::try_from(offset).ok()?.checked_add(data_start);
    Some(Entry {
        name: name.to_owned(),
        dtype: raw.dtype,
        shape: Shape::new(&axes?),
        range: place(raw.data_offsets.0)?..place(raw.data_offsets.1)?,
    })
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
