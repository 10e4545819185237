// activation — an activation function of each element.
//   y = f(x)    f is the function that ACTIVATION names
// x, y    [count]  lanes
// dispatch: one invocation per lane
// reference: src/ops/activation.rs
// import: activations

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    y_put(i, lane_of(activated(ACTIVATION, four_of(x_at(i)))));
}
