//! SiLU, GELU and the "quick" GELU, element by element.

use super::{arithmetic::narrow, elementwise};
use crate::tensor::{
    Array, Caps, Checked, Const, Dispatch, Io, Lanes, Op, Operand, Rows, Shape, Tensor,
};

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// x · σ(x), also called swish. Hendrycks & Gimpel 2016 (arXiv 1606.08415).
    Silu,
    /// x · Φ(x) with the exact error function. Hendrycks & Gimpel 2016 (arXiv 1606.08415).
    Gelu,
    /// x · σ(1.702 x), CLIP's approximation of GELU.
    QuickGelu,
}

impl Activation {
    /// The number that `common/activations.wgsl` knows a function by; the identity if it is none.
    pub(super) fn code(function: Option<Self>) -> u32 {
        match function {
            None => 0,
            Some(Self::Silu) => 1,
            Some(Self::Gelu) => 2,
            Some(Self::QuickGelu) => 3,
        }
    }
}

/// Φ(x)·x in double precision, from the Maclaurin series of erf.
pub(super) fn gelu(x: f32) -> f32 {
    let x = f64::from(x);
    narrow(0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)))
}

/// The error function: its Maclaurin series, which has 1e-9 of rounding left at |x| = 4.
fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum(); // 1 − erf(4) = 1.5e-8
    }
    let mut power = x; // (−1)ⁿ x²ⁿ⁺¹ / n!
    let mut sum = x;
    for n in 1..100 {
        power *= -x * x / f64::from(n);
        sum += power / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

impl Op for Activation {
    fn name(&self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::QuickGelu => "quick_gelu",
        }
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        Ok(inputs[0])
    }

    fn rows(&self) -> Rows {
        Rows::Leading
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let lanes = Lanes::dividing(&[x.shape.len()]);
        let dispatch = elementwise("activation", lanes, x.shape.len())
            .read("x", Operand::Input(0), x.dtype, lanes)
            .write("y", io.output, lanes)
            .constant("ACTIVATION", Const::U32(Self::code(Some(*self))));
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        inputs[0].map(|x| match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Gelu => gelu(x),
            Self::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        })
    }
}

impl<'g> Tensor<'g> {
    /// x · σ(x), element by element.
    pub(crate) fn silu(self) -> Tensor<'g> {
        self.apply(Activation::Silu, &[])
    }

    /// x · Φ(x) with the exact error function, element by element.
    pub(crate) fn gelu(self) -> Tensor<'g> {
        self.apply(Activation::Gelu, &[])
    }

    /// x · σ(1.702 x), element by element.
    pub(crate) fn quick_gelu(self) -> Tensor<'g> {
        self.apply(Activation::QuickGelu, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    op_test!(silu: [Activation::Silu], [[1], [3, 77], [2, 64, 32], [4_194_371]], f32 = 1e-6, f16 = 1e-3);
    op_test!(gelu: [Activation::Gelu], [[1], [3, 77], [2, 64, 32]], f32 = 1e-6, f16 = 1e-3);
    op_test!(quick_gelu: [Activation::QuickGelu], [[1], [3, 77], [2, 64, 32]], f32 = 1e-6, f16 = 1e-3);

    #[test]
    fn gelu_matches_tabulated_values() {
        // Φ(1) = 0.841344746, Φ(−2) = 0.022750132 (Abramowitz & Stegun, table 26.1).
        assert!((gelu(1.0) - 0.841_344_7).abs() < 1e-6);
        assert!((gelu(-2.0) + 0.045_500_26).abs() < 1e-6);
        assert_eq!(gelu(10.0), 10.0);
    }
}
