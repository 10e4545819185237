// model_input — the latent as the network wants it: scaled, in its type, once per guidance branch.
//   y[b, i] = row.c_in · x[i]
// state   [S, latent]  lanes    x is its first latent
// row     [R]
// y       [branches, latent]  lanes
// dispatch: one invocation per lane of y
// reference: src/ops/model_input.rs

struct Params { count: u32, latent: u32 }

@group(0) @binding(0) var<storage, read> state: array<state_word>;
@group(0) @binding(1) var<storage, read> row: array<row_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    y_put(i, row_at(ROW_C_IN) * state_at(i % params.latent));
}
