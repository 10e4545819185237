// embedding — looks up the rows of a slice of a table.
//   y[i] = table[ids[i] − first_row]                       where the slice has that row
// ids     [I]
// table   [rows, C]  lanes    rows first_row.. of the whole table
// y       [I, C]     lanes
// dispatch: one invocation per lane of y, once per slice
// reference: src/ops/embedding.rs

struct Params { count: u32, first_row: u32, rows: u32, channels: u32 }

@group(0) @binding(0) var<storage, read> ids: array<ids_word>;
@group(0) @binding(1) var<storage, read> table: array<table_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    // A row before the slice wraps to a large number: outside as well.
    let row = ids_at(i / params.channels) - params.first_row;
    if (row < params.rows) {
        y_put(i, table_at(row * params.channels + i % params.channels));
    }
}
