// conv2d_tile — two-dimensional convolution, channels last, as an implicit matrix product, in tiles that go through
// workgroup memory.
//   y[n, r, c, o] = epilogue of Σ_{ky, kx, i} x[n, r·s + ky − top, c·s + kx − left, i] · weight[o, ky, kx, i]
//                                                          zeros outside x, f32 accumulation
//   with WRAP_ROWS, WRAP_COLUMNS the picture goes on at the opposite edge, and there is no outside
//   with ENLARGED of x enlarged to params.height × params.width, each pixel from its nearest
// x       [N, H, W, C]       lanes
// weight  [O, KH, KW, C]     lanes
// y       [N, H', W', O]
// dispatch: one workgroup per tile of pixels × channels; which tile, and who multiplies, is in block_tile or coop_tile
// reference: src/ops/conv2d.rs
// import: weights, activations, rows, epilogue

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

/// The pixels of x under four windows, their samples, and whether they lie inside.
struct Sources { row: vec4<u32>, sample: vec4<u32>, inside: vec4<bool> }

fn sum_taps() -> u32 { return params.kernel_height * params.kernel_width; }

fn sum_depth() -> u32 { return params.depth * LANES; }

fn row_sources(pixels: vec4<u32>, tap: u32) -> Sources {
    // Above and left of x the subtraction wraps to a large number: outside as well.
    var columns = pixels % params.out_width * params.stride + tap % params.kernel_width - params.padding_left;
    var rows = pixels / params.out_width % params.out_height * params.stride
        + tap / params.kernel_width - params.padding_top;
    if (WRAP_ROWS) { rows = (rows + params.height * params.padding_top) % params.height; }
    if (WRAP_COLUMNS) { columns = (columns + params.width * params.padding_left) % params.width; }
    let samples = pixels / (params.out_width * params.out_height);
    let inside = (rows < vec4<u32>(params.height)) & (columns < vec4<u32>(params.width));
    if (ENLARGED) {
        rows = rows * params.in_height / params.height;
        columns = columns * params.in_width / params.width;
    }
    return Sources((samples * params.in_height + rows) * params.in_width + columns, samples, inside);
}
