// group_norm — normalises each group of channels over all positions and the group's channels.
//   y = f((x − mean) / sqrt(var + eps) · weight + bias)    mean, var per (n, group), f32
// What comes out is, by RESULT:
//   NORMALISED    [N, P, C]  lanes
//   COEFFICIENTS  [N, 2, C]  lanes    each channel's factor and what is added, for whoever normalises while loading
//   MOMENTS       [N, parts, G, 2]    mean and var of each group, in each part of the positions
// x       [N, P, x_channels]  lanes     activations, channels last
// weight  [C]  bias [C]  lanes, optional
// beside  [N, P, C − x_channels]  lanes, optional: x and this side by side are normalised
// moments [N, M, G, 2]  optional: mean and var in each M-th of the positions; otherwise they come of x
// given   [N, G, 2]     optional: mean and var to use instead, where that var is not below 0
// dispatch: one workgroup of SIZE invocations per (n, part of the positions, set of neighbouring groups)
// Rows are read as they lie, a set's channels side by side: each invocation has a column of lanes to itself and keeps the
// sums of differences to its first value. Entries are then joined about a common mean, as Chan et al. do, first over
// invocations and then over channels, so that nothing cancels and no sum is of more than a part's rows.
// source: Wu & He 2018 (arXiv 1803.08494), Chan, Golub & LeVeque 1983 (doi 10.1080/00031305.1983.10483115);
// reference: src/ops/group_norm.rs
// import: activations, moments

