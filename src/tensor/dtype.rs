//! Element types of stored and computed tensors.

use std::fmt;

/// The type of a tensor's elements in memory. Arithmetic is always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// Eight bits, four of them exponent: weights alone, never written.
    F8E4m3,
    /// Eight bits, five of them exponent: weights alone, never written.
    F8E5m2,
    /// Unsigned integers: token ids and counts.
    U32,
    /// Bytes, four to a word on the device: RGBA pixels.
    U8,
}

impl DType {
    /// Bytes of one element.
    pub(crate) fn size_bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::U8 | Self::F8E4m3 | Self::F8E5m2 => 1,
        }
    }

    /// The name in safetensors headers and in `inspect`, lower case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F8E4m3 => "f8_e4m3",
            Self::F8E5m2 => "f8_e5m2",
            Self::U32 => "u32",
            Self::U8 => "u8",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
