//! Checkpoints to time with: the demo model, and one of Stable Diffusion 1.5's size.

use super::Outcome;
use flate2::read::GzDecoder;
use half::f16;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The demo model's file.
pub(crate) const DEMO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/models/demo/tiny-emoji-sd.safetensors"
);
/// Names and shapes of `v1-5-pruned-emaonly`.
const SD15_KEYS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/data/keys/full_sd15_v1-5-pruned-emaonly.json.gz"
);
/// The largest weight: uniform values up to here spread about as far as those of trained layers.
const LARGEST: f32 = 0.03;

/// A file with every tensor of Stable Diffusion 1.5 in f16 and seeded values in them: it times as
/// the real one does, but knows no pictures. Written once, 2.1 GB, below the target folder.
pub(crate) fn sd15() -> Outcome<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sd15-seeded-f16.safetensors");
    if path.exists() {
        return Ok(path);
    }
    println!("writing {}", path.display());
    let keys = File::open(SD15_KEYS).map_err(|error| format!("{SD15_KEYS}: {error}"))?;
    let keys: BTreeMap<String, Vec<usize>> = serde_json::from_reader(GzDecoder::new(keys))?;
    let is_weight = |name: &str| name.ends_with(".weight") || name.ends_with(".bias");
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in keys.into_iter().filter(|(name, _)| is_weight(name)) {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        let entry = json!({ "dtype": "F16", "shape": shape, "data_offsets": [start, end] });
        header.insert(name, entry);
    }
    let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut writer = BufWriter::new(file.as_file_mut());
    let mut header = Value::Object(header).to_string();
    header.extend(std::iter::repeat_n(
        ' ',
        header.len().next_multiple_of(8) - header.len(),
    ));
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(header.as_bytes())?;
    for word in seeded(end / 2) {
        writer.write_all(&word)?;
    }
    writer.flush()?;
    drop(writer);
    file.persist(&path)?;
    Ok(path)
}

/// So many values in f16, drawn from 4096 by a linear congruential generator (Knuth's MMIX).
fn seeded(count: usize) -> impl Iterator<Item = [u8; 2]> {
    let value = |i: u16| f16::from_f32((f32::from(i) / 2048.0 - 1.0) * LARGEST).to_le_bytes();
    let values: Vec<[u8; 2]> = (0..4096).map(value).collect();
    let mut state = 1_u64;
    (0..count).map(move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        values[(state >> 52) as usize]
    })
}
