// layer_norm — normalises each row.
//   y = (x − mean) / sqrt(var + eps) · weight + bias       mean, var per row, f32
// x       [R, C]  lanes
// weight  [C]  bias [C]  lanes
// y       [R, C]  lanes
// dispatch: one workgroup of REDUCE_SIZE invocations per row
// Each component of an invocation's lanes has a mean and a sum of squares about it, in one pass (Welford 1962); parts
// are joined about the common mean (Chan et al. 1979), so that no large numbers cancel.
// source: Ba et al. 2016 (arXiv 1607.06450); reference: src/ops/layer_norm.rs

/// `channels` are counted in lanes.
struct Params { rows: u32, channels: u32, eps: f32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> weight: array<weight_word>;
@group(0) @binding(2) var<storage, read> bias: array<bias_word>;
@group(0) @binding(3) var<storage, read_write> y: array<y_word>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(REDUCE_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    // Groups past the last row (the grid is folded) do its work again: the same values.
    let start = min(linear_group(group, groups), params.rows - 1u) * params.channels;

    var count = 0.0;
    var means = lane();
    var squares = lane();
    for (var c = invocation; c < params.channels; c += REDUCE_SIZE) {
        let value = x_at(start + c);
        let difference = value - means;
        count += 1.0;
        means += difference / count;
        squares += difference * (value - means);
    }
    let all = f32(params.channels * LANES);
    let mean = workgroup_sum(lane_dot(means, lane(count)), invocation) / all;
    let apart = means - mean;
    let spread = lane_dot(squares + count * apart * apart, lane(1.0));
    let scale = inverseSqrt(workgroup_sum(spread, invocation) / all + params.eps);
    for (var c = invocation; c < params.channels; c += REDUCE_SIZE) {
        y_put(start + c, (x_at(start + c) - mean) * scale * weight_at(c) + bias_at(c));
    }
}
