// conv2d — two-dimensional convolution, channels last, as an implicit matrix product.
//   y[n, r, c, o] = epilogue of Σ_{ky, kx, i} x[n, r·s + ky − top, c·s + kx − left, i] · weight[o, ky, kx, i]
//                                                          zeros outside x, f32 accumulation
//   with WRAP_ROWS, WRAP_COLUMNS the picture goes on at the opposite edge, and there is no outside
//   with ENLARGED of x enlarged to params.height × params.width, each pixel from its nearest
// x       [N, H, W, C]       lanes
// weight  [O, KH, KW, C]     lanes
// y       [N, H', W', O]
// dispatch: one workgroup of 8×8 invocations per tile of 32 pixels × 32 channels, 4×4 an invocation
// This is the plain version: a tile of registers, no workgroup memory and no im2col buffer.
// reference: src/ops/conv2d.rs
// import: tile, weights, activations, rows, epilogue

struct Params {
    in_height: u32, in_width: u32, depth: u32,
    height: u32, width: u32, out_height: u32, out_width: u32,
    kernel_height: u32, kernel_width: u32,
    stride: u32, padding_top: u32, padding_left: u32,
    rows: u32, columns: u32, column_tiles: u32, x_depth: u32,
    sample_rows: u32, weight_groups: u32, weight_scale: f32, scale: f32, first_group: u32,
}

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> weight: array<weight_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

/// A lane of a pixel, or zeros where the window hangs over the edge.
fn row_or_zero(inside: bool, pixel: u32, sample: u32, k: u32) -> lane {
    if (inside) { return row_at(pixel, sample, k); }
    return lane();
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) invocation: vec3<u32>) {
    let tile = place_of(group, groups);
    let first_pixel = tile / params.column_tiles * TILE + invocation.y * 4u;
    let channel = tile % params.column_tiles * TILE + invocation.x * 4u;
    // Pixels and channels past the edge repeat the last one; their sums are not stored.
    let pixels = min(vec4<u32>(first_pixel) + FOUR, vec4<u32>(params.rows - 1u));
    let channels = min(vec4<u32>(channel) + FOUR, vec4<u32>(params.columns - 1u));
    let out_columns = pixels % params.out_width;
    let out_rows = pixels / params.out_width % params.out_height;
    let samples = pixels / (params.out_width * params.out_height);

    var sums_0 = vec4<f32>();
    var sums_1 = sums_0;
    var sums_2 = sums_0;
    var sums_3 = sums_0;
    for (var ky = 0u; ky < params.kernel_height; ky++) {
        for (var kx = 0u; kx < params.kernel_width; kx++) {
            // Above and left of x the subtraction wraps to a large number: outside as well.
            var rows = out_rows * params.stride + ky - params.padding_top;
            var columns = out_columns * params.stride + kx - params.padding_left;
            if (WRAP_ROWS) { rows = (rows + params.height * params.padding_top) % params.height; }
            if (WRAP_COLUMNS) { columns = (columns + params.width * params.padding_left) % params.width; }
            let inside = (rows < vec4<u32>(params.height)) & (columns < vec4<u32>(params.width));
            if (ENLARGED) {
                rows = rows * params.in_height / params.height;
                columns = columns * params.in_width / params.width;
            }
            let sources = (samples * params.in_height + rows) * params.in_width + columns;
            let tap = ky * params.kernel_width + kx;
            let taps = params.kernel_height * params.kernel_width;
            let weight_start = (channels * taps + tap) * params.depth;
            for (var i = 0u; i < params.depth; i++) {
                let w_0 = weight_at(weight_start.x + i);
                let w_1 = weight_at(weight_start.y + i);
                let w_2 = weight_at(weight_start.z + i);
                let w_3 = weight_at(weight_start.w + i);
                let x_0 = row_or_zero(inside.x, sources.x, samples.x, i);
                let x_1 = row_or_zero(inside.y, sources.y, samples.y, i);
                let x_2 = row_or_zero(inside.z, sources.z, samples.z, i);
                let x_3 = row_or_zero(inside.w, sources.w, samples.w, i);
                sums_0 += lane_dots(x_0, w_0, w_1, w_2, w_3);
                sums_1 += lane_dots(x_1, w_0, w_1, w_2, w_3);
                sums_2 += lane_dots(x_2, w_0, w_1, w_2, w_3);
                sums_3 += lane_dots(x_3, w_0, w_1, w_2, w_3);
            }
        }
    }
    let bias = bias_of(channel);
    put_sums4(first_pixel, channel, sums_0, bias);
    put_sums4(first_pixel + 1u, channel, sums_1, bias);
    put_sums4(first_pixel + 2u, channel, sums_2, bias);
    put_sums4(first_pixel + 3u, channel, sums_3, bias);
}
