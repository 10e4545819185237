//! Checkpoints of published names, shapes and sizes, with a few seeded values in each tensor.
//!
//! The files are as large as the real ones and sparse: they take little more space than their headers.
#![allow(
    dead_code,
    reason = "each of the tests that share this uses some of it"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

/// Types of a file's tensors, with the bytes of an element; each tensor takes the next.
pub(crate) type Types<'a> = &'a [(&'a str, u64)];

/// Halves, as most checkpoints have them.
pub(crate) const F16: Types<'static> = &[("F16", 2)];
/// Three types, as some have them.
pub(crate) const MIXED: Types<'static> = &[("F16", 2), ("BF16", 2), ("F32", 4)];

/// What training left in a file, by beginning or end: the noise schedule, CLIP's positions 0, 1, 2, …
/// and its temperature.
pub(crate) const NOT_FOR_DRAWING: [&str; 8] = [
    "betas",
    "alphas_cumprod",
    "sqrt_",
    "log_one_minus",
    "posterior_",
    "model_ema",
    "position_ids",
    "logit_scale",
];

/// Whether drawing has no use for a tensor.
pub(crate) fn is_not_for_drawing(name: &str) -> bool {
    let mut ends = NOT_FOR_DRAWING.iter();
    ends.any(|end| name.starts_with(end) || name.ends_with(end))
}

/// A file of `tests/golden/data/keys`.
pub(crate) fn read(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/keys");
    let file = File::open(folder.join(format!("{name}.json.gz"))).expect(name);
    let mut text = String::new();
    GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("the list is packed text");
    serde_json::from_str(&text).expect("the list is JSON")
}

/// A list of tensor names and shapes.
pub(crate) fn listed(name: &str) -> BTreeMap<String, Vec<u64>> {
    serde_json::from_value(read(name)).expect("names and shapes")
}

/// An element's bytes in the files: a finite number of any float type, told by tensor and place.
pub(crate) fn seeded(tensor: &str, element: u64, bytes: u64) -> Vec<u8> {
    // FNV-1a, then the last steps of SplitMix64.
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in tensor.bytes().chain(element.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash ^= hash >> 31;
    let mut little_endian = hash.to_le_bytes()[..usize::try_from(bytes).unwrap_or(0)].to_vec();
    if let Some(exponent) = little_endian.last_mut() {
        *exponent = 0x3C;
    }
    little_endian
}

/// Writes the file of a list: seeded at both ends of each tensor and of its thirds, zero elsewhere
/// and where drawing has no use for it.
pub(crate) fn write(path: &Path, list: &str, types: Types) {
    let (mut header, mut end, mut values) = (Map::new(), 0, Vec::new());
    for (index, (name, shape)) in listed(list).into_iter().enumerate() {
        let (dtype, bytes) = match name.as_str() {
            name if name.ends_with("position_ids") => ("I64", 8),
            _ => types[index % types.len()],
        };
        let (start, count) = (end, shape.iter().product::<u64>());
        end += count * bytes;
        if !is_not_for_drawing(&name) {
            let places =
                places(count).map(|place| (start + place * bytes, seeded(&name, place, bytes)));
            values.extend(places);
        }
        header.insert(
            name,
            json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}),
        );
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let length = header.len() as u64;
    let mut file = File::create(path).expect("the folder can be written");
    let mut put = |bytes: &[u8]| file.write_all(bytes).expect("there is room");
    put(&length.to_le_bytes());
    put(header.as_bytes());
    file.set_len(8 + length + end)
        .expect("files may have holes");
    for (place, bytes) in values {
        file.seek(SeekFrom::Start(8 + length + place))
            .expect("the place is in the file");
        file.write_all(&bytes).expect("there is room");
    }
}

/// The first two elements and the last of each third.
fn places(count: u64) -> impl Iterator<Item = u64> {
    let third = count.div_ceil(3);
    let starts = (0..3).map(move |part| part * third);
    let near = starts.flat_map(move |start| [start, start + 1, (start + third).saturating_sub(1)]);
    near.chain([count.saturating_sub(1)])
        .filter(move |place| *place < count)
}
