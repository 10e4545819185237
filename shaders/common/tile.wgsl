// tile — what the matrix kernels share: 8×8 invocations of 4×4 elements make a tile of 32×32.

const TILE = 32u;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

/// One lane of a row times the same lane of four columns.
fn lane_dots(x: lane, w_0: lane, w_1: lane, w_2: lane, w_3: lane) -> vec4<f32> {
    return vec4<f32>(lane_dot(x, w_0), lane_dot(x, w_1), lane_dot(x, w_2), lane_dot(x, w_3));
}
