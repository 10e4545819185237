//! Attention without parameters: features that gate themselves.

use super::elementwise;
use crate::tensor::{Array, Caps, Checked, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// h and x of one shape → `(h + x) · (σ(h) − 1/2)`. Wan et al. 2023 (arXiv 2311.12770), eqs. 5 and 6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelfGate;

impl Op for SelfGate {
    fn name(&self) -> &'static str {
        "self_gate"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (h, x) = (inputs[0], inputs[1]);
        if h == x {
            Ok(h)
        } else {
            Err(format!("{h} and {x} are not of one shape"))
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let (h, x) = (io.inputs[0], io.inputs[1]);
        let lanes = Lanes::dividing(&[h.shape.len()]);
        let dispatch = elementwise("self_gate", lanes, h.shape.len())
            .read("h", Operand::Input(0), h.dtype, lanes)
            .read("x", Operand::Input(1), x.dtype, lanes)
            .write("y", io.output, lanes);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (h, x) = (inputs[0], inputs[1]);
        let pairs = h.data().iter().zip(x.data());
        let gated = pairs.map(|(h, x)| (h + x) * (1.0 / (1.0 + (-h).exp()) - 0.5));
        Array::new(h.shape(), gated.collect())
    }
}

impl<'g> Tensor<'g> {
    /// `(h + x) · (σ(h) − 1/2)`, h being this tensor.
    pub(crate) fn self_gate(self, x: Tensor<'g>) -> Tensor<'g> {
        self.apply(SelfGate, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    op_test!(self_gate: [SelfGate], [[[1], [1]], [[3, 77], [3, 77]], [[2, 64, 32], [2, 64, 32]]], f32 = 2e-6, f16 = 2e-3);
}
