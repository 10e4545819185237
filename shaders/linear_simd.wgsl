// linear_simd — multiplies rows by the transpose of a weight, on adapters that are CPUs.
//   y[m, n] = epilogue of Σ_k x[m, k] · weight[n, k]       f32 accumulation
// x       [M, K]  lanes
// weight  [N, K]  lanes    as stored
// y       [M, N]
// dispatch: one subgroup per tile of y, of ROWS × SIMD·COLUMNS elements
// reference: src/ops/linear.rs
// import: simd_tile, weights, activations, rows, epilogue, simd_result

struct Params {
    rows: u32, columns: u32, depth: u32, column_tiles: u32, x_depth: u32,
    sample_rows: u32, weight_groups: u32, weight_scale: f32, scale: f32, first_group: u32,
}

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> weight: array<weight_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(SIMD)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let tile = place_of(group, groups);
    let row = tile / params.column_tiles * ROWS;
    let column = (tile % params.column_tiles * SIMD + invocation) * COLUMNS;
    // Rows and columns past the edge repeat the last one; their sums are not stored.
    var rows: array<u32, SHARE>;
    for (var i = 0u; i < SHARE; i++) { rows[i] = min(row + i * SIMD + invocation, params.rows - 1u); }
    var column_starts: array<u32, COLUMNS>;
    for (var c = 0u; c < COLUMNS; c++) {
        column_starts[c] = weight_row(min(column + c, params.columns - 1u)) * params.depth;
    }

    clear_sums();
    for (var k = 0u; k < params.depth; k++) {
        for (var i = 0u; i < SHARE; i++) { row_lanes[i] = row_at(rows[i], rows[i] / params.sample_rows, k); }
        for (var c = 0u; c < COLUMNS; c++) { column_lanes[c] = own_weight_at(column_starts[c] + k); }
        multiply_lanes();
    }
    put_sums(row, column, invocation);
}
