// count_nonfinite — counts NaN and infinities, by their bits: fast mathematics may assume neither.
//   y[g] = #{ i of g's share : exponent of x[i] is all ones }
// x       [count]
// y       [groups]  u32
// dispatch: some workgroups; blocks of 64 elements go to them in turn
// reference: src/ops/count_nonfinite.rs
// import: reduce

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    var found = 0.0;
    for (var i = group.x * REDUCE_SIZE + invocation; i < params.count; i += groups.x * REDUCE_SIZE) {
        let exponent = bitcast<u32>(x_at(i)) & 0x7f800000u;
        found += select(0.0, 1.0, exponent == 0x7f800000u);
    }
    let total = workgroup_sum(found, invocation);
    if (invocation == 0u) {
        y_put(group.x, u32(total));
    }
}
