// attention_simd — scaled dot-product attention in one pass over the keys, by online softmax, on adapters that are
// CPUs.
//   y[n, l, h] = Σ_j softmax_j(q[n, l, h] · k[n, j, h] / √D) · v[n, j, h]        f32 throughout
// q       [N, Lq, H·D]  lanes
// k, v    [N, Lk, H·D]  lanes
// y       [N, Lq, H·D]  lanes
// dispatch: one subgroup per (n, head, block of SIMD·COLUMNS queries)
// An invocation has COLUMNS queries to itself, so that nothing but keys and values passes between invocations;
// ROWS keys are taken at a time. No matrix of scores in memory.
// source: Milakov & Gimelshein 2018 (arXiv 1805.02867), Dao et al. 2022 (arXiv 2205.14135);
// reference: src/ops/attention.rs
// import: simd_tile

/// Stands for −∞, which fast mathematics may assume away.
const MASKED = -1e30;

/// `groups` is GROUPS, hidden from compilers that would unroll the loops and take minutes.
struct Params { batch: u32, queries: u32, keys: u32, heads: u32, query_blocks: u32, groups: u32, first_group: u32 }

@group(0) @binding(0) var<storage, read> q: array<q_word>;
@group(0) @binding(1) var<storage, read> k: array<k_word>;
@group(0) @binding(2) var<storage, read> v: array<v_word>;
@group(0) @binding(3) var<storage, read_write> y: array<y_word>;
@group(0) @binding(4) var<uniform> params: Params;

/// Of each query: the largest score so far, the sum of all weights relative to it, and what the last keys made of
/// the weights before.
var<private> largest: array<f32, COLUMNS>;
var<private> total: array<f32, COLUMNS>;
var<private> shrink: array<f32, COLUMNS>;

/// Turns the scores of ROWS keys from `first` on into weights.
fn weigh(first: u32, query: u32) {
    let scale = inverseSqrt(f32(HEAD_DIM));
    for (var c = 0u; c < COLUMNS; c++) {
        var most = largest[c];
        for (var r = 0u; r < ROWS; r++) {
            let hidden = first + r >= params.keys || (CAUSAL && first + r > query + c);
            sums[r][c] = select(scale * sums[r][c], MASKED, hidden);
            most = max(most, sums[r][c]);
        }
        shrink[c] = exp(largest[c] - most);
        largest[c] = most;
        total[c] *= shrink[c];
        for (var r = 0u; r < ROWS; r++) {
            sums[r][c] = exp(sums[r][c] - most);
            total[c] += sums[r][c];
        }
    }
}

/// The answers so far. Every invocation has its own, so none waits for another: they are here because registers
/// cannot be indexed.
var<workgroup> answers: array<lane, GROUPS * COLUMNS * SIMD>;

@compute @workgroup_size(SIMD)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let block = params.first_group + linear_group(group, groups);
    let n = block / (params.query_blocks * params.heads);
    // Groups past the last sample (the grid is folded) work on it again and store nothing.
    let stored = n < params.batch;
    let sample = min(n, params.batch - 1u);
    let head = block / params.query_blocks % params.heads;
    let query = (block % params.query_blocks * SIMD + invocation) * COLUMNS;
    let stride = params.heads * GROUPS;
    var query_starts: array<u32, COLUMNS>;
    for (var c = 0u; c < COLUMNS; c++) {
        let row = sample * params.queries + min(query + c, params.queries - 1u);
        query_starts[c] = row * stride + head * GROUPS;
        largest[c] = MASKED;
        total[c] = 0.0;
    }

    let own = invocation * COLUMNS;
    for (var i = 0u; i < params.groups * COLUMNS; i++) {
        answers[i / COLUMNS * COLUMNS * SIMD + own + i % COLUMNS] = lane();
    }
    for (var first = 0u; first < params.keys; first += ROWS) {
        var key_starts: array<u32, SHARE>;
        for (var i = 0u; i < SHARE; i++) {
            let row = sample * params.keys + min(first + i * SIMD + invocation, params.keys - 1u);
            key_starts[i] = row * stride + head * GROUPS;
        }
        clear_sums();
        for (var g = 0u; g < params.groups; g++) {
            for (var i = 0u; i < SHARE; i++) { row_lanes[i] = k_at(key_starts[i] + g); }
            for (var c = 0u; c < COLUMNS; c++) { column_lanes[c] = q_at(query_starts[c] + g); }
            multiply_lanes();
        }
        weigh(first, query);
        for (var g = 0u; g < params.groups; g++) {
            for (var i = 0u; i < SHARE; i++) { row_lanes[i] = v_at(key_starts[i] + g); }
            let at = g * COLUMNS * SIMD + own;
            for (var c = 0u; c < COLUMNS; c++) { column_lanes[c] = answers[at + c] * shrink[c]; }
            for (var r = 0u; r < ROWS; r++) {
                let row = subgroupShuffle(row_lanes[r / SIMD], r % SIMD);
                for (var c = 0u; c < COLUMNS; c++) { column_lanes[c] += sums[r][c] * row; }
            }
            for (var c = 0u; c < COLUMNS; c++) { answers[at + c] = column_lanes[c]; }
        }
    }

    if (!stored) { return; }
    for (var c = 0u; c < COLUMNS; c++) {
        if (query + c >= params.queries) { break; }
        for (var g = 0u; g < params.groups; g++) {
            y_put(query_starts[c] + g, answers[g * COLUMNS * SIMD + own + c] / total[c]);
        }
    }
}
