// epilogue — what follows a matrix product within its kernel; every such kernel ends here.
//   y[m, n] = scale · f(sum[m, n] · weight_scale + bias[n] + vector[sample of m, n]) + residual[m, n]
// bias      [columns]            optional
// vector    [N, columns]         optional, one for each sample of params.sample_rows rows
// residual  [rows, columns]      optional
// f is the function that ACTIVATION names; weight_scale, scale, rows and columns are the kernel's Params.
// reference: src/ops/epilogue.rs

/// The bias of four neighbouring columns, for all rows of a tile.
fn bias_of(column: u32) -> vec4<f32> {
    if (column >= params.columns) { return vec4<f32>(); }
    return bias_at4(column, params.columns - column);
}

/// Finishes and stores the sums of four neighbouring columns of a row, as far as they lie inside.
fn put_sums4(row: u32, column: u32, sums: vec4<f32>, bias: vec4<f32>) {
    if (row >= params.rows || column >= params.columns) { return; }
    let count = params.columns - column;
    let at = row * params.columns + column;
    var value = sums * params.weight_scale + bias;
    if (HAS_VECTOR) { value += vector_at4(row / params.sample_rows * params.columns + column, count); }
    value = params.scale * activated(ACTIVATION, value);
    if (HAS_RESIDUAL) { value += residual_at4(at, count); }
    y_put4(at, value, count);
}
