// reduce — sums over the invocations of a workgroup of REDUCE_SIZE.

const REDUCE_SIZE = 64u;
var<workgroup> partial: array<f32, REDUCE_SIZE>;

/// The sum of `value` over the workgroup, in every invocation.
fn workgroup_sum(value: f32, invocation: u32) -> f32 {
    partial[invocation] = value;
    workgroupBarrier();
    for (var half = REDUCE_SIZE / 2u; half > 0u; half /= 2u) {
        if (invocation < half) {
            partial[invocation] += partial[invocation + half];
        }
        workgroupBarrier();
    }
    let sum = partial[0];
    workgroupBarrier();
    return sum;
}
