// concat — joins two values along the channels.
//   y[r] = a[r] ++ b[r]
// a       [R, A]  lanes
// b       [R, B]  lanes
// y       [R, A + B]  lanes
// dispatch: one invocation per lane of y
// reference: src/ops/concat.rs

struct Params { count: u32, a_channels: u32, b_channels: u32 }

@group(0) @binding(0) var<storage, read> a: array<a_word>;
@group(0) @binding(1) var<storage, read> b: array<b_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let channels = params.a_channels + params.b_channels;
    let row = i / channels;
    let channel = i % channels;
    if (channel < params.a_channels) {
        y_put(i, a_at(row * params.a_channels + channel));
    } else {
        y_put(i, b_at(row * params.b_channels + channel - params.a_channels));
    }
}
