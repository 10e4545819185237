//! Multiplication by a number known when recording, and the change of storage type.

use super::elementwise;
use crate::tensor::{
    Array, Caps, Checked, DType, Dispatch, Io, Lanes, Op, Operand, Rows, Shape, Tensor,
};

/// y = factor · x, stored as `dtype`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// The factor.
    pub(crate) factor: f32,
    /// The type of the result in memory; the input's where there is none.
    pub(crate) dtype: Option<DType>,
}

impl Op for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        Ok(inputs[0])
    }

    fn dtype(&self, inputs: &[DType]) -> DType {
        self.dtype.unwrap_or(inputs[0])
    }

    fn rows(&self) -> Rows {
        Rows::Leading
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let lanes = Lanes::dividing(&[x.shape.len()]);
        let dispatch = elementwise("scale", lanes, x.shape.len())
            .read("x", Operand::Input(0), x.dtype, lanes)
            .write("y", io.output, lanes)
            .param_f32("factor", self.factor);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        inputs[0].map(|x| self.factor * x)
    }
}

impl<'g> Tensor<'g> {
    /// factor · x.
    pub(crate) fn scale(self, factor: f32) -> Tensor<'g> {
        self.apply(
            Scale {
                factor,
                dtype: None,
            },
            &[],
        )
    }

    /// The same value stored as `dtype`; itself where that is its type already.
    pub(crate) fn to(self, dtype: DType) -> Tensor<'g> {
        if self.dtype() == dtype {
            return self;
        }
        let cast = Scale {
            factor: 1.0,
            dtype: Some(dtype),
        };
        self.apply(cast, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const HALF: Scale = Scale {
        factor: 0.5,
        dtype: None,
    };
    const WIDEN: Scale = Scale {
        factor: 1.0,
        dtype: Some(DType::F32),
    };

    #[test]
    fn values_are_narrowed_to_f16() {
        let narrow = Scale {
            factor: 1.0,
            dtype: Some(DType::F16),
        };
        for length in [1, 77, 64] {
            let x = crate::ops::testing::seeded(Shape::from([length]), 1);
            crate::ops::testing::check_arrays(&narrow, &[(x, DType::F32)], 1e-3);
        }
    }

    op_test!(scale: [HALF, WIDEN], [[1], [3, 77], [2, 64, 32], [4194371]], f32 = 1e-6, f16 = 1e-3);
}
