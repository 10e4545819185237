// rows — the rows of a matrix product, made of x while they are loaded.
//   x[p, k]                                                or, side by side, x and beside
//   f(that · norm[n, 0, k] + norm[n, 1, k])                if HAS_NORM: a group norm whose coefficients are known
// x       [P, x_depth]            lanes
// beside  [P, depth − x_depth]    lanes, optional
// norm    [N, 2, depth]           lanes, optional
// f is the function that LOAD_ACTIVATION names; depth and x_depth are the kernel's Params, in lanes.
// reference: src/ops/load.rs

fn raw_row_at(p: u32, k: u32) -> lane {
    if (!HAS_BESIDE) { return x_at(p * params.depth + k); }
    if (k < params.x_depth) { return x_at(p * params.x_depth + k); }
    return beside_at(p * (params.depth - params.x_depth) + k - params.x_depth);
}

/// Lane `k` of the row or pixel `p` of x, which belongs to sample `n`.
fn row_at(p: u32, n: u32, k: u32) -> lane {
    let value = raw_row_at(p, k);
    if (!HAS_NORM) { return value; }
    let at = n * 2u * params.depth + k;
    return lane_of(activated(LOAD_ACTIVATION, four_of(value * norm_at(at) + norm_at(at + params.depth))));
}

fn raw_row_at4(p: u32, k: u32, depth: u32) -> vec4<f32> {
    if (!HAS_BESIDE) { return x_at4(p * depth + k, depth - k); }
    let own = params.x_depth * LANES;
    let other = depth - own;
    if (LANES == 4u || k >= own || k + 4u <= own) {
        if (k < own) { return x_at4(p * own + k, own - k); }
        return beside_at4(p * other + k - own, depth - k);
    }
    // Some of the four are of x, the others beside it.
    var four = x_at4(p * own + k, own - k);
    let rest = beside_at4(p * other, other);
    if (own - k == 1u) { four = vec4<f32>(four.x, rest.xyz); }
    if (own - k == 2u) { four = vec4<f32>(four.xy, rest.xy); }
    if (own - k == 3u) { four = vec4<f32>(four.xyz, rest.x); }
    return four;
}

/// Elements `k` to `k + 3` of the row or pixel `p`, zeros past the end.
fn row_at4(p: u32, n: u32, k: u32) -> vec4<f32> {
    let depth = params.depth * LANES;
    let four = raw_row_at4(p, k, depth);
    if (!HAS_NORM) { return four; }
    let at = n * 2u * depth + k;
    return activated(LOAD_ACTIVATION, four * norm_at4(at, depth - k) + norm_at4(at + depth, depth - k));
}
