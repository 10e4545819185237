// count_nonfinite — counts NaN and infinities, by their bits: fast mathematics may assume neither.
//   y = #{ i : exponent of x[i] is all ones }
// x       [count]
// y       [1]  u32
// dispatch: one workgroup
// reference: src/ops/count_nonfinite.rs
// import: reduce

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) invocation: u32) {
    var found = 0.0;
    for (var i = invocation; i < params.count; i += REDUCE_SIZE) {
        let exponent = bitcast<u32>(x_at(i)) & 0x7f800000u;
        found += select(0.0, 1.0, exponent == 0x7f800000u);
    }
    let total = workgroup_sum(found, invocation);
    if (invocation == 0u) {
        y_put(0u, u32(total));
    }
}
