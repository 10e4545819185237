// pixel_shuffle — turns channels into pixels: each pixel of x becomes a square of factor × factor; or the other way.
//   y[n, r·f + i, c·f + j, k] = x[n, r, c, (k·f + i)·f + j]     f = factor
//   where UNSHUFFLE, x and y change places
// x       [N, H, W, C·f²]      elem; [N, H·f, W·f, C] where UNSHUFFLE
// y       [N, H·f, W·f, C]     elem; [N, H, W, C·f²] where UNSHUFFLE
// dispatch: one invocation per element of y
// source: Shi et al. 2016 (arXiv 1609.05158), eq. 4, as torch's pixel_shuffle; reference: src/ops/pixel_shuffle.rs

struct Params { count: u32, height: u32, width: u32, channels: u32, factor: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let at = linear_group(group, groups) * 64u + invocation;
    if (at >= params.count) { return; }
    let f = params.factor;
    // height, width and channels are those of the shuffled side, where pixels are many and channels few.
    var k = 0u; var i = 0u; var j = 0u; var r = 0u; var c = 0u; var n = 0u;
    if (UNSHUFFLE) {
        let deep = at % (params.channels * f * f);
        let pixel = at / (params.channels * f * f);
        k = deep / (f * f); i = deep / f % f; j = deep % f;
        c = pixel % (params.width / f);
        r = pixel / (params.width / f) % (params.height / f);
        n = pixel / (params.width / f * (params.height / f));
    } else {
        let pixel = at / params.channels;
        let column = pixel % params.width;
        let row = pixel / params.width % params.height;
        k = at % params.channels; i = row % f; j = column % f;
        c = column / f; r = row / f;
        n = pixel / (params.width * params.height);
    }
    let shuffled = ((n * params.height + r * f + i) * params.width + c * f + j) * params.channels + k;
    let deep_pixel = (n * (params.height / f) + r) * (params.width / f) + c;
    let unshuffled = deep_pixel * params.channels * f * f + (k * f + i) * f + j;
    y_put(at, x_at(select(unshuffled, shuffled, UNSHUFFLE)));
}
