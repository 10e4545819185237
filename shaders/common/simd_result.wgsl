// simd_result — where the sums of simd_tile go: the end of the matrix kernels.

/// Stores the sums times `scale`, and the bias, of what lies inside `rows` × `columns`.
fn put_sums(row: u32, column: u32, rows: u32, columns: u32, scale: f32) {
    for (var c = 0u; c < COLUMNS; c += 4u) {
        if (column + c >= columns) { break; }
        var bias_4 = vec4<f32>();
        if (HAS_BIAS) {
            for (var i = 0u; i < 4u; i++) { bias_4[i] = bias_at(min(column + c + i, columns - 1u)); }
        }
        for (var r = 0u; r < ROWS; r++) {
            let four = vec4<f32>(sums[r][c], sums[r][c + 1u], sums[r][c + 2u], sums[r][c + 3u]);
            if (row + r < rows) {
                y_put4((row + r) * columns + column + c, four * scale + bias_4, columns - column - c);
            }
        }
    }
}
