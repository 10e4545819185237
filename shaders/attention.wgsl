// attention — scaled dot-product attention in one pass over the keys, by online softmax.
//   y[n, l, h] = Σ_j softmax_j(q[n, l, h] · k[n, j, h] / √D) · v[n, j, h]        f32 throughout
// q       [N, Lq, H·D]  lanes
// k, v    [N, Lk, H·D]  lanes
// y       [N, Lq, H·D]  lanes
// dispatch: one workgroup of THREADS invocations per (n, head, block of QUERIES queries)
// The invocations stand in rows of COLUMNS; a row has four queries to itself. KEYS keys are taken at a time: an
// invocation scores 4·KEY_FOURS of them, in registers, from DEPTH channels at a time in workgroup memory; then it
// adds SLOTS fours of the channels of VALUES values at a time. No matrix of scores in memory.
// source: Milakov & Gimelshein 2018 (arXiv 1805.02867), Dao et al. 2022 (arXiv 2205.14135);
// reference: src/ops/attention.rs
// import: outer

const ROWS = THREADS / COLUMNS;
const QUERIES = 4u * ROWS;
const KEY_BLOCKS = KEY_FOURS * COLUMNS;
const KEYS = 4u * KEY_BLOCKS;
/// Fours of channels in a head, the last of which may be filled up with zeros.
const FOURS = (HEAD_DIM + 3u) / 4u;
const SLOTS = (FOURS + COLUMNS - 1u) / COLUMNS;
/// Channels lie one after the other, the fours of queries or keys of each together; one more keeps them on
/// different banks.
const Q_STRIDE = ROWS + 1u;
const K_STRIDE = KEY_BLOCKS + 1u;
const K_START = DEPTH * Q_STRIDE;
const TILE = max(DEPTH * (Q_STRIDE + K_STRIDE), VALUES * FOURS);
/// Stands for −∞, which fast mathematics may assume away.
const MASKED = -1e30;
/// Scores are logarithms to base 2, which devices are fastest at.
const LOG2_E = 1.44269504;

struct Params { batch: u32, queries: u32, keys: u32, heads: u32, query_blocks: u32, first_group: u32 }

@group(0) @binding(0) var<storage, read> q: array<q_word>;
@group(0) @binding(1) var<storage, read> k: array<k_word>;
@group(0) @binding(2) var<storage, read> v: array<v_word>;
@group(0) @binding(3) var<storage, read_write> y: array<y_word>;
@group(0) @binding(4) var<uniform> params: Params;

/// Some channels of queries and keys, or values.
var<workgroup> tile: array<vec4<f32>, TILE>;
/// Of each key, the weights that the four queries of each row give it.
var<workgroup> weights: array<vec4<f32>, KEYS * ROWS>;
/// What the invocations of a row tell each other.
var<workgroup> shared_fours: array<vec4<f32>, THREADS>;

/// Where the head's channels of a query or of a key begin; of the last one, past the end.
fn query_start(sample: u32, query: u32, head: u32) -> u32 {
    return ((sample * params.queries + min(query, params.queries - 1u)) * params.heads + head) * HEAD_DIM;
}

fn key_start(sample: u32, key: u32, head: u32) -> u32 {
    return ((sample * params.keys + min(key, params.keys - 1u)) * params.heads + head) * HEAD_DIM;
}

/// Puts the channels from `d` on of all queries and of the keys from `first_key` on into the tile.
fn stage_scores(sample: u32, head: u32, first_query: u32, first_key: u32, d: u32, invocation: u32) {
    for (var i = invocation; i < ROWS * DEPTH / 4u; i += THREADS) {
        let c = d + i % (DEPTH / 4u) * 4u;
        let query = first_query + i / (DEPTH / 4u) * 4u;
        let block = transpose(mat4x4<f32>(
            q_at4(query_start(sample, query, head) + c, HEAD_DIM - c),
            q_at4(query_start(sample, query + 1u, head) + c, HEAD_DIM - c),
            q_at4(query_start(sample, query + 2u, head) + c, HEAD_DIM - c),
            q_at4(query_start(sample, query + 3u, head) + c, HEAD_DIM - c)));
        put_block((c - d) * Q_STRIDE + i / (DEPTH / 4u), Q_STRIDE, (LOG2_E * inverseSqrt(f32(HEAD_DIM))) * block);
    }
    for (var i = invocation; i < KEY_BLOCKS * DEPTH / 4u; i += THREADS) {
        let c = d + i % (DEPTH / 4u) * 4u;
        let key = first_key + i / (DEPTH / 4u) * 4u;
        let block = transpose(mat4x4<f32>(
            k_at4(key_start(sample, key, head) + c, HEAD_DIM - c),
            k_at4(key_start(sample, key + 1u, head) + c, HEAD_DIM - c),
            k_at4(key_start(sample, key + 2u, head) + c, HEAD_DIM - c),
            k_at4(key_start(sample, key + 3u, head) + c, HEAD_DIM - c)));
        put_block(K_START + (c - d) * K_STRIDE + i / (DEPTH / 4u), K_STRIDE, block);
    }
}

