// add_window — adds a window's part to a picture that grows from windows.
//   y[n, r, c] = sum[n, r, c] + weight(r') · weight(c') · part[n, r', c']    within the window, where
//                r' = (r − top) mod H and c' = (c − left) mod W
//   y[n, r, c] = sum[n, r, c]    elsewhere;   sum is 0 where the window is the first
// sum     [N, H, W, C]  lanes
// part    [N, h, w, C]  lanes
// window  [3 + h + w]           top, left, whether it is the first, the weights of rows and columns
// y       [N, H, W, C]  lanes
// dispatch: one invocation per lane of y
// source: Bar-Tal et al. 2023 (arXiv 2302.08113); reference: src/ops/add_window.rs

struct Params { count: u32, channels: u32, height: u32, width: u32, window_height: u32, window_width: u32 }

@group(0) @binding(0) var<storage, read> sum: array<sum_word>;
@group(0) @binding(1) var<storage, read> part: array<part_word>;
@group(0) @binding(2) var<storage, read> window: array<window_word>;
@group(0) @binding(3) var<storage, read_write> y: array<y_word>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    let channel = i % params.channels;
    let pixel = i / params.channels;
    let n = pixel / (params.width * params.height);
    let top = u32(window_at(0u));
    let left = u32(window_at(1u));
    let row = (pixel / params.width + params.height - top) % params.height;
    let column = (pixel + params.width - left) % params.width;
    // What a sum before this one left is not read, since it may be no number.
    var value = lane();
    if (window_at(IS_FIRST) == 0.0) { value = sum_at(i); }
    if (row < params.window_height && column < params.window_width) {
        let weight = window_at(WEIGHTS + row) * window_at(WEIGHTS + params.window_height + column);
        let at = ((n * params.window_height + row) * params.window_width + column) * params.channels + channel;
        value += weight * part_at(at);
    }
    y_put(i, value);
}
