// conv2d_simd — two-dimensional convolution, channels last, as an implicit matrix product, on adapters that are
// CPUs.
//   y[n, r, c, o] = epilogue of Σ_{ky, kx, i} x[n, r·s + ky − top, c·s + kx − left, i] · weight[o, ky, kx, i]
//                                                          zeros outside x, f32 accumulation
//   with WRAP_ROWS, WRAP_COLUMNS the picture goes on at the opposite edge, and there is no outside
//   with ENLARGED of x enlarged to params.height × params.width, each pixel from its nearest
// x       [N, H, W, C]       lanes
// weight  [O, KH, KW, C]     lanes
// y       [N, H', W', O]
// dispatch: one subgroup per tile of ROWS pixels × SIMD·COLUMNS channels
// reference: src/ops/conv2d.rs
// import: simd_tile, weights, activations, rows, epilogue, simd_result

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

/// Where a window's pixel lies in x, if it does.
struct Source { pixel: u32, sample: u32, inside: bool }

fn source_of(pixel: u32, ky: u32, kx: u32) -> Source {
    // Above and left of x the subtraction wraps to a large number: outside as well.
    var column = pixel % params.out_width * params.stride + kx - params.padding_left;
    var row = pixel / params.out_width % params.out_height * params.stride + ky - params.padding_top;
    if (WRAP_ROWS) { row = (row + params.height * params.padding_top) % params.height; }
    if (WRAP_COLUMNS) { column = (column + params.width * params.padding_left) % params.width; }
    let sample = pixel / (params.out_width * params.out_height);
    let inside = row < params.height && column < params.width;
    if (ENLARGED) {
        row = row * params.in_height / params.height;
        column = column * params.in_width / params.width;
    }
    return Source((sample * params.in_height + row) * params.in_width + column, sample, inside);
}

@compute @workgroup_size(SIMD)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let tile = place_of(group, groups);
    let first_pixel = tile / params.column_tiles * ROWS;
    let channel = (tile % params.column_tiles * SIMD + invocation) * COLUMNS;
    let taps = params.kernel_height * params.kernel_width;

    clear_sums();
    for (var tap = 0u; tap < taps; tap++) {
        // Pixels and channels past the edge repeat the last one; their sums are not stored.
        var sources: array<Source, SHARE>;
        for (var i = 0u; i < SHARE; i++) {
            let pixel = min(first_pixel + i * SIMD + invocation, params.rows - 1u);
            sources[i] = source_of(pixel, tap / params.kernel_width, tap % params.kernel_width);
        }
        var weight_starts: array<u32, COLUMNS>;
        for (var c = 0u; c < COLUMNS; c++) {
            weight_starts[c] = (min(channel + c, params.columns - 1u) * taps + tap) * params.depth;
        }
        for (var k = 0u; k < params.depth; k++) {
            for (var i = 0u; i < SHARE; i++) {
                row_lanes[i] = lane();
                if (sources[i].inside) { row_lanes[i] = row_at(sources[i].pixel, sources[i].sample, k); }
            }
            for (var c = 0u; c < COLUMNS; c++) { column_lanes[c] = weight_at(weight_starts[c] + k); }
            multiply_lanes();
        }
    }
    put_sums(first_pixel, channel, invocation);
}
