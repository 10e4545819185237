// attention — scaled dot-product attention in one pass over the keys, by online softmax.
//   y[n, l, h] = Σ_j softmax_j(q[n, l, h] · k[n, j, h] / √D) · v[n, j, h]        f32 throughout
// q       [N, Lq, H·D]
// k, v    [N, Lk, H·D]
// y       [N, Lq, H·D]
// dispatch: one workgroup of 64 invocations per (n, head, block of 4 queries from first_query on)
// Keys are taken 64 at a time: an invocation scores one key against the four queries (the
// components of a vec4), then gathers its channels of the values. No matrix of scores in memory.
// source: Milakov & Gimelshein 2018 (arXiv 1805.02867), Dao et al. 2022 (arXiv 2205.14135);
// reference: src/ops/attention.rs

const KEYS = 64u;
const SLOTS = (HEAD_DIM + KEYS - 1u) / KEYS;
/// Stands for −∞, which fast mathematics may assume away.
const MASKED = -1e30;

struct Params { batch: u32, queries: u32, keys: u32, heads: u32, first_query: u32, query_blocks: u32 }

@group(0) @binding(0) var<storage, read> q: array<q_word>;
@group(0) @binding(1) var<storage, read> k: array<k_word>;
@group(0) @binding(2) var<storage, read> v: array<v_word>;
@group(0) @binding(3) var<storage, read_write> y: array<y_word>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> q_tile: array<vec4<f32>, HEAD_DIM>;
var<workgroup> scores: array<vec4<f32>, KEYS>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let block = linear_group(group, groups);
    let n = block / (params.query_blocks * params.heads);
    // Groups past the last sample (the grid is folded) work on it again and store nothing.
    let stored = n < params.batch;
    let sample = min(n, params.batch - 1u);
    let head = block / params.query_blocks % params.heads;
    let query = params.first_query + block % params.query_blocks * 4u;
    let stride = params.heads * HEAD_DIM;
    let queries = vec4<u32>(query) + vec4<u32>(0u, 1u, 2u, 3u);
    let rows = (sample * params.queries + min(queries, vec4<u32>(params.queries - 1u))) * stride + head * HEAD_DIM;
    let scale = inverseSqrt(f32(HEAD_DIM));

    for (var d = invocation; d < HEAD_DIM; d += KEYS) {
        q_tile[d] = scale * vec4<f32>(q_at(rows.x + d), q_at(rows.y + d), q_at(rows.z + d), q_at(rows.w + d));
    }
    workgroupBarrier();

    var largest = vec4<f32>(MASKED);
    var total = vec4<f32>();
    var sums: array<vec4<f32>, SLOTS>;
    for (var first = 0u; first < params.keys; first += KEYS) {
        let count = min(KEYS, params.keys - first);
        let key_start = (sample * params.keys + first) * stride + head * HEAD_DIM;

        var score = vec4<f32>(MASKED);
        if (invocation < count) {
            let start = key_start + invocation * stride;
            score = vec4<f32>();
            for (var d = 0u; d < HEAD_DIM; d++) {
                score += q_tile[d] * k_at(start + d);
            }
            if (CAUSAL) {
                score = select(score, vec4<f32>(MASKED), vec4<u32>(first + invocation) > queries);
            }
        }
        scores[invocation] = score;
        workgroupBarrier();

        var next = largest;
        for (var j = 0u; j < count; j++) { next = max(next, scores[j]); }
        workgroupBarrier();
        scores[invocation] = exp(score - next);
        workgroupBarrier();

        let shrink = exp(largest - next);
        largest = next;
        total *= shrink;
        for (var slot = 0u; slot < SLOTS; slot++) { sums[slot] *= shrink; }
        for (var j = 0u; j < count; j++) {
            let weight = scores[j];
            total += weight;
            for (var slot = 0u; slot < SLOTS; slot++) {
                let d = slot * KEYS + invocation;
                if (d < HEAD_DIM) { sums[slot] += weight * v_at(key_start + j * stride + d); }
            }
        }
        workgroupBarrier();
    }

    if (!stored) { return; }
    for (var slot = 0u; slot < SLOTS; slot++) {
        let d = slot * KEYS + invocation;
        if (d >= HEAD_DIM) { break; }
        let values = sums[slot] / total;
        for (var i = 0u; i < 4u; i++) {
            if (queries[i] < params.queries) { y_put(rows[i] + d, values[i]); }
        }
    }
}
