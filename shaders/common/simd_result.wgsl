// simd_result — where the sums of simd_tile go: the end of the matrix kernels.

/// The sums of all invocations, four neighbouring columns at a time.
var<workgroup> finished: array<vec4<f32>, ROWS * COLUMNS / 4u * SIMD>;

/// Finishes and stores the sums of an invocation, whose tile begins at `row` and `column`.
///
/// They go through workgroup memory, each invocation reading its own: drivers unroll the first loop, which is
/// small, and so keep the sums in registers while they grow; around all of the epilogue they would not.
fn put_sums(row: u32, column: u32, invocation: u32) {
    for (var c = 0u; c < COLUMNS; c += 4u) {
        for (var r = 0u; r < ROWS; r++) {
            finished[(c / 4u * ROWS + r) * SIMD + invocation] =
                vec4<f32>(sums[r][c], sums[r][c + 1u], sums[r][c + 2u], sums[r][c + 3u]);
        }
    }
    let rows = min(ROWS, params.rows - row);
    for (var c = 0u; c < COLUMNS; c += 4u) {
        let bias = bias_of(column + c);
        for (var r = 0u; r < rows; r++) {
            put_sums4(row + r, column + c, finished[(c / 4u * ROWS + r) * SIMD + invocation], bias);
        }
    }
}
