// group_norm — normalises each group of channels over all positions and the group's channels.
//   y = (x − mean) / sqrt(var + eps) · weight + bias       mean, var per (n, group), f32
// x       [N, P, C]  activations, channels last
// weight  [C]  bias [C]
// y       [N, P, C]
// dispatch: one workgroup per (n, group)
// The mean comes first and the variance from the differences to it: no cancellation.
// source: Wu & He 2018 (arXiv 1803.08494); reference: src/ops/group_norm.rs
// import: reduce

struct Params { batch: u32, positions: u32, channels: u32, num_groups: u32, eps: f32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> weight: array<weight_word>;
@group(0) @binding(2) var<storage, read> bias: array<bias_word>;
@group(0) @binding(3) var<storage, read_write> y: array<y_word>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let block = linear_group(group, groups);
    // Groups past the last sample (the grid is folded) do its work again: the same values.
    let n = min(block / params.num_groups, params.batch - 1u);
    let width = params.channels / params.num_groups;
    let first_channel = block % params.num_groups * width;
    let start = n * params.positions * params.channels + first_channel;
    let count = params.positions * width;

    var sum = 0.0;
    for (var i = invocation; i < count; i += REDUCE_SIZE) {
        sum += x_at(start + i / width * params.channels + i % width);
    }
    let mean = workgroup_sum(sum, invocation) / f32(count);
    var squares = 0.0;
    for (var i = invocation; i < count; i += REDUCE_SIZE) {
        let difference = x_at(start + i / width * params.channels + i % width) - mean;
        squares += difference * difference;
    }
    let scale = inverseSqrt(workgroup_sum(squares, invocation) / f32(count) + params.eps);
    for (var i = invocation; i < count; i += REDUCE_SIZE) {
        let at = start + i / width * params.channels + i % width;
        let channel = first_channel + i % width;
        y_put(at, (x_at(at) - mean) * scale * weight_at(channel) + bias_at(channel));
    }
}
