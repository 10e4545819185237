// scale — each element times a factor, stored in y's type.
//   y = factor · x
// x, y    [count]  lanes
// dispatch: one invocation per lane
// reference: src/ops/scale.rs

struct Params { count: u32, factor: f32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    y_put(i, params.factor * x_at(i));
}
