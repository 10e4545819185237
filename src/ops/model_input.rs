//! The latent as the network wants it: scaled, in its type, and once per guidance branch.

use super::{RowField, elementwise, sampler_step::StateSlot};
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor,
};

/// state `[S, N, H, W, C]`, row `[R]` → `[branches·N, H, W, C]`: c_in · x, repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelInput {
    /// 2 with guidance (unconditional first, then conditional), else 1.
    pub(crate) branches: usize,
    /// The type of the result in memory.
    pub(crate) dtype: DType,
}

impl Op for ModelInput {
    fn name(&self) -> &'static str {
        "model_input"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let state = inputs[0];
        if state.rank() == 5 && inputs[1].dims() == [RowField::COUNT] {
            let [n, height, width, channels] = [1, 2, 3, 4].map(|axis| state.dim(axis));
            Ok(Shape::from([self.branches * n, height, width, channels]))
        } else {
            Err(format!(
                "{state} and {} are not a state and a row",
                inputs[1]
            ))
        }
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        self.dtype
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let latent = io.output.shape.len() / self.branches;
        let lanes = Lanes::dividing(&[latent]);
        let dispatch = elementwise("model_input", lanes, io.output.shape.len())
            .read("state", Operand::Input(0), DType::F32, lanes)
            .read("row", Operand::Input(1), DType::F32, Lanes::One)
            .write("y", io.output, lanes)
            .constant("ROW_C_IN", Const::U32(RowField::CIn.index()))
            .param("latent", latent / lanes.count());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (state, row) = (inputs[0], inputs[1]);
        let c_in = row.data()[RowField::CIn as usize];
        let latent = StateSlot::X.of(state);
        let data = (0..self.branches)
            .flat_map(|_| latent.iter().map(|x| c_in * x))
            .collect();
        let shape = self
            .shape(&[state.shape(), row.shape()])
            .expect("shapes were checked when recording");
        Array::new(shape, data)
    }
}

impl<'g> Tensor<'g> {
    /// state `[S, N, H, W, C]`, row `[R]` → `[branches·N, H, W, C]`: c_in · x, once per branch.
    pub(crate) fn model_input(self, row: Tensor<'g>, branches: usize) -> Tensor<'g> {
        let dtype = self.recorder().compute();
        self.apply(ModelInput { branches, dtype }, &[row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{
        STATE_SLOTS,
        testing::{check_arrays, seeded},
    };

    #[test]
    fn the_latent_is_scaled_once_per_branch() {
        for (branches, dtype, tolerance) in [
            (1, DType::F32, 1e-6),
            (2, DType::F32, 1e-6),
            (2, DType::F16, 1e-3),
        ] {
            for shape in [
                [STATE_SLOTS, 1, 9, 13, 4],
                [STATE_SLOTS, 2, 1, 1, 3],
                [STATE_SLOTS, 1, 1, 1, 4_194_371],
            ] {
                let inputs = [
                    (seeded(shape.into(), 1), DType::F32),
                    (seeded([RowField::COUNT].into(), 2), DType::F32),
                ];
                check_arrays(&ModelInput { branches, dtype }, &inputs, tolerance);
            }
        }
    }
}
