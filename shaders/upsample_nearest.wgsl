// upsample_nearest — enlarges a picture, each pixel taken from its nearest source.
//   y[n, r, c] = x[n, ⌊r·H/H'⌋, ⌊c·W/W'⌋]
// x       [N, H, W, C]    lanes
// y       [N, H', W', C]  lanes
// dispatch: one invocation per lane of y
// reference: src/ops/upsample_nearest.rs

struct Params { count: u32, in_height: u32, in_width: u32, out_height: u32, out_width: u32, channels: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let pixel = i / params.channels;
    let column = pixel % params.out_width * params.in_width / params.out_width;
    let row = pixel / params.out_width % params.out_height * params.in_height / params.out_height;
    let n = pixel / (params.out_width * params.out_height);
    let source = (n * params.in_height + row) * params.in_width + column;
    y_put(i, x_at(source * params.channels + i % params.channels));
}
