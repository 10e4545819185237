// rescale_guidance — guides, and gives the result the spread of the conditional prediction.
//   G  = F_u + w · (F_c − F_u)
//   y  = G · (φ · std(F_c) / std(G) + 1 − φ)               std over all of a picture's values, f32
// output  [2, N, L]  F_u of all pictures, then F_c
// row     [R]    w and φ
// y       [N, L]
// dispatch: one workgroup per picture
// source: Lin et al. 2024 (arXiv 2305.08891), eq. 15 and 16; reference: src/ops/rescale_guidance.rs
// import: reduce

struct Params { batch: u32, count: u32 }

@group(0) @binding(0) var<storage, read> output: array<output_word>;
@group(0) @binding(1) var<storage, read> row: array<row_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

fn guided(at: u32) -> f32 {
    let first = output_at(at);
    return first + row_at(ROW_GUIDANCE) * (output_at(params.batch * params.count + at) - first);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    // Groups past the last picture (the grid is folded) do its work again: the same values.
    let start = min(linear_group(group, groups), params.batch - 1u) * params.count;
    let conditional = params.batch * params.count + start;
    let count = f32(params.count);

    var sums = vec2<f32>(0.0);
    for (var i = invocation; i < params.count; i += REDUCE_SIZE) {
        sums += vec2<f32>(output_at(conditional + i), guided(start + i));
    }
    let mean_c = workgroup_sum(sums.x, invocation) / count;
    let mean_g = workgroup_sum(sums.y, invocation) / count;
    var squares = vec2<f32>(0.0);
    for (var i = invocation; i < params.count; i += REDUCE_SIZE) {
        let difference = vec2<f32>(output_at(conditional + i) - mean_c, guided(start + i) - mean_g);
        squares += difference * difference;
    }
    let spread_c = workgroup_sum(squares.x, invocation);
    let spread_g = workgroup_sum(squares.y, invocation);
    // A prediction that is the same everywhere has no spread to restore.
    let ratio = select(1.0, sqrt(spread_c / spread_g), spread_g > 0.0);
    let scale = row_at(ROW_RESCALE) * ratio + 1.0 - row_at(ROW_RESCALE);
    for (var i = invocation; i < params.count; i += REDUCE_SIZE) {
        y_put(start + i, guided(start + i) * scale);
    }
}
