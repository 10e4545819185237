// simd_tile — what the kernels for adapters that are CPUs share: a subgroup makes a tile of ROWS × SIMD·COLUMNS
// elements, an invocation its COLUMNS of all rows. It loads its share of the rows' values and gets the others' by
// shuffles, since loads are dear there, workgroup memory and barriers dearer.

const ROWS = 16u;
/// The rows whose values an invocation loads.
const SHARE = ROWS / SIMD;

var<private> sums: array<array<f32, COLUMNS>, ROWS>;
/// The lanes along the depth of this invocation's share of the rows, and of its columns.
var<private> row_lanes: array<lane, SHARE>;
var<private> column_lanes: array<lane, COLUMNS>;

/// Adds the products of all rows with this invocation's columns.
fn multiply_lanes() {
    for (var r = 0u; r < ROWS; r++) {
        let row = subgroupShuffle(row_lanes[r / SIMD], r % SIMD);
        for (var c = 0u; c < COLUMNS; c++) {
            sums[r][c] += lane_dot(row, column_lanes[c]);
        }
    }
}

/// Makes all sums 0.
fn clear_sums() {
    for (var r = 0u; r < ROWS; r++) {
        for (var c = 0u; c < COLUMNS; c++) { sums[r][c] = 0.0; }
    }
}
