// outer — what tiles of registers are made of: blocks of 4×4 elements, and where they pass through workgroup memory.

/// Column i is a[i] · b: the products of four values with four others.
fn outer(a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(a.x * b, a.y * b, a.z * b, a.w * b);
}

/// Column i is a[i] · m[i].
fn scale_columns(m: mat4x4<f32>, a: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(a.x * m[0], a.y * m[1], a.z * m[2], a.w * m[3]);
}
