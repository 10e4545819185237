//! Counts NaN and infinities.

use crate::tensor::{Array, Caps, Checked, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// Workgroups, each of which counts its share.
const GROUPS: usize = 64;
/// Invocations of each.
const INVOCATIONS: usize = 64;

/// Any shape → `[64]` u32: how many elements are NaN or infinite, by their bits, share by share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountNonfinite;

impl Op for CountNonfinite {
    fn name(&self) -> &'static str {
        "count_nonfinite"
    }

    fn shape(&self, _inputs: &[Shape]) -> Checked<Shape> {
        Ok(Shape::from([GROUPS]))
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        DType::U32
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let dispatch = Dispatch::new("count_nonfinite", Lanes::One)
            .read("x", Operand::Input(0), x.dtype, Lanes::One)
            .write("y", io.output, Lanes::One)
            .param("count", x.shape.len())
            .groups(GROUPS);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let mut counts = Array::zeros([GROUPS]);
        for (i, x) in inputs[0].data().iter().enumerate() {
            if !x.is_finite() {
                counts.data_mut()[i / INVOCATIONS % GROUPS] += 1.0;
            }
        }
        counts
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[0].shape.len() as u64
    }
}

impl<'g> Tensor<'g> {
    /// Any shape → `[64]` u32: how many elements are NaN or infinite, in shares.
    pub(crate) fn count_nonfinite(self) -> Tensor<'g> {
        self.apply(CountNonfinite, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, seeded};

    #[test]
    fn nan_and_infinity_are_counted() {
        for length in [1, 63, 64, 65, 1009, 10_007] {
            let mut x = seeded([length].into(), 7);
            check_arrays(&CountNonfinite, &[(x.clone(), DType::F32)], 0.0);
            x.data_mut()[length - 1] = f32::NAN;
            x.data_mut()[0] = f32::NEG_INFINITY;
            x.data_mut()[length / 2] = f32::INFINITY;
            for dtype in [DType::F32, DType::F16] {
                check_arrays(&CountNonfinite, &[(x.clone(), dtype)], 0.0);
            }
        }
    }
}
