//! Floats of eight bits, as quantised checkpoints store them.
//!
//! Micikevicius et al. 2022 (arXiv 2209.05433), table 1; PyTorch's `float8_e4m3fn` and `float8_e5m2`.

/// Four bits of exponent, three of mantissa: up to 448, no infinity, one NaN of either sign.
pub(crate) fn from_e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let magnitude = match exponent {
        15 if byte & 7 == 7 => f32::NAN,
        0 => mantissa * 2f32.powi(-9),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    magnitude.copysign(if byte < 128 { 1.0 } else { -1.0 })
}

/// Five bits of exponent, two of mantissa: the upper half of an f16.
pub(crate) fn from_e5m2(byte: u8) -> f32 {
    half::f16::from_bits(u16::from(byte) << 8).to_f32()
}

/// The byte whose value under `decode` is nearest, the even one of two; the greatest there is for
/// what lies beyond.
pub(crate) fn nearest(value: f32, decode: fn(u8) -> f32) -> u8 {
    let sign = if value.is_sign_negative() { 128 } else { 0 };
    let magnitudes = (0..128u8).filter(|&byte| decode(byte).is_finite());
    let distance = |byte: u8| (decode(byte) - value.abs()).abs();
    let nearer = |a: &u8, b: &u8| {
        let by_distance = distance(*a).total_cmp(&distance(*b));
        by_distance.then((a % 2).cmp(&(b % 2)))
    };
    magnitudes.min_by(nearer).unwrap_or_default() | sign
}

#[cfg(test)]
mod tests {
    use super::*;

    type Decode = fn(u8) -> f32;

    /// The 256 values of a type as PyTorch decodes them; `None` for those that are not finite.
    fn recorded(name: &str) -> Vec<Option<f32>> {
        let recorded = include_str!("../../tests/golden/data/float8.json");
        let recorded: serde_json::Value = serde_json::from_str(recorded).unwrap();
        serde_json::from_value(recorded[name].clone()).unwrap()
    }

    #[test]
    fn every_byte_decodes_as_in_pytorch() {
        for (name, decode) in [("e4m3fn", from_e4m3 as Decode), ("e5m2", from_e5m2)] {
            let recorded = recorded(name);
            assert_eq!(recorded.len(), 256);
            for (byte, recorded) in (0..=255).zip(recorded) {
                let found = decode(byte);
                match recorded {
                    Some(value) => assert_eq!(found.to_bits(), value.to_bits(), "{name} {byte}"),
                    None => assert!(!found.is_finite(), "{name} {byte} is {found}"),
                }
            }
        }
        assert!(from_e4m3(0x7f).is_nan() && from_e4m3(0xff).is_nan());
        assert!(from_e5m2(0x7d).is_nan() && from_e5m2(0xff).is_nan());
        assert_eq!(
            (from_e5m2(0x7c), from_e5m2(0xfc)),
            (f32::INFINITY, f32::NEG_INFINITY)
        );
    }

    #[test]
    fn a_value_that_a_byte_stands_for_encodes_as_that_byte() {
        for decode in [from_e4m3, from_e5m2] {
            for byte in (0..=255).filter(|&byte| decode(byte).is_finite()) {
                assert_eq!(nearest(decode(byte), decode), byte);
            }
        }
        // Halfway between 1 and 1.125: to the even mantissa.
        assert_eq!(from_e4m3(nearest(1.0625, from_e4m3)), 1.0);
        assert_eq!(from_e4m3(nearest(1e9, from_e4m3)), 448.0);
    }
}
