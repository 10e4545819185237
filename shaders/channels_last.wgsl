// channels_last — lays out a convolution's weight with its input channels last, bits untouched.
//   y[o, t, i] = x[o, i, t]                                t over the window's taps
// x       [O, I, T]  elements of ELEMENT_BITS, packed into words
// y       [O, T, I]  the same
// dispatch: one invocation per word of y

struct Params { count: u32, elements: u32, in_channels: u32, taps: u32 }

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

/// Where element `i` of y stands in x.
fn source(i: u32) -> u32 {
    let channel = i % params.in_channels;
    let tap = i / params.in_channels % params.taps;
    let o = i / (params.in_channels * params.taps);
    return (o * params.in_channels + channel) * params.taps + tap;
}

/// The 16 bits of element `i` of x, or zeros past the end.
fn half_word(i: u32) -> u32 {
    if (i >= params.elements) { return 0u; }
    let at = source(i);
    return (x[at / 2u] >> (at % 2u * 16u)) & 0xffffu;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    if (ELEMENT_BITS == 32u) {
        y[i] = x[source(i)];
    } else {
        y[i] = half_word(2u * i) | (half_word(2u * i + 1u) << 16u);
    }
}
