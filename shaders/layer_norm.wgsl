// layer_norm — normalises each row.
//   y = (x − mean) / sqrt(var + eps) · weight + bias       mean, var per row, f32
// x       [R, C]
// weight  [C]  bias [C]
// y       [R, C]
// dispatch: one workgroup per row
// source: Ba et al. 2016 (arXiv 1607.06450); reference: src/ops/layer_norm.rs
// import: reduce

struct Params { rows: u32, channels: u32, eps: f32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> weight: array<weight_word>;
@group(0) @binding(2) var<storage, read> bias: array<bias_word>;
@group(0) @binding(3) var<storage, read_write> y: array<y_word>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    // Groups past the last row (the grid is folded) do its work again: the same values.
    let start = min(linear_group(group, groups), params.rows - 1u) * params.channels;

    var sum = 0.0;
    for (var c = invocation; c < params.channels; c += REDUCE_SIZE) {
        sum += x_at(start + c);
    }
    let mean = workgroup_sum(sum, invocation) / f32(params.channels);
    var squares = 0.0;
    for (var c = invocation; c < params.channels; c += REDUCE_SIZE) {
        let difference = x_at(start + c) - mean;
        squares += difference * difference;
    }
    let scale = inverseSqrt(workgroup_sum(squares, invocation) / f32(params.channels) + params.eps);
    for (var c = invocation; c < params.channels; c += REDUCE_SIZE) {
        y_put(start + c, (x_at(start + c) - mean) * scale * weight_at(c) + bias_at(c));
    }
}
