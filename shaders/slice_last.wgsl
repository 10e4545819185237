// slice_last — takes a range of the channels.
//   y[r, c] = x[r, start + c]
// x       [R, channels]  lanes
// y       [R, length]    lanes
// dispatch: one invocation per lane of y
// reference: src/ops/slice_last.rs

struct Params { count: u32, channels: u32, start: u32, length: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    y_put(i, x_at(i / params.length * params.channels + params.start + i % params.length));
}
