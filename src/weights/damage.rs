//! NaN and infinities among the weights, as a merge or a training that went wrong leaves them.

use super::{ModelFiles, Weights};
use crate::error::Result;
use crate::tensor::DType;
use rayon::prelude::*;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Bytes that are looked through at once, a whole number of elements of every type.
const BLOCK_BYTES: usize = 1 << 18;

/// A tensor of which some elements are NaN or infinite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DamagedTensor {
    /// The name under the one naming, part first, such as `unet.conv_in.weight`.
    pub name: String,
    /// The file that holds it.
    pub file: PathBuf,
    /// How many of its elements are NaN or infinite.
    pub damaged_count: usize,
    /// How many elements it has.
    pub element_count: usize,
}

impl fmt::Display for DamagedTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, damaged, all) = (
            self.name.escape_debug(),
            self.damaged_count,
            self.element_count,
        );
        write!(f, "{name} ({damaged} of {all} elements)")
    }
}

impl ModelFiles {
    /// Reads all known weights, and tells the tensors that hold NaN or infinity, in the files' order.
    ///
    /// # Errors
    /// As [`crate::Summary::open`]; [`crate::Error::BadFile`] if a file changes meanwhile.
    pub fn damaged_tensors(&self) -> Result<Vec<DamagedTensor>> {
        Weights::open(self.clone())?.damaged_tensors(|_| true)
    }
}

impl Weights {
    /// Reads those weights whose names are wanted, and tells the tensors that hold NaN or infinity.
    ///
    /// # Errors
    /// [`crate::Error::BadFile`] if a file changed meanwhile.
    pub(crate) fn damaged_tensors(
        &self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<DamagedTensor>> {
        let wanted = self
            .inner
            .tensors
            .iter()
            .filter(|(name, _)| is_wanted(name));
        let mut wanted: Vec<_> = wanted.collect();
        wanted.sort_by_key(|(_, stored)| (stored.source, stored.range.start));
        let mut damaged = Vec::new();
        for (name, stored) in wanted {
            let Some(dtype) = stored.dtype.dtype() else {
                continue;
            };
            let damaged_count = count_nonfinite(self.checked_bytes(name)?, dtype);
            self.drop_behind(name);
            if damaged_count > 0 {
                damaged.push(DamagedTensor {
                    name: name.to_string(),
                    file: self.inner.sources[stored.source].path().to_owned(),
                    damaged_count,
                    element_count: stored.shape.len(),
                });
            }
        }
        Ok(damaged)
    }
}

/// How many elements are NaN or infinite: those whose exponent is all ones, or of `f8_e4m3`, which
/// has no infinity, the exponent and the mantissa.
fn count_nonfinite(bytes: &[u8], dtype: DType) -> usize {
    let blocks = bytes.par_chunks(BLOCK_BYTES);
    let count: fn(&[u8]) -> usize = match dtype {
        DType::F32 => |block| {
            count_words(block, |word| {
                u32::from_le_bytes(word) & 0x7f80_0000 == 0x7f80_0000
            })
        },
        DType::F16 => {
            |block| count_words(block, |word| u16::from_le_bytes(word) & 0x7c00 == 0x7c00)
        }
        DType::Bf16 => {
            |block| count_words(block, |word| u16::from_le_bytes(word) & 0x7f80 == 0x7f80)
        }
        DType::F8E4m3 => |block| count_words(block, |[byte]| byte & 0x7f == 0x7f),
        DType::F8E5m2 => |block| count_words(block, |[byte]| byte & 0x7c == 0x7c),
        DType::U32 | DType::U8 => |_| 0,
    };
    blocks.map(count).sum()
}

fn count_words<const BYTES: usize>(block: &[u8], is_nonfinite: fn([u8; BYTES]) -> bool) -> usize {
    let (words, _) = block.as_chunks::<BYTES>();
    words.iter().filter(|word| is_nonfinite(**word)).count()
}

#[cfg(test)]
#[path = "damage_tests.rs"]
mod tests;
