//! A checkpoint of Stable Diffusion 1.5's size, with nothing in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Names and shapes of Stable Diffusion 1.5's single file: 2.13 GB in f16.
const SHAPES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/data/keys/full_sd15_v1-5-pruned-emaonly.json.gz"
);

/// Writes Stable Diffusion 1.5 with all weights zero: a header, then a hole that takes no disk.
pub(crate) fn write_zeros(path: &Path) {
    let shapes = flate2::read::GzDecoder::new(File::open(SHAPES).expect("the shapes are there"));
    let shapes: BTreeMap<String, Vec<u64>> =
        serde_json::from_reader(shapes).expect("names and shapes");
    let mut end = 0;
    let mut header = serde_json::Map::new();
    for (name, shape) in shapes {
        let start = end;
        end += 2 * shape.iter().product::<u64>();
        let entry =
            serde_json::json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]});
        header.insert(name, entry);
    }
    let header = serde_json::to_vec(&header).expect("plain data");
    let mut file = File::create(path).expect("the folder can be written");
    let length = header.len() as u64;
    file.write_all(&length.to_le_bytes())
        .expect("there is room");
    file.write_all(&header).expect("there is room");
    file.set_len(8 + length + end)
        .expect("files may have holes");
}
