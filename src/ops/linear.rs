//! A linear layer: rows times the transpose of a weight, plus a bias.

use super::{
    arithmetic::dot,
    epilogue::Epilogue,
    load::Load,
    select::{Product, fits_halves},
};
use crate::tensor::{
    Array, Caps, Checked, DType, Dispatch, Io, Op, Operand, Param, Rows, Shape, Tensor,
};
use rayon::prelude::*;

/// x `[.., K]`, weight `[N, K]`, bias `[N]` if any → `[.., N]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    /// What the weight is multiplied by, as some quantised checkpoints have it.
    pub(crate) weight_scale: f32,
    /// What its rows are made of.
    pub(crate) load: Load,
    /// What follows in the same kernel.
    pub(crate) epilogue: Epilogue,
}

impl Linear {
    /// The weight as it is stored.
    pub(crate) const PLAIN: Self = Self {
        weight_scale: 1.0,
        load: Load::PLAIN,
        epilogue: Epilogue::NONE,
    };
}

impl Op for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (x, weight) = (self.load.rows(inputs)?, inputs[1]);
        if weight.rank() != 2 || x.last() != weight.dim(1) {
            return Err(format!("x {x} does not fit weight {weight}"));
        }
        let (inputs, ..) = self.load.split(inputs);
        self.epilogue.check(inputs, x.with_last(weight.dim(0)))
    }

    fn dtype(&self, inputs: &[DType]) -> DType {
        self.epilogue.dtype.unwrap_or(inputs[0])
    }

    fn rows(&self) -> Rows {
        Rows::Leading
    }

    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch> {
        vec![self.epilogue.lower(self.product(io, caps), io, self.load)]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (x, weight) = (self.load.reference(inputs), inputs[1]);
        let (inputs, ..) = self.load.split(inputs);
        let (columns, depth) = (weight.shape().dim(0), weight.shape().dim(1));
        let mut y = Array::zeros(x.shape().with_last(columns));
        let rows = y
            .data_mut()
            .par_chunks_exact_mut(columns)
            .zip(x.data().par_chunks_exact(depth));
        rows.for_each(|(y, x)| {
            for (column, y) in y.iter_mut().enumerate() {
                let weights = &weight.data()[column * depth..][..depth];
                *y = dot(x, weights) * self.weight_scale;
            }
        });
        self.epilogue.reference(y, inputs)
    }

    fn flops(&self, io: &Io) -> u64 {
        let product = 2 * (io.inputs[0].shape.rows() * io.inputs[1].shape.len()) as u64;
        product + self.epilogue.flops(io)
    }
}

impl Linear {
    /// The dispatch of x times the transpose of a weight, without what its epilogue adds.
    pub(super) fn product(&self, io: &Io, caps: &Caps) -> Dispatch {
        let (x, weight) = (io.inputs[0], io.inputs[1]);
        let lanes = self.load.lanes(io);
        let tiling = Product {
            operation: "linear",
            rows: x.shape.rows(),
            columns: weight.shape.dim(0),
            depth: weight.shape.dim(1),
            halves: fits_halves(x.dtype, weight.dtype),
        }
        .tiling(caps);
        tiling
            .dispatch(lanes)
            .read("x", Operand::Input(0), x.dtype, lanes)
            .read("weight", Operand::Input(1), weight.dtype, lanes)
            .param("column_tiles", tiling.column_tiles())
            .param_f32("weight_scale", self.weight_scale)
    }
}

impl<'g> Tensor<'g> {
    /// x `[.., K]`, weight `[N, K]`, bias `[N]` → `[.., N]`.
    pub(crate) fn linear(self, op: Linear, weight: &Param, bias: Option<&Param>) -> Tensor<'g> {
        let recorder = self.recorder();
        let others: Vec<Tensor<'g>> = [Some(weight), bias]
            .into_iter()
            .flatten()
            .map(|p| recorder.param(p))
            .collect();
        self.apply(op, &others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    op_test!(linear: [Linear::PLAIN, Linear { weight_scale: 0.3, ..Linear::PLAIN }], [
        [[1, 1], [1, 1], [1]],
        [[3, 7], [5, 7]],
        [[31, 33], [33, 33], [33]],
        [[2, 77, 48], [96, 48], [96]],
        [[32, 64], [32, 64], [32]],
        [[1009, 2], [1, 2], [1]]
    ], f32 = 2e-5, f16 = 3e-3);
    // 65,536 tiles of rows: beyond the 65,535 workgroups that one axis of a grid allows.
    op_test!(more_groups_than_one_grid_axis_holds: [Linear::PLAIN], [[[2097121, 1], [1, 1]]], f32 = 2e-5, f16 = 3e-3);
}
