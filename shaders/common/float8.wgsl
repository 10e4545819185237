// float8 — floats of eight bits, as quantised checkpoints store them; the lowest bits of a word.
//   Neither writes a subnormal f32 on the way, which devices may flush to zero.
// source: Micikevicius et al. 2022 (arXiv 2209.05433), table 1; reference: src/tensor/float8.rs

/// Four bits of exponent, three of mantissa: no infinity, one NaN of either sign.
fn f8_e4m3(bits: u32) -> f32 {
    let exponent = (bits >> 3u) & 15u;
    let mantissa = bits & 7u;
    let normal = ((exponent + 120u) << 23u) | (mantissa << 20u);
    let small = bitcast<u32>(f32(mantissa) * 0x1p-9f);
    let finite = select(normal, small, exponent == 0u);
    let magnitude = select(finite, 0x7fc00000u, (bits & 0x7fu) == 0x7fu);
    return bitcast<f32>(magnitude | ((bits & 0x80u) << 24u));
}

/// Five bits of exponent, two of mantissa, infinities and NaNs as in f16.
fn f8_e5m2(bits: u32) -> f32 {
    let exponent = (bits >> 2u) & 31u;
    let mantissa = bits & 3u;
    let rebased = select(exponent + 112u, 255u, exponent == 31u);
    let normal = (rebased << 23u) | (mantissa << 21u);
    let small = bitcast<u32>(f32(mantissa) * 0x1p-16f);
    let magnitude = select(normal, small, exponent == 0u);
    return bitcast<f32>(magnitude | ((bits & 0x80u) << 24u));
}

/// Four of them from one word, the lowest first.
fn f8_e4m3_4(word: u32) -> vec4<f32> {
    return vec4<f32>(f8_e4m3(word), f8_e4m3(word >> 8u), f8_e4m3(word >> 16u), f8_e4m3(word >> 24u));
}

/// The same of the other kind.
fn f8_e5m2_4(word: u32) -> vec4<f32> {
    return vec4<f32>(f8_e5m2(word), f8_e5m2(word >> 8u), f8_e5m2(word >> 16u), f8_e5m2(word >> 24u));
}
