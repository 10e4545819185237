// keep_known — puts a known latent, noised to the level of the next row, where a mask is below a threshold.
//   x' = signal · known + noise · n   where mask < threshold,   else x
// state   [5, latent]  lanes    the latent x first; the others stay as they are
// known   [latent]  lanes       a clean latent
// noise   [latent]  lanes       n, the unit normal that the run began with
// mask    [latent / channels]   0 is known for good, 1 is free from the first step on
// row     [R]    signal, noise and threshold
// y       [5, latent]  lanes
// dispatch: one invocation per lane of y
// source: Levin & Fried 2023 (arXiv 2306.00950); reference: src/ops/keep_known.rs

struct Params { count: u32, latent: u32, channels: u32 }

@group(0) @binding(0) var<storage, read> state: array<state_word>;
@group(0) @binding(1) var<storage, read> known: array<known_word>;
@group(0) @binding(2) var<storage, read> noise: array<noise_word>;
@group(0) @binding(3) var<storage, read> mask: array<mask_word>;
@group(0) @binding(4) var<storage, read> row: array<row_word>;
@group(0) @binding(5) var<storage, read_write> y: array<y_word>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    if (i < params.latent && mask_at(i / params.channels) < row_at(ROW_KNOWN + 2u)) {
        y_put(i, row_at(ROW_KNOWN) * known_at(i) + row_at(ROW_KNOWN + 1u) * noise_at(i));
    } else {
        y_put(i, state_at(i));
    }
}
