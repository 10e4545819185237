//! Mean and variance of each group of channels: what a group norm would take off, told.

use super::Concat;
use super::arithmetic::narrow;
use super::group_norm::moments_of;
use super::norm_grid::{NormGrid, NormOperands, Outcome};
use crate::tensor::{Array, Caps, Checked, DType, Dispatch, Io, Op, Shape, Tensor, View};

/// x `[N, .., C]`, or x and a value beside it, → `[N, parts, G, 2]`: mean and variance of each group over each part of the
/// positions, all of which are ⌈positions / parts⌉ long but what is left for the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupMoments {
    /// How many groups G the channels make.
    pub(crate) num_groups: usize,
    /// In how many parts the positions are measured.
    pub(crate) parts: usize,
}

impl GroupMoments {
    /// Measures x and what is beside it, if anything, in as many parts as fill a device.
    pub(crate) fn in_parts(num_groups: usize, x: &[View], caps: &Caps) -> Self {
        let beside = x.get(1).map_or(0, |beside| beside.shape.last());
        let parts = NormGrid::worthwhile_parts(x[0], beside, num_groups, caps);
        Self { num_groups, parts }
    }

    fn whole(inputs: &[Shape]) -> Checked<Shape> {
        match inputs {
            [x, beside] => Concat.shape(&[*x, *beside]),
            _ => Ok(inputs[0]),
        }
    }
}

impl Op for GroupMoments {
    fn name(&self) -> &'static str {
        "group_moments"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (x, groups) = (Self::whole(inputs)?, self.num_groups);
        if x.rank() >= 2 && x.last().is_multiple_of(groups) {
            Ok(Shape::from([x.dim(0), self.parts, groups, 2]))
        } else {
            Err(format!("the channels of {x} do not make {groups} groups"))
        }
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        DType::F32
    }

    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch> {
        let beside = io.inputs.get(1).map_or(0, |beside| beside.shape.last());
        let grid = NormGrid::new(io.inputs[0], beside, self.num_groups, self.parts, caps);
        let operands = NormOperands {
            beside: (beside > 0).then_some(1),
            ..NormOperands::default()
        };
        vec![grid.dispatch(io, operands, Outcome::Moments, 0.0)]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let x = match inputs {
            [x, beside] => Concat.reference(&[x, beside]),
            _ => inputs[0].clone(),
        };
        let channels = x.shape().last();
        let width = channels / self.num_groups;
        let samples = x.data().chunks_exact(x.shape().len() / x.shape().dim(0));
        let part = (x.shape().rows() / x.shape().dim(0)).div_ceil(self.parts) * channels;
        let parts = samples.flat_map(|sample| sample.chunks(part));
        let moments = parts.flat_map(|part| {
            (0..channels).step_by(width).flat_map(move |first| {
                let positions = part.chunks_exact(channels);
                let members = positions.flat_map(move |position| &position[first..first + width]);
                moments_of(members.copied()).map(narrow)
            })
        });
        let shape = Shape::from([x.shape().dim(0), self.parts, self.num_groups, 2]);
        Array::new(shape, moments.collect())
    }

    fn flops(&self, io: &Io) -> u64 {
        let elements = io.inputs.iter().map(|x| x.shape.len() as u64);
        4 * elements.sum::<u64>()
    }
}

impl<'g> Tensor<'g> {
    /// `[N, .., C]` → mean and variance of each group of channels, `[N, 1, G, 2]`.
    pub(crate) fn group_moments(self, num_groups: usize) -> Tensor<'g> {
        let parts = 1;
        self.apply(GroupMoments { num_groups, parts }, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const FOUR: GroupMoments = GroupMoments {
        num_groups: 4,
        parts: 1,
    };
    const ONE: GroupMoments = GroupMoments {
        num_groups: 1,
        parts: 1,
    };

    op_test!(four_groups: [FOUR], [[1, 2, 4], [2, 9, 13, 8], [2, 3, 5, 20]], f32 = 2e-5, f16 = 2e-5);
    op_test!(one_group: [ONE], [[1, 2, 1], [2, 131, 7]], f32 = 2e-5, f16 = 2e-5);

    const PARTS: GroupMoments = GroupMoments {
        num_groups: 4,
        parts: 5,
    };
    op_test!(parts: [PARTS], [[1, 77, 20], [2, 5, 12], [2, 403, 40]], f32 = 2e-5, f16 = 2e-5);
    op_test!(parts_of_two: [PARTS], [[[1, 77, 20], [1, 77, 12]], [[2, 9, 5], [2, 9, 3]]], f32 = 2e-5, f16 = 2e-5);

    /// 40,000 rows, a mean of a thousand deviations, and parts that fill a device.
    #[test]
    fn many_rows_with_a_large_mean_lose_nothing() {
        let x = crate::ops::testing::seeded(Shape::from([1, 40_000, 8]), 1).map(|x| x + 1000.0);
        let view = View {
            shape: x.shape(),
            dtype: DType::F32,
        };
        let op = GroupMoments::in_parts(4, &[view], &Caps::portable());
        assert!(op.parts > 1);
        // Relative to the mean: a variance of 1/3 is within 3e-4 of itself, the values having 6e-5 of rounding.
        crate::ops::testing::check_arrays(&op, &[(x, DType::F32)], 1e-7);
    }
}
