// fma_peak — nothing but multiply-adds: as many as a device's arithmetic units can do.
//   In each of 12 chains c, so many rounds of 8 times  a ← ½ · a + x,  from a = c/12;  y = Σ a      f32
// x, y    [count]  f32
// dispatch: one invocation per element; 192 operations a round in it. Chains of four lanes make 12
//           accumulators, which with both factors fit the registers of a CPU, and hide latency.
// reference: src/ops/fma_peak.rs

struct Params { count: u32, rounds: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let half = vec4<f32>(0.5);
    let added = vec4<f32>(x_at(i));
    var a = vec4<f32>(0.0, 1.0, 2.0, 3.0) / 12.0;
    var b = vec4<f32>(4.0, 5.0, 6.0, 7.0) / 12.0;
    var c = vec4<f32>(8.0, 9.0, 10.0, 11.0) / 12.0;
    for (var round = 0u; round < params.rounds; round++) {
        a = fma(a, half, added); b = fma(b, half, added); c = fma(c, half, added);
        a = fma(a, half, added); b = fma(b, half, added); c = fma(c, half, added);
        a = fma(a, half, added); b = fma(b, half, added); c = fma(c, half, added);
        a = fma(a, half, added); b = fma(b, half, added); c = fma(c, half, added);
        a = fma(a, half, added); b = fma(b, half, added); c = fma(c, half, added);
        a = fma(a, half, added); b = fma(b, half, added); c = fma(c, half, added);
        a = fma(a, half, added); b = fma(b, half, added); c = fma(c, half, added);
        a = fma(a, half, added); b = fma(b, half, added); c = fma(c, half, added);
    }
    let sum = a + b + c;
    y_put(i, sum.x + sum.y + sum.z + sum.w);
}
