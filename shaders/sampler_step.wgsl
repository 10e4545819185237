// sampler_step — the update of one row of a sampler's table; one shader for every sampler.
//   F  = F_u + g · (F_c − F_u)                             or F_c alone without guidance
//   D₀ = c_skip · x + c_out · F
//   x' = a · x + a₀ · x_saved + Σ_j b_j · D_j + c · noise
// state   [5, latent]  lanes    x, x_saved, D₁, D₂, D₃ (older last)
// output  [branches, latent]  lanes    F_u then F_c, or F_c alone
// noise   [latent]  lanes
// row     [R]    the coefficients
// y       [5, latent]  lanes    x', x_saved', D₀, D₁, D₂
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
    let d_1 = state_at(2u * latent + i);
    let d_2 = state_at(3u * latent + i);
    let d_3 = state_at(4u * latent + i);

    var model = output_at(i);
    if (GUIDED) {
        model += row_at(ROW_GUIDANCE) * (output_at(latent + i) - model);
    }
    let d_0 = row_at(ROW_C_SKIP) * x + row_at(ROW_C_OUT) * model;
    let history = row_at(ROW_DENOISED) * d_0 + row_at(ROW_DENOISED + 1u) * d_1
        + row_at(ROW_DENOISED + 2u) * d_2 + row_at(ROW_DENOISED + 3u) * d_3;
    let next = row_at(ROW_X) * x + row_at(ROW_SAVED) * saved + history + row_at(ROW_NOISE) * noise_at(i);

    y_put(i, next);
    if (row_at(ROW_SAVE) != 0.0) {
        y_put(latent + i, x);
    } else {
        y_put(latent + i, saved);
    }
    y_put(2u * latent + i, d_0);
    y_put(3u * latent + i, d_1);
    y_put(4u * latent + i, d_2);
}
