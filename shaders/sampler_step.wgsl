// sampler_step — the update of one row of a sampler's table; one shader for every sampler.
//   F   = F_0 + Σ_b w_b · (F_b − F_0)                      over the branches after the first
//   D   = c_skip · x + c_out · F
//   H_0 = entry_x · x + entry_d · D
//   x'  = Σ next_k · term_k,  x_saved' = Σ kept_k · term_k  of x, x_saved, noise, H_0, H_1, H_2, H_3
// state   [5, latent]  lanes    x, x_saved, H_1, H_2, H_3 (older last)
// output  [BRANCHES, latent]  lanes
// noise   [latent]  lanes
// row     [R]    the coefficients
// y       [5, latent]  lanes    x', x_saved', H_0, H_1, H_2; the history as it was unless remembered
// dispatch: one invocation per lane of a latent
// reference: src/ops/sampler_step.rs

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> state: array<state_word>;
@group(0) @binding(1) var<storage, read> output: array<output_word>;
@group(0) @binding(2) var<storage, read> noise: array<noise_word>;
@group(0) @binding(3) var<storage, read> row: array<row_word>;
@group(0) @binding(4) var<storage, read_write> y: array<y_word>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    let latent = params.count;
    if (i >= latent) { return; }
    let x = state_at(i);
    let saved = state_at(latent + i);
    let n = noise_at(i);
    let h_1 = state_at(2u * latent + i);
    let h_2 = state_at(3u * latent + i);
    let h_3 = state_at(4u * latent + i);

    let first = output_at(i);
    var model = first;
    for (var branch = 1u; branch < BRANCHES; branch++) {
        model += row_at(ROW_GUIDANCE + branch - 1u) * (output_at(branch * latent + i) - first);
    }
    let denoised = row_at(ROW_C_SKIP) * x + row_at(ROW_C_OUT) * model;
    let h_0 = row_at(ROW_ENTRY) * x + row_at(ROW_ENTRY + 1u) * denoised;

    y_put(i, row_at(ROW_NEXT) * x + row_at(ROW_NEXT + 1u) * saved + row_at(ROW_NEXT + 2u) * n
        + row_at(ROW_NEXT + 3u) * h_0 + row_at(ROW_NEXT + 4u) * h_1
        + row_at(ROW_NEXT + 5u) * h_2 + row_at(ROW_NEXT + 6u) * h_3);
    y_put(latent + i, row_at(ROW_KEPT) * x + row_at(ROW_KEPT + 1u) * saved + row_at(ROW_KEPT + 2u) * n
        + row_at(ROW_KEPT + 3u) * h_0 + row_at(ROW_KEPT + 4u) * h_1
        + row_at(ROW_KEPT + 5u) * h_2 + row_at(ROW_KEPT + 6u) * h_3);
    if (row_at(ROW_REMEMBERED) != 0.0) {
        y_put(2u * latent + i, h_0);
        y_put(3u * latent + i, h_1);
        y_put(4u * latent + i, h_2);
    } else {
        y_put(2u * latent + i, h_1);
        y_put(3u * latent + i, h_2);
        y_put(4u * latent + i, h_3);
    }
}
