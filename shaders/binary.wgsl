// binary — the sum or product of two values, the second broadcast where its stride is 0.
//   y = a + b   or   a · b                                 as PRODUCT says
// a, y    [axis_0, axis_1, axis_2, axis_3, axis_4]  lanes
// b       the same rank, strides in lanes
// dispatch: one invocation per lane
// reference: src/ops/binary.rs

struct Params {
    count: u32,
    axis_1: u32, axis_2: u32, axis_3: u32, axis_4: u32,
    stride_0: u32, stride_1: u32, stride_2: u32, stride_3: u32, stride_4: u32,
}

@group(0) @binding(0) var<storage, read> a: array<a_word>;
@group(0) @binding(1) var<storage, read> b: array<b_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

/// Where element `i` of a finds its partner in b.
fn partner(i: u32) -> u32 {
    var rest = i;
    var at = rest % params.axis_4 * params.stride_4;
    rest /= params.axis_4;
    at += rest % params.axis_3 * params.stride_3;
    rest /= params.axis_3;
    at += rest % params.axis_2 * params.stride_2;
    rest /= params.axis_2;
    at += rest % params.axis_1 * params.stride_1;
    return at + rest / params.axis_1 * params.stride_0;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    var j = i;
    if (BROADCAST) { j = partner(i); }
    if (PRODUCT) {
        y_put(i, a_at(i) * b_at(j));
    } else {
        y_put(i, a_at(i) + b_at(j));
    }
}
