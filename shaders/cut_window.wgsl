// cut_window — takes what of a picture lies in a window.
//   y[n, r, c] = x[n, (top + r) mod H, (left + c) mod W]
// x       [N, H, W, C]  lanes
// window  [3 + h + w]           top and left first
// y       [N, h, w, C]  lanes
// dispatch: one invocation per lane of y; rows and pictures are counted in lanes
// reference: src/ops/cut_window.rs

struct Params { count: u32, channels: u32, row: u32, picture: u32, window_row: u32, window_picture: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> window: array<window_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let n = i / params.window_picture;
    let height = params.picture / params.row;
    let row = (u32(window_at(0u)) + i % params.window_picture / params.window_row) % height;
    let place = (u32(window_at(1u)) * params.channels + i % params.window_row) % params.row;
    y_put(i, x_at(n * params.picture + row * params.row + place));
}
