// group_norm — normalises each group of channels over all positions and the group's channels.
//   y = f((x − mean) / sqrt(var + eps) · weight + bias)    mean, var per (n, group), f32
//   y[n] = factors and what is added, of each channel      if COEFFICIENTS, for whoever normalises while loading
// x       [N, P, x_channels]  lanes     activations, channels last
// beside  [N, P, C − x_channels]  lanes, optional: x and this side by side are normalised
// weight  [C]  bias [C]  lanes
// y       [N, P, C]  lanes; with COEFFICIENTS [N, 2, C] lanes
// dispatch: one workgroup per (n, group); f is the function that ACTIVATION names
// One pass over x: each invocation sums differences to its first value, and what they say of mean and variance is
// joined as Chan et al. do, so that nothing cancels.
// source: Wu & He 2018 (arXiv 1803.08494), Chan, Golub & LeVeque 1983 (doi 10.1080/00031305.1983.10483115);
// reference: src/ops/group_norm.rs
// import: reduce, activations

struct Params { batch: u32, positions: u32, channels: u32, x_channels: u32, num_groups: u32, eps: f32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> weight: array<weight_word>;
@group(0) @binding(2) var<storage, read> bias: array<bias_word>;
@group(0) @binding(3) var<storage, read_write> y: array<y_word>;
@group(0) @binding(4) var<uniform> params: Params;

fn source_at(position: u32, channel: u32) -> lane {
    if (!HAS_BESIDE) { return x_at(position * params.channels + channel); }
    if (channel < params.x_channels) { return x_at(position * params.x_channels + channel); }
    return beside_at(position * (params.channels - params.x_channels) + channel - params.x_channels);
}

fn sum_of(value: lane) -> f32 { return lane_dot(value, lane_of(vec4<f32>(1.0))); }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let block = linear_group(group, groups);
    // Groups past the last sample (the grid is folded) do its work again: the same values.
    let n = min(block / params.num_groups, params.batch - 1u);
    let width = params.channels / params.num_groups;
    let first_channel = block % params.num_groups * width;
    let first_position = n * params.positions;
    let count = params.positions * width;

    // Of this invocation's values: how many there are, and their sums relative to the first.
    var own = 0.0;
    let shift = source_at(first_position + min(invocation, count - 1u) / width, first_channel + invocation % width);
    var sum = lane();
    var squares = lane();
    for (var i = invocation; i < count; i += REDUCE_SIZE) {
        let difference = source_at(first_position + i / width, first_channel + i % width) - shift;
        sum += difference;
        squares += difference * difference;
        own += 1.0;
    }
    let own_mean = shift + sum / max(own, 1.0);
    let values = f32(count) * sum_of(lane_of(vec4<f32>(1.0)));
    let mean = workgroup_sum(own * sum_of(own_mean), invocation) / values;
    let apart = own_mean - mean;
    let spread = squares - sum * sum / max(own, 1.0) + own * apart * apart;
    let scale = inverseSqrt(workgroup_sum(sum_of(spread), invocation) / values + params.eps);

    if (COEFFICIENTS) {
        for (var i = invocation; i < width; i += REDUCE_SIZE) {
            let channel = first_channel + i;
            let factor = scale * weight_at(channel);
            y_put(n * 2u * params.channels + channel, factor);
            y_put((n * 2u + 1u) * params.channels + channel, bias_at(channel) - mean * factor);
        }
        return;
    }
    for (var i = invocation; i < count; i += REDUCE_SIZE) {
        let position = first_position + i / width;
        let channel = first_channel + i % width;
        let value = (source_at(position, channel) - mean) * scale * weight_at(channel) + bias_at(channel);
        y_put(position * params.channels + channel, lane_of(activated(ACTIVATION, four_of(value))));
    }
}
