// simd_result — where the sums of simd_tile go: the end of the matrix kernels.

/// Finishes and stores the sums of an invocation, whose tile begins at `row` and `column`.
fn put_sums(row: u32, column: u32) {
    for (var c = 0u; c < COLUMNS; c += 4u) {
        let bias = bias_of(column + c);
        for (var r = 0u; r < ROWS; r++) {
            let four = vec4<f32>(sums[r][c], sums[r][c + 1u], sums[r][c + 2u], sums[r][c + 3u]);
            put_sums4(row + r, column + c, four, bias);
        }
    }
}