/// Channels are counted in lanes; `part_rows` are the positions of a workgroup, `moment_rows` those of a given moment.
struct Params {
    batch: u32, positions: u32, channels: u32, x_channels: u32, num_groups: u32, set_groups: u32,
    parts: u32, part_rows: u32, moment_parts: u32, moment_rows: u32, eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<x_word>;
@group(0) @binding(1) var<storage, read_write> y: array<y_word>;
@group(0) @binding(2) var<uniform> params: Params;

const NORMALISED = 0u;
const COEFFICIENTS = 1u;
const MOMENTS = 2u;

/// Mean of each group of the set, and what differences to it are multiplied by.
var<workgroup> normals: array<vec2<f32>, SIZE>;

fn source_at(position: u32, channel: u32) -> lane {
    if (!HAS_BESIDE) { return x_at(position * params.channels + channel); }
    if (channel < params.x_channels) { return x_at(position * params.x_channels + channel); }
    return beside_at(position * (params.channels - params.x_channels) + channel - params.x_channels);
}

/// Leaves the entries of a part of the rows; `(first row, first channel)`.
fn measure(start: vec2<u32>, rows: u32, columns: u32, invocation: u32) {
    var at = walk(rows, columns, invocation);
    let shift = source_at(start.x + min(at.row, rows - 1u), start.y + at.column);
    var count = 0.0;
    var sum = lane();
    var square = lane();
    while (at.row < rows) {
        let difference = source_at(start.x + at.row, start.y + at.column) - shift;
        count += 1.0;
        sum += difference;
        square += difference * difference;
        at = next(at);
    }
    let apart = sum / max(count, 1.0);
    let mean = four_of(shift + apart);
    let about = four_of(square - sum * apart);
    let entry = invocation * LANES;
    keep(entry, Entry(count, mean.x, about.x));
    if (LANES == 4u) {
        keep(entry + 1u, Entry(count, mean.y, about.y));
        keep(entry + 2u, Entry(count, mean.z, about.z));
        keep(entry + 3u, Entry(count, mean.w, about.w));
    }
}

/// Leaves the entries of the moments of a sample, which begin at `first`.
fn recall(first: u32, invocation: u32) {
    var at = walk(params.moment_parts, params.set_groups, invocation);
    let values = f32(params.channels * LANES / params.num_groups);
    let shift = moments_at(first + 2u * at.column);
    var count = 0.0;
    var sum = 0.0;
    var square = 0.0;
    while (at.row < at.rows) {
        let place = first + 2u * (at.row * params.num_groups + at.column);
        let begun = min(at.row * params.moment_rows, params.positions);
        let weight = values * f32(min(params.moment_rows, params.positions - begun));
        let difference = moments_at(place) - shift;
        count += weight;
        sum += weight * difference;
        square += weight * (difference * difference + moments_at(place + 1u));
        at = next(at);
    }
    let apart = sum / max(count, 1.0);
    keep(invocation, Entry(count, shift + apart, square - sum * apart));
}

struct Normal { mean: lane, scale: lane }

/// What `normals` says of the groups of a column's components.
fn normal_of(column: u32, width: u32) -> Normal {
    let groups = min((vec4<u32>(column * LANES) + vec4<u32>(0u, 1u, 2u, 3u)) / width, vec4<u32>(params.set_groups - 1u));
    let a = normals[groups.x];
    let b = normals[groups.y];
    let c = normals[groups.z];
    let d = normals[groups.w];
    return Normal(lane_of(vec4<f32>(a.x, b.x, c.x, d.x)), lane_of(vec4<f32>(a.y, b.y, c.y, d.y)));
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let sets = params.num_groups / params.set_groups;
    // Workgroups past the last (the grid is folded) do its work again: the same values.
    let block = min(linear_group(group, groups), params.batch * params.parts * sets - 1u);
    let first_group = block % sets * params.set_groups;
    let part = block / sets % params.parts;
    let n = block / (sets * params.parts);
    let width = params.channels * LANES / params.num_groups;
    let columns = width * params.set_groups / LANES;
    let first_channel = first_group * width / LANES;
    let first_row = min(part * params.part_rows, params.positions - 1u);
    let rows = min(params.part_rows, params.positions - first_row);
    let start = vec2<u32>(n * params.positions + first_row, first_channel);

    // Entries side by side, and those of a group among them.
    var across = min(columns, SIZE) * LANES;
    let held = select(ENTRIES, SIZE, HAS_MOMENTS);
    if (HAS_MOMENTS) {
        across = params.set_groups;
        recall(2u * (n * params.moment_parts * params.num_groups + first_group), invocation);
    } else {
        measure(start, rows, columns, invocation);
    }
    workgroupBarrier();
    for (var entry = invocation; entry < across; entry += SIZE) {
        keep(entry, joined(entry, across, held / across));
    }
    workgroupBarrier();
    if (invocation < params.set_groups) {
        let own = across / params.set_groups;
        let all = joined(invocation * own, 1u, own);
        var moments_of = vec2<f32>(all.mean, all.squares / all.count);
        let place = 2u * (n * params.num_groups + first_group + invocation);
        if (HAS_GIVEN) {
            let other = vec2<f32>(given_at(place), given_at(place + 1u));
            moments_of = select(moments_of, other, other.y >= 0.0);
        }
        if (RESULT == MOMENTS) {
            let of_part = 2u * ((n * params.parts + part) * params.num_groups + first_group + invocation);
            y_put4(of_part, vec4<f32>(moments_of, 0.0, 0.0), 2u);
        }
        normals[invocation] = vec2<f32>(moments_of.x, inverseSqrt(moments_of.y + params.eps));
    }
    if (RESULT == MOMENTS) { return; }
    workgroupBarrier();

    if (RESULT == COEFFICIENTS) {
        for (var column = invocation; column < columns; column += SIZE) {
            let channel = first_channel + column;
            let normal = normal_of(column, width);
            let factor = normal.scale * weight_at(channel);
            let place = (n * 2u * params.channels + channel) * LANES;
            y_put4(place, four_of(factor), LANES);
            y_put4(place + params.channels * LANES, four_of(bias_at(channel) - normal.mean * factor), LANES);
        }
        return;
    }
    var at = walk(rows, columns, invocation);
    var normal = normal_of(at.column, width);
    var factor = normal.scale * weight_at(first_channel + at.column);
    var added = bias_at(first_channel + at.column);
    while (at.row < rows) {
        let value = (source_at(start.x + at.row, first_channel + at.column) - normal.mean) * factor + added;
        let place = (start.x + at.row) * params.channels + first_channel + at.column;
        y_put4(place * LANES, activated(ACTIVATION, four_of(value)), LANES);
        at = next(at);
        if (WIDE) { // another column, of the same group
            factor = normal.scale * weight_at(first_channel + at.column);
            added = bias_at(first_channel + at.column);
        }
    }
}
