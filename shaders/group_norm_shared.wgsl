// group_norm_shared — normalises each group of channels by moments that come from elsewhere.
//   y = (x − mean) / sqrt(var + eps) · weight + bias       mean, var: given, or own where given var < 0
// x       [N, P, C]  activations, channels last
// own     [N, G, 2]  given [N, G, 2]  mean, variance      f32
// weight  [C]  bias [C]
// y       [N, P, C]
// dispatch: one invocation per element
// source: Wu & He 2018 (arXiv 1803.08494); reference: src/ops/group_norm_shared.rs

struct Params { count: u32, sample: u32, channels: u32, num_groups: u32, eps: f32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> own: array<own_word>;
@group(0) @binding(2) var<storage, read> given: array<given_word>;
@group(0) @binding(3) var<storage, read> weight: array<weight_word>;
@group(0) @binding(4) var<storage, read> bias: array<bias_word>;
@group(0) @binding(5) var<storage, read_write> y: array<y_word>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let channel = i % params.channels;
    let at = 2u * (i / params.sample * params.num_groups
        + channel / (params.channels / params.num_groups));
    let is_given = given_at(at + 1u) >= 0.0;
    let mean = select(own_at(at), given_at(at), is_given);
    let variance = select(own_at(at + 1u), given_at(at + 1u), is_given);
    let normal = (x_at(i) - mean) * inverseSqrt(variance + params.eps);
    y_put(i, normal * weight_at(channel) + bias_at(channel));
}
