//! Counts NaN and infinities.

use crate::tensor::{Array, Caps, Checked, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// Any shape → `[1]` u32: how many elements are NaN or infinite, by their bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountNonfinite;

impl Op for CountNonfinite {
    fn name(&self) -> &'static str {
        "count_nonfinite"
    }

    fn shape(&self, _inputs: &[Shape]) -> Checked<Shape> {
        Ok(Shape::from([1]))
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        DType::U32
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let dispatch = Dispatch::new("count_nonfinite", Lanes::One)
            .read("x", Operand::Input(0), x.dtype, Lanes::One)
            .write("y", io.output, Lanes::One)
            .param("count", x.shape.len());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let count = inputs[0].data().iter().filter(|x| !x.is_finite()).count();
        Array::new([1], vec![count as f32])
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

impl<'g> Tensor<'g> {
    /// Any shape → `[1]` u32: how many elements are NaN or infinite.
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
        for length in [1, 63, 64, 65, 1009] {
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
