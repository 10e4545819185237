// leaky_relu — keeps positive elements and multiplies the others by a slope, which channels may have of their own.
//   y[r, c] = x[r, c]  where that is above 0,  else  slope[c] · x[r, c]
// x, y    [R, C]   lanes
// slope   [C]      lanes; read only if HAS_SLOPE, else params.slope serves all
// dispatch: one invocation per lane
// source: He et al. 2015 (arXiv 1502.01852), eq. 1; reference: src/ops/leaky_relu.rs

struct Params { count: u32, channels: u32, slope: f32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> slope: array<slope_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let value = x_at(i);
    var factor = lane(params.slope);
    if (HAS_SLOPE) { factor = slope_at(i % params.channels); }
    // What is no number stays so.
    y_put(i, select(factor * value, value, value > lane()));
}
