// select_row — takes one part of a value along its slowest axis, as a row of the sampler's table says.
//   y[i] = x[place · count + i]                            place = row[ROW_PLACE], a whole number
// x       [R, count]  lanes
// row     [F]
// y       [count]     lanes
// dispatch: one invocation per lane of y
// reference: src/ops/select_row.rs

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read> row: array<row_word>;
@group(0) @binding(2) var<storage, read_write> y: array<y_word>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let i = linear_group(group, groups) * 64u + invocation;
    if (i >= params.count) { return; }
    y_put(i, x_at(u32(row_at(ROW_PLACE)) * params.count + i));
}
