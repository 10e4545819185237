// dynamic_threshold — guides, and pulls what the model takes for the picture into −1..1, by its own spread.
//   G  = F_0 + Σ w_b · (F_b − F_0)        D = c_skip · x + c_out · G
//   s  = clamp(quantile(|D|, ratio), 1, max)               over all of a picture's values, exact
//   y  = (clamp(D, −s, s) / s − c_skip · x) / c_out        the prediction that makes D so
// x       [N, L]  the first latent of the state
// output  [BRANCHES, N, L]  F_b of all pictures, branch by branch
// row     [R]    w_b, c_skip, c_out, ratio and max
// y       [N, L]
// dispatch: one workgroup per picture
// Magnitudes are not negative, so their bits are in their order: four rounds over eight bits each find
// the value of a rank. What is not finite stays so, for whoever looks for it.
// source: Saharia et al. 2022 (arXiv 2205.11487), §2.3; diffusers `_threshold_sample`;
//   reference: src/ops/dynamic_threshold.rs

struct Params { batch: u32, count: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> output: array<output_word>;
@group(0) @binding(2) var<storage, read> row: array<row_word>;
@group(0) @binding(3) var<storage, read_write> y: array<y_word>;
@group(0) @binding(4) var<uniform> params: Params;

const GROUP = 64u;
const BINS = 256u;
const INFINITY_BITS = 0x7f800000u;
var<workgroup> histogram: array<atomic<u32>, BINS>;
/// The leading bits found so far, and the rank among the values that begin with them.
var<workgroup> found: vec2<u32>;
var<workgroup> not_above: atomic<u32>;
var<workgroup> next_bits: atomic<u32>;

fn denoised(at: u32) -> f32 {
    let first = output_at(at);
    var guided = first;
    for (var branch = 1u; branch < BRANCHES; branch++) {
        let weight = row_at(ROW_GUIDANCE + branch - 1u);
        guided += weight * (output_at(branch * params.batch * params.count + at) - first);
    }
    return row_at(ROW_C_SKIP) * x_at(at) + row_at(ROW_C_OUT) * guided;
}

fn magnitude_bits(value: f32) -> u32 {
    return bitcast<u32>(value) & 0x7fffffffu;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    // Groups past the last picture (the grid is folded) do its work again: the same values.
    let start = min(linear_group(group, groups), params.batch - 1u) * params.count;
    let position = row_at(ROW_THRESHOLD) * f32(params.count - 1u);
    let rank = min(u32(position), params.count - 1u);

    if (invocation == 0u) { found = vec2<u32>(0u, rank); }
    for (var shift = 24u; shift < 32u; shift -= 8u) { // past 0 it wraps around
        for (var bin = invocation; bin < BINS; bin += GROUP) { atomicStore(&histogram[bin], 0u); }
        let before = workgroupUniformLoad(&found);
        for (var i = invocation; i < params.count; i += GROUP) {
            let bits = magnitude_bits(denoised(start + i));
            // Two shifts, since one by 32 is none.
            if (((bits >> shift) >> 8u) == ((before.x >> shift) >> 8u)) {
                atomicAdd(&histogram[(bits >> shift) % BINS], 1u);
            }
        }
        workgroupBarrier();
        if (invocation == 0u) {
            var bin = 0u;
            var left = before.y;
            var here = atomicLoad(&histogram[0]);
            while (left >= here && bin < BINS - 1u) {
                left -= here;
                bin += 1u;
                here = atomicLoad(&histogram[bin]);
            }
            found = vec2<u32>(before.x | (bin << shift), left);
        }
        workgroupBarrier();
    }
    let lower = workgroupUniformLoad(&found).x;

    // The value of the next rank: the same, if there are enough of it, or the least above it.
    if (invocation == 0u) {
        atomicStore(&not_above, 0u);
        atomicStore(&next_bits, INFINITY_BITS);
    }
    workgroupBarrier();
    for (var i = invocation; i < params.count; i += GROUP) {
        let bits = magnitude_bits(denoised(start + i));
        if (bits <= lower) { atomicAdd(&not_above, 1u); } else { atomicMin(&next_bits, bits); }
    }
    workgroupBarrier();
    let next_is_above = atomicLoad(&not_above) == rank + 1u && rank + 1u < params.count;
    let upper = bitcast<f32>(select(lower, atomicLoad(&next_bits), next_is_above));
    let quantile = mix(bitcast<f32>(lower), upper, position - f32(rank));
    let s = clamp(quantile, 1.0, row_at(ROW_THRESHOLD_MAX));
    for (var i = invocation; i < params.count; i += GROUP) {
        let d = denoised(start + i);
        let is_finite = magnitude_bits(d) < INFINITY_BITS;
        let pulled = select(d, clamp(d, -s, s) / s, is_finite);
        y_put(start + i, (pulled - row_at(ROW_C_SKIP) * x_at(start + i)) / row_at(ROW_C_OUT));
    }
}
