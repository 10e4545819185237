// coop_tile — matrix products by cooperative matrices: a workgroup makes a tile of TILE_ROWS × TILE_COLUMNS elements.
//   A subgroup makes ROW_MATRICES × COLUMN_MATRICES matrices of COOP × COOP elements, of halves and with sums in f32,
//   from DEPTH steps along the sum in workgroup memory. Elements of a matrix belong to no invocation in particular,
//   so sums go through workgroup memory to the end of the kernel.
// The kernel tells what is multiplied: taps, depth, and where a row begins at a tap (row_sources).
// The prelude has the matrices' types and the tile's words: fours of halves, or single ones.

const TILE_ROWS = COOP * ROW_MATRICES * ROW_SUBGROUPS;
const TILE_COLUMNS = COOP * COLUMN_MATRICES * COLUMN_SUBGROUPS;
/// The tile is divided into as many parts; a workgroup of fewer subgroups makes them one after the other.
const PARTS = ROW_SUBGROUPS * COLUMN_SUBGROUPS;
const THREADS = 32u * PARTS;
const DEPTH_FOURS = DEPTH / 4u;
/// Halves from one row or column to the next: eight more keep them on different banks, and aligned.
const STRIDE = DEPTH + 8u;
const COLUMN_START = TILE_ROWS * STRIDE;
const MATRIX = COOP * COOP;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

var<workgroup> tile: array<tile_word, (TILE_ROWS + TILE_COLUMNS) * STRIDE / TILE_LANES>;
var<workgroup> results: array<f32, PARTS * MATRIX>;

/// Puts four steps of a row into workgroup memory: zeros past the end of the sum and outside x.
fn stage_row(at: u32, inside: bool, row: u32, sample: u32, k: u32) {
    var steps = vec4<f32>();
    if (inside && k < sum_depth()) { steps = row_at4(row, sample, k); }
    tile_put(at, steps);
}

/// The same of a column.
fn stage_column(at: u32, start: u32, k: u32) {
    let depth = sum_depth();
    var steps = vec4<f32>();
    if (k < depth) { steps = own_weight_at4(start + k, depth - k); }
    tile_put(COLUMN_START + at, steps);
}

/// Stages four steps from `k` on of four rows and of four columns, those of this invocation.
fn stage(block: u32, step: u32, k: u32, rows: Sources, columns: vec4<u32>) {
    let at = vec4<u32>(4u * block * STRIDE + step) + FOUR * STRIDE;
    if (block < TILE_ROWS / 4u) {
        stage_row(at.x, rows.inside.x, rows.row.x, rows.sample.x, k);
        stage_row(at.y, rows.inside.y, rows.row.y, rows.sample.y, k);
        stage_row(at.z, rows.inside.z, rows.row.z, rows.sample.z, k);
        stage_row(at.w, rows.inside.w, rows.row.w, rows.sample.w, k);
    }
    if (block < TILE_COLUMNS / 4u) {
        stage_column(at.x, columns.x, k);
        stage_column(at.y, columns.y, k);
        stage_column(at.z, columns.z, k);
        stage_column(at.w, columns.w, k);
    }
}

/// Finishes and stores the matrices that lie in workgroup memory: those of `parts` parts from `first` on.
fn put_results(first_row: u32, first_column: u32, first: u32, parts: u32, invocation: u32) {
    for (var i = invocation; i < PARTS * MATRIX / 4u; i += THREADS) {
        let part = i / (MATRIX / 4u);
        if (part < first || part >= first + parts) { continue; }
        let row = first_row + part / COLUMN_SUBGROUPS * ROW_MATRICES * COOP + i % (MATRIX / 4u) / (COOP / 4u);
        let column = first_column + part % COLUMN_SUBGROUPS * COLUMN_MATRICES * COOP + i % (COOP / 4u) * 4u;
        let sums = vec4<f32>(results[4u * i], results[4u * i + 1u], results[4u * i + 2u], results[4u * i + 3u]);
        put_sums4(row, column, sums, bias_of(column));
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32,
        @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32) {
    let place = place_of(group, groups);
    let first_row = place / params.column_tiles * TILE_ROWS;
    let first_column = place % params.column_tiles * TILE_COLUMNS;
    // What this invocation stages. Rows and columns past the edge repeat the last one; their sums are not stored.
    let block = invocation / DEPTH_FOURS;
    let step = invocation % DEPTH_FOURS * 4u;
    let rows = min(vec4<u32>(first_row + 4u * block) + FOUR, vec4<u32>(params.rows - 1u));
    let columns = min(vec4<u32>(first_column + 4u * block) + FOUR, vec4<u32>(params.columns - 1u));
    let taps = sum_taps();

    for (var first = 0u; first < PARTS; first += subgroups) {
        // Subgroups past the last part make it as well, with the same sums.
        let part = min(first + subgroup, PARTS - 1u);
        let row = part / COLUMN_SUBGROUPS * ROW_MATRICES * COOP;
        let column = part % COLUMN_SUBGROUPS * COLUMN_MATRICES * COOP;
        var sums: array<array<coop_sums, COLUMN_MATRICES>, ROW_MATRICES>;
        for (var tap = 0u; tap < taps; tap++) {
            let sources = row_sources(rows, tap);
            let starts = (weight_rows(columns) * taps + tap) * sum_depth();
            for (var k = 0u; k < sum_depth(); k += DEPTH) {
                stage(block, step, k + step, sources, starts);
                workgroupBarrier();
                for (var s = 0u; s < DEPTH; s += COOP) {
                    var right: array<coop_columns, COLUMN_MATRICES>;
                    for (var c = 0u; c < COLUMN_MATRICES; c++) {
                        let at = COLUMN_START + (column + c * COOP) * STRIDE + s;
                        right[c] = coopLoad<coop_columns>(&tile[at / TILE_LANES], STRIDE / TILE_LANES);
                    }
                    for (var r = 0u; r < ROW_MATRICES; r++) {
                        let at = (row + r * COOP) * STRIDE + s;
                        let left = coopLoadT<coop_rows>(&tile[at / TILE_LANES], STRIDE / TILE_LANES);
                        for (var c = 0u; c < COLUMN_MATRICES; c++) {
                            sums[r][c] = coopMultiplyAdd(left, right[c], sums[r][c]);
                        }
                    }
                }
                workgroupBarrier();
            }
        }
        for (var r = 0u; r < ROW_MATRICES; r++) {
            for (var c = 0u; c < COLUMN_MATRICES; c++) {
                coopStoreT(sums[r][c], &results[part * MATRIX], COOP);
                workgroupBarrier();
                put_results(first_row + r * COOP, first_column + c * COOP, first, subgroups, invocation);
                workgroupBarrier();
            }
        }
    }
}
