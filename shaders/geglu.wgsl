// geglu — the first half of the channels times the GELU of the second.
//   y[r, d] = x[r, d] · gelu(x[r, D + d])
// x       [R, 2D]  lanes
// y       [R, D]   lanes
// dispatch: one invocation per lane of y
// source: Shazeer 2020 (arXiv 2002.05202); reference: src/ops/geglu.rs
// import: activations

struct Params { count: u32, half_channels: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let row = i / params.half_channels;
    let value = i + row * params.half_channels;
    y_put(i, x_at(value) * lane_of(activated(GELU, four_of(x_at(value + params.half_channels)))));
}
