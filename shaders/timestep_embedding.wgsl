// timestep_embedding — sines and cosines of the timestep at geometrically spaced frequencies.
//   y[n, i] = sin(t[n] · exp(i · log_step)),  y[n, D/2 + i] = cos(…)      or cosines first
// timestep  [N]
// y         [N, D]
// dispatch: one invocation per element of y
// Devices' own sine may be off by 2⁻¹¹ and more at large angles, so it is computed here.
// source: Vaswani et al. 2017 (arXiv 1706.03762) § 3.5; sine and cosine: Cephes, sinf.c;
// reference: src/ops/timestep_embedding.rs

struct Params { count: u32, half_dim: u32, log_step: f32 }

@group(0) @binding(0) var<storage, read> timestep: array<timestep_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

/// The sine of `angle`, `quarters` quarter turns later.
fn sine(angle: f32, quarters: i32) -> f32 {
    let nearest = round(angle * 0.63661977);
    // π/2 in three parts, so that the products are exact for the angles that occur.
    let r = ((angle - nearest * 1.5703125) - nearest * 4.837512969970703e-4) - nearest * 7.549789954e-8;
    let r2 = r * r;
    let s = r + r * r2 * (-1.6666654611e-1 + r2 * (8.3321608736e-3 + r2 * -1.9515295891e-4));
    let c = 1.0 - 0.5 * r2 + r2 * r2 * (4.166664568298827e-2 + r2 * (-1.388731625493765e-3 + r2 * 2.443315711809948e-5));
    let quadrant = (i32(nearest) + quarters) & 3;
    let magnitude = select(s, c, (quadrant & 1) == 1);
    return select(magnitude, -magnitude, quadrant >= 2);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let half = i / params.half_dim % 2u;
    let angle = timestep_at(i / (2u * params.half_dim)) * exp(f32(i % params.half_dim) * params.log_step);
    let is_cosine = (half == 1u) != COSINES_FIRST;
    y_put(i, sine(angle, select(0, 1, is_cosine)));
}
