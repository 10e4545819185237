//! Mean and variance of each group of channels: what a group norm would take off, told.

use super::arithmetic::narrow;
use crate::tensor::{Array, Caps, Checked, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// x `[N, .., C]` → `[N, G, 2]`: mean and variance of each group over all positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupMoments {
    /// How many groups G the channels make.
    pub(crate) num_groups: usize,
}

impl Op for GroupMoments {
    fn name(&self) -> &'static str {
        "group_moments"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (x, groups) = (inputs[0], self.num_groups);
        if x.rank() >= 2 && x.last().is_multiple_of(groups) {
            Ok(Shape::from([x.dim(0), groups, 2]))
        } else {
            Err(format!("the channels of {x} do not make {groups} groups"))
        }
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        DType::F32
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let dispatch = Dispatch::new("group_moments", Lanes::One)
            .read("x", Operand::Input(0), x.dtype, Lanes::One)
            .write("y", io.output, Lanes::One)
            .param("batch", x.shape.dim(0))
            .param("positions", x.shape.len() / x.shape.dim(0) / x.shape.last())
            .param("channels", x.shape.last())
            .param("num_groups", self.num_groups)
            .groups(x.shape.dim(0) * self.num_groups);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let x = inputs[0];
        let channels = x.shape().last();
        let width = channels / self.num_groups;
        let samples = x.data().chunks_exact(x.shape().len() / x.shape().dim(0));
        let moments = samples.flat_map(|sample| {
            (0..channels).step_by(width).flat_map(move |first| {
                let members = || {
                    let positions = sample.chunks_exact(channels);
                    positions.flat_map(move |position| &position[first..first + width])
                };
                let count = (sample.len() / channels * width) as f64;
                let mean = members().map(|x| f64::from(*x)).sum::<f64>() / count;
                let squares = members().map(|x| (f64::from(*x) - mean).powi(2));
                [narrow(mean), narrow(squares.sum::<f64>() / count)]
            })
        });
        let shape = Shape::from([x.shape().dim(0), self.num_groups, 2]);
        Array::new(shape, moments.collect())
    }

    fn flops(&self, io: &Io) -> u64 {
        4 * io.inputs[0].shape.len() as u64
    }
}

impl<'g> Tensor<'g> {
    /// `[N, .., C]` → mean and variance of each group of channels, `[N, G, 2]`.
    pub(crate) fn group_moments(self, num_groups: usize) -> Tensor<'g> {
        self.apply(GroupMoments { num_groups }, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const FOUR: GroupMoments = GroupMoments { num_groups: 4 };
    const ONE: GroupMoments = GroupMoments { num_groups: 1 };

    op_test!(four_groups: [FOUR], [[1, 2, 4], [2, 9, 13, 8], [2, 3, 5, 20]], f32 = 2e-5, f16 = 2e-5);
    op_test!(one_group: [ONE], [[1, 2, 1], [2, 131, 7]], f32 = 2e-5, f16 = 2e-5);
}
