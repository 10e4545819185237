//! The update of one row of a sampler's table, with guidance and prediction folded in.

use super::elementwise;
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor,
};

/// The latents that a run carries from row to row, one after another in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateSlot {
    /// The current latent.
    X,
    /// The latent that a row with `save` kept.
    Saved,
    /// The denoised latent of the row before; two older ones follow.
    Denoised,
}

/// How many latents a state holds: x, x_saved and the three denoised latents before the current one.
pub(crate) const STATE_SLOTS: usize = 5;

impl StateSlot {
    /// The slot's elements of a state.
    pub(crate) fn of(self, state: &Array) -> &[f32] {
        let latent = state.shape().len() / state.shape().dim(0);
        &state.data()[self as usize * latent..][..latent]
    }
}

/// The numbers of a row, in the order in which the device gets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowField {
    /// Scales the latent before the network.
    CIn,
    /// D = c_skip · x + c_out · F.
    CSkip,
    /// See `CSkip`.
    COut,
    /// F = F_u + g · (F_c − F_u), where the network ran with two branches.
    Guidance,
    /// Coefficient of the current latent.
    X,
    /// Coefficient of the saved latent.
    Saved,
    /// Coefficient of fresh noise.
    Noise,
    /// 1 if x_saved becomes x as it was before the update, else 0.
    Save,
    /// Coefficients of the denoised latents, newest first; three follow.
    Denoised,
}

impl RowField {
    /// The length of a row.
    pub(crate) const COUNT: usize = 12;

    /// The field's place in a row.
    pub(crate) fn index(self) -> u32 {
        self as u32
    }
}

/// state `[S, N, H, W, C]`, output F `[branches·N, H, W, C]`, noise `[N, H, W, C]`, row `[R]` → state:
/// x' = a·x + a₀·x_saved + Σ bⱼ·Dⱼ + c·noise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SamplerStep;

impl Op for SamplerStep {
    fn name(&self) -> &'static str {
        "sampler_step"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let [state, output, noise, row] = [inputs[0], inputs[1], inputs[2], inputs[3]];
        let latent = state.len() / state.dim(0);
        let branches = output.len() / latent;
        let fits =
            state.dim(0) == STATE_SLOTS && noise.len() == latent && row.dims() == [RowField::COUNT];
        if fits && (1..=2).contains(&branches) && output.len() == branches * latent {
            Ok(state)
        } else {
            Err(format!(
                "state {state}, output {output}, noise {noise} and row {row} do not belong together"
            ))
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let [state, output] = [io.inputs[0], io.inputs[1]];
        let latent = state.shape.len() / STATE_SLOTS;
        let lanes = Lanes::dividing(&[latent]);
        let mut dispatch = elementwise("sampler_step", lanes, latent)
            .read("state", Operand::Input(0), DType::F32, lanes)
            .read("output", Operand::Input(1), output.dtype, lanes)
            .read("noise", Operand::Input(2), DType::F32, lanes)
            .read("row", Operand::Input(3), DType::F32, Lanes::One)
            .write("y", io.output, lanes)
            .constant("GUIDED", Const::Bool(output.shape.len() == 2 * latent));
        let fields = [
            ("ROW_C_SKIP", RowField::CSkip),
            ("ROW_C_OUT", RowField::COut),
            ("ROW_GUIDANCE", RowField::Guidance),
            ("ROW_X", RowField::X),
            ("ROW_SAVED", RowField::Saved),
            ("ROW_NOISE", RowField::Noise),
            ("ROW_SAVE", RowField::Save),
            ("ROW_DENOISED", RowField::Denoised),
        ];
        for (name, field) in fields {
            dispatch = dispatch.constant(name, Const::U32(field.index()));
        }
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let [state, output, noise, row] = [inputs[0], inputs[1], inputs[2], inputs[3]];
        let field = |field: RowField| row.data()[field as usize];
        let latent = noise.data().len();
        let slot = |slot: usize, i: usize| state.data()[slot * latent + i];
        let (saved_slot, history_slot) = (StateSlot::Saved as usize, StateSlot::Denoised as usize);
        let mut next = state.clone();
        for i in 0..latent {
            let (x, saved) = (slot(StateSlot::X as usize, i), slot(saved_slot, i));
            let first = output.data()[i];
            let model = match output.data().get(latent + i) {
                Some(conditional) => first + field(RowField::Guidance) * (conditional - first),
                None => first,
            };
            let denoised = field(RowField::CSkip) * x + field(RowField::COut) * model;
            let history = [
                denoised,
                slot(history_slot, i),
                slot(history_slot + 1, i),
                slot(history_slot + 2, i),
            ];
            let coefficients = &row.data()[RowField::Denoised as usize..];
            let sum: f32 = history.iter().zip(coefficients).map(|(d, b)| b * d).sum();
            let noise = field(RowField::Noise) * noise.data()[i];
            let saved_next = if field(RowField::Save) != 0.0 {
                x
            } else {
                saved
            };
            let updated = field(RowField::X) * x + field(RowField::Saved) * saved + sum + noise;
            for (slot, value) in [updated, saved_next, history[0], history[1], history[2]]
                .into_iter()
                .enumerate()
            {
                next.data_mut()[slot * latent + i] = value;
            }
        }
        next
    }

    fn flops(&self, io: &Io) -> u64 {
        18 * (io.output.shape.len() / STATE_SLOTS) as u64
    }
}

impl<'g> Tensor<'g> {
    /// state → the state after the row: see the module's head.
    pub(crate) fn sampler_step(
        self,
        output: Tensor<'g>,
        noise: Tensor<'g>,
        row: Tensor<'g>,
    ) -> Tensor<'g> {
        self.apply(SamplerStep, &[output, noise, row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, seeded};

    #[test]
    fn any_row_is_executed() {
        let latents = [
            [1, 1, 1, 1],
            [2, 9, 13, 4],
            [1, 5, 7, 3],
            [1, 1, 1, 4_194_371],
        ];
        for (latent, branches) in latents.into_iter().zip([1, 2, 2, 1]) {
            let [n, height, width, channels] = latent;
            for (save, output) in [(0.0, DType::F32), (1.0, DType::F32), (1.0, DType::F16)] {
                let mut row = seeded([RowField::COUNT].into(), 4);
                row.data_mut()[RowField::Save as usize] = save;
                let state = seeded([STATE_SLOTS, n, height, width, channels].into(), 1);
                let model = seeded([branches * n, height, width, channels].into(), 2);
                let noise = seeded(latent.into(), 3);
                let inputs = [
                    (state, DType::F32),
                    (model, output),
                    (noise, DType::F32),
                    (row, DType::F32),
                ];
                check_arrays(&SamplerStep, &inputs, 1e-5);
            }
        }
    }
}
