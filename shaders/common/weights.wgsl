// weights — what a matrix product multiplies by: one weight, or WEIGHTS of the same shape, one after the other.
// weight_1, weight_2  like weight  optional

/// Which of the weights this workgroup multiplies by.
var<private> which: u32;

/// The place of a workgroup among those of its weight: all of the first come first.
fn place_of(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    let place = params.first_group + linear_group(group, groups);
    if (WEIGHTS == 1u) { return place; }
    which = place / params.weight_groups;
    return place % params.weight_groups;
}

/// A lane of this workgroup's weight.
fn own_weight_at(i: u32) -> lane {
    if (HAS_WEIGHT_1 && which == 1u) { return weight_1_at(i); }
    if (HAS_WEIGHT_2 && which == 2u) { return weight_2_at(i); }
    return weight_at(i);
}

/// Up to four elements of it.
fn own_weight_at4(i: u32, count: u32) -> vec4<f32> {
    if (HAS_WEIGHT_1 && which == 1u) { return weight_1_at4(i, count); }
    if (HAS_WEIGHT_2 && which == 2u) { return weight_2_at4(i, count); }
    return weight_at4(i, count);
}

/// The row of the weight that makes a column of the product. With GATED, the first two of four neighbouring columns
/// are values and the others their gates, which the weight has in two halves.
fn weight_row(column: u32) -> u32 {
    if (!GATED) { return column; }
    return column / 4u * 2u + column % 2u + select(0u, params.columns / 2u, column % 4u >= 2u);
}

/// Those of four columns.
fn weight_rows(columns: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(weight_row(columns.x), weight_row(columns.y), weight_row(columns.z), weight_row(columns.w));
}
