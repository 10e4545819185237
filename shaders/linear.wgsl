// linear — multiplies rows by the transpose of a weight.
//   y[m, n] = epilogue of Σ_k x[m, k] · weight[n, k]       f32 accumulation
// x       [M, K]  lanes
// weight  [N, K]  lanes    as stored
// y       [M, N]
// dispatch: one workgroup of 8×8 invocations per 32×32 tile of y, 4×4 elements an invocation
// This is the plain version: a tile of registers, no workgroup memory.
// reference: src/ops/linear.rs
// import: tile, weights, activations, rows, epilogue

struct Params {
    rows: u32, columns: u32, depth: u32, column_tiles: u32, x_depth: u32,
    sample_rows: u32, weight_groups: u32, weight_scale: f32, scale: f32, first_group: u32,
}

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> weight: array<weight_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) invocation: vec3<u32>) {
    let tile = place_of(group, groups);
    let row = tile / params.column_tiles * TILE + invocation.y * 4u;
    let column = tile % params.column_tiles * TILE + invocation.x * 4u;
    // Rows and columns past the edge repeat the last one; their sums are not stored.
    let columns = min(vec4<u32>(column) + FOUR, vec4<u32>(params.columns - 1u));
    let rows = min(vec4<u32>(row) + FOUR, vec4<u32>(params.rows - 1u));
    let samples = rows / params.sample_rows;
    let weight_start = weight_rows(columns) * params.depth;

    var sums_0 = vec4<f32>();
    var sums_1 = sums_0;
    var sums_2 = sums_0;
    var sums_3 = sums_0;
    for (var k = 0u; k < params.depth; k++) {
        let w_0 = own_weight_at(weight_start.x + k);
        let w_1 = own_weight_at(weight_start.y + k);
        let w_2 = own_weight_at(weight_start.z + k);
        let w_3 = own_weight_at(weight_start.w + k);
        let x_0 = row_at(rows.x, samples.x, k);
        let x_1 = row_at(rows.y, samples.y, k);
        let x_2 = row_at(rows.z, samples.z, k);
        let x_3 = row_at(rows.w, samples.w, k);
        sums_0 += lane_dots(x_0, w_0, w_1, w_2, w_3);
        sums_1 += lane_dots(x_1, w_0, w_1, w_2, w_3);
        sums_2 += lane_dots(x_2, w_0, w_1, w_2, w_3);
        sums_3 += lane_dots(x_3, w_0, w_1, w_2, w_3);
    }
    let bias = bias_of(column);
    put_sums4(row, column, sums_0, bias);
    put_sums4(row + 1u, column, sums_1, bias);
    put_sums4(row + 2u, column, sums_2, bias);
    put_sums4(row + 3u, column, sums_3, bias);
}
