// block_tile — matrix products for GPUs: a workgroup makes a tile of TILE_ROWS × TILE_COLUMNS elements.
//   The tile's values of DEPTH steps along the sum lie in workgroup memory, where each serves the whole tile; an
//   invocation makes ROW_FOURS × COLUMN_FOURS blocks of 4×4 elements, in registers.
// The kernel tells what is multiplied: taps, depth, and where a row begins at a tap (row_sources). Of the weight,
// all steps of a column lie together, tap after tap.

const THREADS = ROW_THREADS * COLUMN_THREADS;
/// Fours of rows and of columns in the tile.
const ROW_BLOCKS = ROW_FOURS * ROW_THREADS;
const COLUMN_BLOCKS = COLUMN_FOURS * COLUMN_THREADS;
const TILE_ROWS = 4u * ROW_BLOCKS;
const TILE_COLUMNS = 4u * COLUMN_BLOCKS;
const DEPTH_FOURS = DEPTH / 4u;
/// Fours of one step lie together; one more keeps the steps on different banks.
const ROW_STRIDE = ROW_BLOCKS + 1u;
const COLUMN_STRIDE = COLUMN_BLOCKS + 1u;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

var<workgroup> row_tile: array<vec4<f32>, DEPTH * ROW_STRIDE>;
var<workgroup> column_tile: array<vec4<f32>, DEPTH * COLUMN_STRIDE>;
var<private> sums: array<array<mat4x4<f32>, COLUMN_FOURS>, ROW_FOURS>;

/// Four steps of a row from `k` on: zeros past the end of the sum and outside x.
fn row_four(inside: bool, row: u32, sample: u32, k: u32) -> vec4<f32> {
    if (!inside || k >= sum_depth()) { return vec4<f32>(); }
    return row_at4(row, sample, k);
}

/// The same of a column.
fn column_four(start: u32, k: u32) -> vec4<f32> {
    let depth = sum_depth();
    if (k >= depth) { return vec4<f32>(); }
    return own_weight_at4(start + k, depth - k);
}

/// Puts four steps from `k` on of four rows and of four columns, those of this invocation, into workgroup memory.
fn stage(block: u32, step: u32, k: u32, rows: Sources, columns: vec4<u32>) {
    if (block < ROW_BLOCKS) {
        let steps = transpose(mat4x4<f32>(
            row_four(rows.inside.x, rows.row.x, rows.sample.x, k), row_four(rows.inside.y, rows.row.y, rows.sample.y, k),
            row_four(rows.inside.z, rows.row.z, rows.sample.z, k), row_four(rows.inside.w, rows.row.w, rows.sample.w, k)));
        row_tile[step * ROW_STRIDE + block] = steps[0];
        row_tile[(step + 1u) * ROW_STRIDE + block] = steps[1];
        row_tile[(step + 2u) * ROW_STRIDE + block] = steps[2];
        row_tile[(step + 3u) * ROW_STRIDE + block] = steps[3];
    }
    if (block < COLUMN_BLOCKS) {
        let steps = transpose(mat4x4<f32>(
            column_four(columns.x, k), column_four(columns.y, k),
            column_four(columns.z, k), column_four(columns.w, k)));
        column_tile[step * COLUMN_STRIDE + block] = steps[0];
        column_tile[(step + 1u) * COLUMN_STRIDE + block] = steps[1];
        column_tile[(step + 2u) * COLUMN_STRIDE + block] = steps[2];
        column_tile[(step + 3u) * COLUMN_STRIDE + block] = steps[3];
    }
}

/// Adds the products of all steps in workgroup memory.
fn multiply(row_thread: u32, column_thread: u32) {
    for (var step = 0u; step < DEPTH; step++) {
        var columns: array<vec4<f32>, COLUMN_FOURS>;
        for (var c = 0u; c < COLUMN_FOURS; c++) {
            columns[c] = column_tile[step * COLUMN_STRIDE + c * COLUMN_THREADS + column_thread];
        }
        for (var r = 0u; r < ROW_FOURS; r++) {
            let rows = row_tile[step * ROW_STRIDE + r * ROW_THREADS + row_thread];
            for (var c = 0u; c < COLUMN_FOURS; c++) { sums[r][c] += outer(rows, columns[c]); }
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = place_of(group, groups);
    let first_row = place / params.column_tiles * TILE_ROWS;
    let first_column = place % params.column_tiles * TILE_COLUMNS;
    // What this invocation stages. Rows and columns past the edge repeat the last one; their sums are not stored.
    let block = invocation / DEPTH_FOURS;
    let step = invocation % DEPTH_FOURS * 4u;
    let rows = min(vec4<u32>(first_row + 4u * block) + FOUR, vec4<u32>(params.rows - 1u));
    let columns = min(vec4<u32>(first_column + 4u * block) + FOUR, vec4<u32>(params.columns - 1u));
    let row_thread = invocation / COLUMN_THREADS;
    let column_thread = invocation % COLUMN_THREADS;

    for (var r = 0u; r < ROW_FOURS; r++) {
        for (var c = 0u; c < COLUMN_FOURS; c++) { sums[r][c] = mat4x4<f32>(); }
    }
    let taps = sum_taps();
    for (var tap = 0u; tap < taps; tap++) {
        let sources = row_sources(rows, tap);
        let starts = (weight_rows(columns) * taps + tap) * sum_depth();
        for (var k = 0u; k < sum_depth(); k += DEPTH) {
            stage(block, step, k + step, sources, starts);
            workgroupBarrier();
            multiply(row_thread, column_thread);
            workgroupBarrier();
        }
    }
    for (var c = 0u; c < COLUMN_FOURS; c++) {
        let column = first_column + (c * COLUMN_THREADS + column_thread) * 4u;
        let bias = bias_of(column);
        for (var r = 0u; r < ROW_FOURS; r++) {
            let row = first_row + (r * ROW_THREADS + row_thread) * 4u;
            for (var i = 0u; i < 4u; i++) { put_sums4(row + i, column, sums[r][c][i], bias); }
        }
    }
}
