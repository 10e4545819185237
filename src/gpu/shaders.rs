//! The shaders' texts, and their assembly into modules.

use std::hash::{Hash, Hasher};

/// Every shader by name.
pub(super) static SHADERS: &[(&str, &str)] = &[
    ("activation", include_str!("../../shaders/activation.wgsl")),
    ("add_window", include_str!("../../shaders/add_window.wgsl")),
    ("attention", include_str!("../../shaders/attention.wgsl")),
    (
        "attention_simd",
        include_str!("../../shaders/attention_simd.wgsl"),
    ),
    ("binary", include_str!("../../shaders/binary.wgsl")),
    ("concat", include_str!("../../shaders/concat.wgsl")),
    ("conv2d", include_str!("../../shaders/conv2d.wgsl")),
    (
        "conv2d_tile",
        include_str!("../../shaders/conv2d_tile.wgsl"),
    ),
    (
        "conv2d_simd",
        include_str!("../../shaders/conv2d_simd.wgsl"),
    ),
    (
        "count_nonfinite",
        include_str!("../../shaders/count_nonfinite.wgsl"),
    ),
    ("cut_window", include_str!("../../shaders/cut_window.wgsl")),
    (
        "dynamic_threshold",
        include_str!("../../shaders/dynamic_threshold.wgsl"),
    ),
    ("embedding", include_str!("../../shaders/embedding.wgsl")),
    ("fma_peak", include_str!("../../shaders/fma_peak.wgsl")),
    ("geglu", include_str!("../../shaders/geglu.wgsl")),
    ("group_norm", include_str!("../../shaders/group_norm.wgsl")),
    ("keep_known", include_str!("../../shaders/keep_known.wgsl")),
    ("layer_norm", include_str!("../../shaders/layer_norm.wgsl")),
    ("leaky_relu", include_str!("../../shaders/leaky_relu.wgsl")),
    ("linear", include_str!("../../shaders/linear.wgsl")),
    (
        "linear_tile",
        include_str!("../../shaders/linear_tile.wgsl"),
    ),
    (
        "linear_simd",
        include_str!("../../shaders/linear_simd.wgsl"),
    ),
    (
        "model_input",
        include_str!("../../shaders/model_input.wgsl"),
    ),
    (
        "pixel_shuffle",
        include_str!("../../shaders/pixel_shuffle.wgsl"),
    ),
    (
        "rescale_guidance",
        include_str!("../../shaders/rescale_guidance.wgsl"),
    ),
    (
        "sampler_step",
        include_str!("../../shaders/sampler_step.wgsl"),
    ),
    ("scale", include_str!("../../shaders/scale.wgsl")),
    ("select_row", include_str!("../../shaders/select_row.wgsl")),
    ("self_gate", include_str!("../../shaders/self_gate.wgsl")),
    ("slice_last", include_str!("../../shaders/slice_last.wgsl")),
    (
        "timestep_embedding",
        include_str!("../../shaders/timestep_embedding.wgsl"),
    ),
    ("to_rgba8", include_str!("../../shaders/to_rgba8.wgsl")),
    (
        "upsample_nearest",
        include_str!("../../shaders/upsample_nearest.wgsl"),
    ),
];

/// What shaders may share, named by a line `// import: a, b` in their head.
static COMMON: [(&str, &str); 13] = [
    (
        "activations",
        include_str!("../../shaders/common/activations.wgsl"),
    ),
    (
        "block_tile",
        include_str!("../../shaders/common/block_tile.wgsl"),
    ),
    (
        "coop_tile",
        include_str!("../../shaders/common/coop_tile.wgsl"),
    ),
    (
        "epilogue",
        include_str!("../../shaders/common/epilogue.wgsl"),
    ),
    ("moments", include_str!("../../shaders/common/moments.wgsl")),
    ("outer", include_str!("../../shaders/common/outer.wgsl")),
    ("reduce", include_str!("../../shaders/common/reduce.wgsl")),
    ("rows", include_str!("../../shaders/common/rows.wgsl")),
    (
        "reduce_simd",
        include_str!("../../shaders/common/reduce_simd.wgsl"),
    ),
    (
        "simd_result",
        include_str!("../../shaders/common/simd_result.wgsl"),
    ),
    (
        "simd_tile",
        include_str!("../../shaders/common/simd_tile.wgsl"),
    ),
    ("tile", include_str!("../../shaders/common/tile.wgsl")),
    ("weights", include_str!("../../shaders/common/weights.wgsl")),
];

/// The whole text of a variant: prelude, imports, shader.
///
/// # Panics
/// If there is no such shader or import: the names are literals of ours.
pub(crate) fn assemble(shader: &str, prelude: &str) -> String {
    let body = find(SHADERS, shader);
    let imports = body
        .lines()
        .find_map(|line| line.strip_prefix("// import: "))
        .into_iter();
    let common = imports
        .flat_map(|names| names.split(", "))
        .map(|name| -> &str { common(name) });
    [prelude]
        .into_iter()
        .chain(common)
        .chain([body])
        .collect::<Vec<_>>()
        .join("\n")
}

/// The text that shaders share under that name.
///
/// # Panics
/// As [`assemble`].
pub(super) fn common(name: &str) -> &'static str {
    find(&COMMON, name)
}

fn find(table: &'static [(&str, &str)], name: &str) -> &'static str {
    let found = table.iter().find(|(known, _)| *known == name);
    found
        .unwrap_or_else(|| panic!("there is no shader or import \"{name}\""))
        .1
}

/// Where the rest of a kernel comes from: its prelude, its constants, its grid.
static LOWERING: [&str; 6] = [
    include_str!("prelude.rs"),
    include_str!("../ops/select.rs"),
    include_str!("../ops/linear.rs"),
    include_str!("../ops/conv2d.rs"),
    include_str!("../ops/attention.rs"),
    include_str!("../ops/layer_norm.rs"),
];

/// A number that changes with any of the texts: what was found out about kernels holds for one.
pub(crate) fn fingerprint() -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (SHADERS, &COMMON, &LOWERING).hash(&mut hasher);
    hasher.finish()
}
