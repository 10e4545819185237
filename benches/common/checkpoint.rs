//! Checkpoints to time with: the demo model, and some of Stable Diffusion's sizes.

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
/// Names and shapes of published checkpoints.
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data/keys");
/// How the names of weights end. Writers leave noise levels and positions beside them.
const WEIGHTS: [&str; 4] = ["weight", "bias", "embedding", "projection"];
/// The largest weight: uniform values up to here spread about as far as those of trained layers.
const LARGEST: f32 = 0.03;

/// Stable Diffusion 1.5, 2.1 GB.
pub(crate) fn sd15() -> Outcome<PathBuf> {
    seeded_file("sd15", "full_sd15_v1-5-pruned-emaonly")
}

/// Stable Diffusion XL, 6.9 GB.
pub(crate) fn sdxl() -> Outcome<PathBuf> {
    seeded_file("sdxl", "full_sdxl_base_1.0")
}

/// A file with every tensor of a published one in f16 and seeded values in them: it times as the real
/// one does, but knows no pictures. Written once, below the target folder.
fn seeded_file(name: &str, keys: &str) -> Outcome<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("{name}-seeded-f16.safetensors"));
    if path.exists() {
        return Ok(path);
    }
    println!("writing {}", path.display());
    std::fs::create_dir_all(folder)?;
    let keys = format!("{KEYS}/{keys}.json.gz");
    let file = File::open(&keys).map_err(|error| format!("{keys}: {error}"))?;
    let keys: BTreeMap<String, Vec<usize>> = serde_json::from_reader(GzDecoder::new(file))?;
    let is_weight = |name: &str| WEIGHTS.iter().any(|end| name.ends_with(end));
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in keys.into_iter().filter(|(name, _)| is_weight(name)) {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        let entry = json!({ "dtype": "F16", "shape": shape, "data_offsets": [start, end] });
        header.insert(name, entry);
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
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
