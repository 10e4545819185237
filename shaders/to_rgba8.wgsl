// to_rgba8 — turns a decoder's picture into opaque bytes.
//   y = round(255 · clamp(x / 2 + ½, 0, 1))                four bytes to a word
// x       [P, 3]
// y       [P]  words of four bytes
// dispatch: one invocation per pixel
// reference: src/ops/to_rgba8.rs

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let rgb = vec3<f32>(x_at(3u * i), x_at(3u * i + 1u), x_at(3u * i + 2u));
    y_put(i, pack4x8unorm(vec4<f32>(rgb * 0.5 + 0.5, 1.0)));
}
