// group_moments — mean and variance of each group of channels over all positions.
// x       [N, P, C]  activations, channels last
// y       [N, G, 2]  mean, variance                      f32
// dispatch: one workgroup per (n, group)
// The mean comes first and the variance from the differences to it: no cancellation.
// source: Wu & He 2018 (arXiv 1803.08494); reference: src/ops/group_moments.rs
// import: reduce

struct Params { batch: u32, positions: u32, channels: u32, num_groups: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    // Groups past the last sample (the grid is folded) do the last one's work again: the same values.
    let block = min(linear_group(group, groups), params.batch * params.num_groups - 1u);
    let width = params.channels / params.num_groups;
    let start = block / params.num_groups * params.positions * params.channels
        + block % params.num_groups * width;
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
    let variance = workgroup_sum(squares, invocation) / f32(count);
    if (invocation == 0u) {
        y_put(2u * block, mean);
        y_put(2u * block + 1u, variance);
    }
}
