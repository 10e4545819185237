// activation — an activation function of each element.
//   y = x · σ(x)   or   x · Φ(x)   or   x · σ(1.702 x)     as FUNCTION is 0, 1 or 2
// x, y    [count]  lanes
// dispatch: one invocation per lane
// source: Hendrycks & Gimpel 2016 (arXiv 1606.08415); reference: src/ops/activation.rs
// import: erf

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let value = x_at(i);
    switch FUNCTION {
        case 0u: { y_put(i, value / (1.0 + exp(-value))); }
        case 1u: { y_put(i, gelu(value)); }
        default: { y_put(i, value / (1.0 + exp(-1.702 * value))); }
    }
}