fn put_block(at: u32, stride: u32, block: mat4x4<f32>) {
    tile[at] = block[0];
    tile[at + stride] = block[1];
    tile[at + 2u * stride] = block[2];
    tile[at + 3u * stride] = block[3];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let block = params.first_group + linear_group(group, groups);
    let n = block / (params.query_blocks * params.heads);
    // Groups past the last sample (the grid is folded) work on it again and store nothing.
    let stored = n < params.batch;
    let sample = min(n, params.batch - 1u);
    let head = block / params.query_blocks % params.heads;
    let first_query = block % params.query_blocks * QUERIES;
    let row = invocation / COLUMNS;
    let column = invocation % COLUMNS;
    let query = first_query + 4u * row;
    let queries = vec4<u32>(query) + vec4<u32>(0u, 1u, 2u, 3u);
    var end = params.keys;
    if (CAUSAL) { end = min(end, first_query + QUERIES); }

    // Of each query: the largest score so far, this invocation's part of the sum of all weights relative to it, and
    // of the answer.
    var largest = vec4<f32>(MASKED);
    var total = vec4<f32>();
    var answers: array<mat4x4<f32>, SLOTS>;
    for (var first_key = 0u; first_key < end; first_key += KEYS) {
        var scores: array<mat4x4<f32>, KEY_FOURS>;
        for (var f = 0u; f < KEY_FOURS; f++) { scores[f] = mat4x4<f32>(); }
        for (var d = 0u; d < 4u * FOURS; d += DEPTH) {
            stage_scores(sample, head, first_query, first_key, d, invocation);
            workgroupBarrier();
            for (var c = 0u; c < DEPTH; c++) {
                let q_4 = tile[c * Q_STRIDE + row];
                for (var f = 0u; f < KEY_FOURS; f++) {
                    scores[f] += outer(tile[K_START + c * K_STRIDE + f * COLUMNS + column], q_4);
                }
            }
            workgroupBarrier();
        }

        var most = largest;
        for (var f = 0u; f < KEY_FOURS; f++) {
            for (var i = 0u; i < 4u; i++) {
                let key = first_key + (f * COLUMNS + column) * 4u + i;
                var hidden = vec4<bool>(key >= params.keys);
                if (CAUSAL) { hidden = hidden | (vec4<u32>(key) > queries); }
                scores[f][i] = select(scores[f][i], vec4<f32>(MASKED), hidden);
                most = max(most, scores[f][i]);
            }
        }
        shared_fours[invocation] = most;
        workgroupBarrier();
        for (var c = 0u; c < COLUMNS; c++) { most = max(most, shared_fours[row * COLUMNS + c]); }
        let shrink = exp2(largest - most);
        largest = most;
        total *= shrink;
        for (var s = 0u; s < SLOTS; s++) { answers[s] = scale_columns(answers[s], shrink); }
        for (var f = 0u; f < KEY_FOURS; f++) {
            for (var i = 0u; i < 4u; i++) {
                let weight = exp2(scores[f][i] - most);
                total += weight;
                weights[((f * COLUMNS + column) * 4u + i) * ROWS + row] = weight;
            }
        }

        for (var first = 0u; first < KEYS && first_key + first < end; first += VALUES) {
            for (var i = invocation; i < VALUES * FOURS; i += THREADS) {
                let c = i % FOURS * 4u;
                tile[i] = v_at4(key_start(sample, first_key + first + i / FOURS, head) + c, HEAD_DIM - c);
            }
            workgroupBarrier();
            for (var j = 0u; j < VALUES; j++) {
                let weight = weights[(first + j) * ROWS + row];
                for (var s = 0u; s < SLOTS; s++) {
                    answers[s] += outer(weight, tile[j * FOURS + min(s * COLUMNS + column, FOURS - 1u)]);
                }
            }
            workgroupBarrier();
        }
    }

    shared_fours[invocation] = total;
    workgroupBarrier();
    if (!stored) { return; }
    total = vec4<f32>();
    for (var c = 0u; c < COLUMNS; c++) { total += shared_fours[row * COLUMNS + c]; }
    for (var s = 0u; s < SLOTS; s++) {
        let c = (s * COLUMNS + column) * 4u;
        if (c >= HEAD_DIM) { break; }
        for (var i = 0u; i < 4u; i++) {
            if (queries[i] < params.queries) {
                y_put4(query_start(sample, queries[i], head) + c, answers[s][i] / total[i], HEAD_DIM - c);
            }
        }
    }
}
