// epilogue — what follows a matrix product within its kernel; every such kernel ends here.
//   y[m, n] = scale · f(sum[m, n] · weight_scale + bias[n] + vector[sample of m, n]) + residual[m, n]
//   y[m, n] = value[m, n] · gelu(gate[m, n])               if GATED, of the columns that weight_row puts together
// bias      [columns]            optional, bias_1 and bias_2 as well
// vector    [N, columns]         optional, one for each sample of params.sample_rows rows
// residual  [rows, columns]      optional
// f is the function that ACTIVATION names; weight_scale, scale, rows and columns are the kernel's Params. With
// several weights their results lie one after the other.
// reference: src/ops/epilogue.rs

/// Four neighbours of the bias of this workgroup's weight.
fn own_bias_at4(i: u32, count: u32) -> vec4<f32> {
    if (HAS_BIAS_1 && which == 1u) { return bias_1_at4(i, count); }
    if (HAS_BIAS_2 && which == 2u) { return bias_2_at4(i, count); }
    return bias_at4(i, count);
}

/// The bias of four neighbouring columns, for all rows of a tile.
fn bias_of(column: u32) -> vec4<f32> {
    if (column >= params.columns) { return vec4<f32>(); }
    if (GATED) {
        return vec4<f32>(bias_at4(weight_row(column), 2u).xy, bias_at4(weight_row(column + 2u), 2u).xy);
    }
    return own_bias_at4(column, params.columns - column);
}

/// Finishes and stores the sums of four neighbouring columns of a row, as far as they lie inside.
fn put_sums4(row: u32, column: u32, sums: vec4<f32>, bias: vec4<f32>) {
    if (row >= params.rows || column >= params.columns || which >= WEIGHTS) { return; }
    let at = (which * params.rows + row) * params.columns + column;
    var value = sums * params.weight_scale + bias;
    if (GATED) {
        let gated = value.xy * activated(GELU, value.zwzw).xy;
        y_put4(at / 2u, vec4<f32>(gated, 0.0, 0.0), 2u);
        return;
    }
    let count = params.columns - column;
    if (HAS_VECTOR) { value += vector_at4(row / params.sample_rows * params.columns + column, count); }
    value = params.scale * activated(ACTIVATION, value);
    if (HAS_RESIDUAL) { value += residual_at4(at, count); }
    y_put4(at, value, count);
}
