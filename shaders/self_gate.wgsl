// self_gate — a sum times how far the sigmoid of its first term is from one half.
//   y = (h + x) · (σ(h) − 1/2)
// h, x, y [count]  lanes
// dispatch: one invocation per lane
// source: Wan et al. 2023 (arXiv 2311.12770), eqs. 5 and 6; reference: src/ops/self_gate.rs

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> h: array<h_word>;
@group(0) @binding(1) var<storage, read> x: array<x_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let gate = h_at(i);
    y_put(i, (gate + x_at(i)) * (1.0 / (1.0 + exp(-gate)) - 0.5));
}
