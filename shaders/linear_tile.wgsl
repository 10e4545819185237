// linear_tile — multiplies rows by the transpose of a weight, in tiles that go through workgroup memory.
//   y[m, n] = epilogue of Σ_k x[m, k] · weight[n, k]       f32 accumulation
// x       [M, K]  lanes
// weight  [N, K]  lanes    as stored
// y       [M, N]
// dispatch: one workgroup per tile of y; which tile, and who multiplies, is in block_tile or coop_tile
// reference: src/ops/linear.rs
// import: weights, activations, rows, epilogue

struct Params {
    rows: u32, columns: u32, depth: u32, column_tiles: u32, x_depth: u32,
    sample_rows: u32, weight_groups: u32, weight_scale: f32, scale: f32, first_group: u32,
}

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> weight: array<weight_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

/// Four rows of x, their samples, and whether they are there.
struct Sources { row: vec4<u32>, sample: vec4<u32>, inside: vec4<bool> }

fn sum_taps() -> u32 { return 1u; }

fn sum_depth() -> u32 { return params.depth * LANES; }

fn row_sources(rows: vec4<u32>, tap: u32) -> Sources {
    return Sources(rows, rows / params.sample_rows, vec4<bool>(true));
}
