//! Three linear layers of the same input in one kernel.

use super::epilogue::{Epilogue, Operands};
use super::linear::Linear;
use super::load::Load;
use crate::tensor::{Array, Caps, Checked, Dispatch, Io, Op, Shape, View};

/// How many layers there are: an attention's queries, keys and values.
const PARTS: usize = 3;

/// x `[.., K]`, three weights `[O, K]`, three biases `[O]` if any → `[3, .., O]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JoinedLinear {
    /// What the weights are multiplied by.
    pub(crate) weight_scale: f32,
}

impl JoinedLinear {
    /// The inputs of one of the layers.
    fn part<T: Copy>(inputs: &[T], part: usize) -> Vec<T> {
        let bias = inputs.get(1 + PARTS + part);
        [Some(&inputs[0]), Some(&inputs[1 + part]), bias]
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    fn layer(&self) -> Linear {
        Linear {
            weight_scale: self.weight_scale,
            ..Linear::PLAIN
        }
    }
}

impl Op for JoinedLinear {
    fn name(&self) -> &'static str {
        "joined_linear"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        if ![1 + PARTS, 1 + 2 * PARTS].contains(&inputs.len()) {
            return Err(format!("{} inputs", inputs.len()));
        }
        let part = |part| self.layer().shape(&Self::part(inputs, part));
        let [q, k, v] = [part(0)?, part(1)?, part(2)?];
        if q != k || k != v {
            return Err(format!("{q}, {k} and {v} are not of one shape"));
        }
        let dims: Vec<usize> = [PARTS].iter().chain(q.dims()).copied().collect();
        Ok(Shape::new(&dims))
    }

    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch> {
        let product = self.layer().product(io, caps);
        let bias = |part: usize| (io.inputs.len() > 1 + PARTS).then_some(1 + PARTS + part);
        let operands = Operands {
            weights: [Some(2), Some(3)],
            biases: [bias(0), bias(1), bias(2)],
            ..Operands::default()
        };
        let bound = Epilogue::NONE.bind(product, io, operands);
        let first = Io {
            inputs: io.inputs[..1].to_vec(),
            output: io.output,
        };
        vec![Load::PLAIN.lower(bound, &first)]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let parts = [0, 1, 2].map(|part| self.layer().reference(&Self::part(inputs, part)));
        let dims: Vec<usize> = [PARTS]
            .iter()
            .chain(parts[0].shape().dims())
            .copied()
            .collect();
        let data = parts.iter().flat_map(Array::data).copied().collect();
        Array::new(Shape::new(&dims), data)
    }

    fn flops(&self, io: &Io) -> u64 {
        let part = |part| {
            let inputs: Vec<View> = Self::part(&io.inputs, part);
            self.layer().flops(&Io {
                inputs,
                output: io.output,
            })
        };
        (0..PARTS).map(part).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const JOINED: JoinedLinear = JoinedLinear { weight_scale: 1.0 };

    op_test!(joined: [JOINED], [
        [[2, 19, 12], [40, 12], [40, 12], [40, 12]],
        [[2, 19, 12], [40, 12], [40, 12], [40, 12], [40], [40], [40]],
        [[37, 7], [5, 7], [5, 7], [5, 7], [5], [5], [5]]
    ], f32 = 2e-5, f16 = 3e-3);
    // 65,538 groups: one more than the folded grid holds without idle ones at its end.
    op_test!(with_idle_groups: [JOINED], [[[349_529, 2], [1, 2], [1, 2], [1, 2]]], f32 = 2e-5, f16 = 3e-3);
}
