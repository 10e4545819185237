//! Nothing but multiply-adds: what benches hold other operations against.

use super::elementwise;
use crate::tensor::{Array, Caps, Checked, Dispatch, Io, Lanes, Op, Operand, Shape};

/// Chains of multiply-adds of one element.
const CHAINS: u8 = 12;
/// Multiply-adds of a chain in a round.
const STEPS: usize = 8;

/// In each of 12 chains, so many rounds of eight times `a ← a / 2 + x`; then their sum, which comes
/// near 24·x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FmaPeak {
    /// How often; 192 operations each.
    pub(crate) rounds: usize,
}

impl Op for FmaPeak {
    fn name(&self) -> &'static str {
        "fma_peak"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let dispatch = elementwise("fma_peak", Lanes::One, x.shape.len())
            .read("x", Operand::Input(0), x.dtype, Lanes::One)
            .write("y", io.output, Lanes::One)
            .param("rounds", self.rounds);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        inputs[0].map(|x| {
            let chain = |chain: u8| {
                let first = f32::from(chain) / f32::from(CHAINS);
                (0..STEPS * self.rounds).fold(first, |a, _| a.mul_add(0.5, x))
            };
            (0..CHAINS).map(chain).sum()
        })
    }

    fn flops(&self, io: &Io) -> u64 {
        (io.output.shape.len() * self.rounds * STEPS * usize::from(CHAINS) * 2) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const ONE_ROUND: FmaPeak = FmaPeak { rounds: 1 };
    const ROUNDS: FmaPeak = FmaPeak { rounds: 3 };

    // Sums of 12 values of up to 2 each, rounded in another order.
    op_test!(fma_peak: [ONE_ROUND, ROUNDS], [[1], [3, 77], [2, 64, 32]], f32 = 1e-5, f16 = 2e-3);
}
