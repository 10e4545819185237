//! What is known of a picture, put back after a step.

use super::elementwise;
use super::sampler_step::{RowField, STATE_SLOTS};
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor,
};

/// state `[S, N, H, W, C]`, known and noise `[N, H, W, C]`, mask `[N, H, W, 1]`, row `[R]` → state:
/// its latent is the known one, noised, where the mask is below the row's threshold. With a mask of 0
/// and 1 it is what diffusers' inpainting pipeline does with networks of four channels; between them,
/// differential diffusion (Levin & Fried 2023, arXiv 2306.00950).
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepKnown;

impl Op for KeepKnown {
    fn name(&self) -> &'static str {
        "keep_known"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let [state, known, noise, mask, row] = [0, 1, 2, 3, 4].map(|i| inputs[i]);
        let latent = state.len() / STATE_SLOTS;
        let fits = state.dim(0) == STATE_SLOTS
            && [known.len(), noise.len(), mask.len() * state.last()] == [latent; 3]
            && row.dims() == [RowField::COUNT];
        if fits {
            Ok(state)
        } else {
            Err(format!(
                "state {state}, known {known}, noise {noise}, mask {mask} and row {row} do not \
                 belong together"
            ))
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let state = io.inputs[0].shape;
        let channels = state.last();
        let lanes = Lanes::dividing(&[channels]);
        let dispatch = elementwise("keep_known", lanes, state.len())
            .read("state", Operand::Input(0), DType::F32, lanes)
            .read("known", Operand::Input(1), DType::F32, lanes)
            .read("noise", Operand::Input(2), DType::F32, lanes)
            .read("mask", Operand::Input(3), DType::F32, Lanes::One)
            .read("row", Operand::Input(4), DType::F32, Lanes::One)
            .write("y", io.output, lanes)
            .constant("ROW_KNOWN", Const::U32(RowField::Known.index()))
            .param("latent", state.len() / STATE_SLOTS / lanes.count())
            .param("channels", channels / lanes.count());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let [state, known, noise, mask, row] = [0, 1, 2, 3, 4].map(|i| inputs[i]);
        let channels = state.shape().last();
        let known_at = RowField::Known as usize;
        let [signal, level, threshold] = [0, 1, 2].map(|i| row.data()[known_at + i]);
        let mut next = state.clone();
        for (i, value) in next.data_mut()[..known.data().len()].iter_mut().enumerate() {
            if mask.data()[i / channels] < threshold {
                *value = signal * known.data()[i] + level * noise.data()[i];
            }
        }
        next
    }

    fn flops(&self, io: &Io) -> u64 {
        3 * (io.output.shape.len() / STATE_SLOTS) as u64
    }
}

impl<'g> Tensor<'g> {
    /// state → the state with the known latent where the mask has it: see [`KeepKnown`].
    pub(crate) fn keep_known(
        self,
        known: Tensor<'g>,
        noise: Tensor<'g>,
        mask: Tensor<'g>,
        row: Tensor<'g>,
    ) -> Tensor<'g> {
        self.apply(KeepKnown, &[known, noise, mask, row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, seeded};

    #[test]
    fn what_is_known_is_put_back_where_the_mask_is_low() {
        for latent in [[1, 1, 1, 1], [2, 9, 13, 4], [1, 5, 7, 3]] {
            let [n, height, width, channels] = latent;
            for threshold in [0.0, 0.1, 2.0] {
                let mut row = seeded([RowField::COUNT].into(), 5);
                row.data_mut()[RowField::Known as usize + 2] = threshold;
                let inputs = [
                    seeded([STATE_SLOTS, n, height, width, channels].into(), 1),
                    seeded(latent.into(), 2),
                    seeded(latent.into(), 3),
                    seeded([n, height, width, 1].into(), 4),
                    row,
                ];
                check_arrays(&KeepKnown, &inputs.map(|array| (array, DType::F32)), 1e-6);
            }
        }
    }
}
