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
    /// The saved latent.
    Saved,
    /// The history's entry of the row before; two older ones follow.
    Past,
}

/// How many latents a state holds: x, x_saved and the three entries of the history before this row's.
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
    /// H_0 = entry_x · x + entry_denoised · D.
    EntryX,
    /// See `EntryX`.
    EntryDenoised,
    /// 1 if H_0 goes into the history, else 0.
    Remembered,
    /// The next latent: coefficients of x, x_saved, noise, H_0, H_1, H_2 and H_3.
    Next,
    /// The next saved latent, likewise.
    Kept = 13,
    /// F = F_0 + Σ w_b · (F_b − F_0): the weights of the second branch and of those after it.
    Guidance = 20,
    /// How much of the conditional prediction's spread is restored after guidance.
    Rescale = 28,
    /// What becomes of a known latent: its factor, that of its noise, and the value of the mask below
    /// which it is put back.
    Known = 29,
    /// Where the row's own values stand in what holds those of several rows: counted from 0.
    Place = 32,
    /// The share of a picture's values that are at most what its threshold is, and the most that the
    /// threshold may be.
    Threshold = 33,
    /// See `Threshold`.
    ThresholdMax,
}

/// The most branches that a row can weigh: an unconditional one and eight others.
pub(crate) const MAX_BRANCHES: usize = 9;

const _: () = assert!(RowField::Guidance as usize + MAX_BRANCHES - 1 == RowField::Rescale as usize);

impl RowField {
    /// The length of a row.
    pub(crate) const COUNT: usize = Self::ThresholdMax as usize + 1;

    /// The field's place in a row.
    pub(crate) fn index(self) -> u32 {
        self as u32
    }
}

/// state `[S, N, H, W, C]`, output F `[branches·N, H, W, C]`, noise `[N, H, W, C]`, row `[R]` → state:
/// x' and x_saved' are combinations of x, x_saved, noise and the history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SamplerStep;

/// What the branches of an output F `[branches·N, H, W, C]` of so many `latent` values each say together of
/// value `i`: `F_0 + Σ w_b·(F_b − F_0)`, weighed as a row `[R]` has it.
pub(super) fn guided(output: &Array, row: &Array, latent: usize, i: usize) -> f32 {
    let first = output.data()[i];
    let others = (1..output.data().len() / latent).map(|branch| {
        let weight = row.data()[RowField::Guidance as usize + branch - 1];
        weight * (output.data()[branch * latent + i] - first)
    });
    first + others.sum::<f32>()
}

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
        if fits && (1..=MAX_BRANCHES).contains(&branches) && output.len() == branches * latent {
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
        #[expect(clippy::cast_possible_truncation, reason = "there are few branches")]
        let branches = (output.shape.len() / latent) as u32;
        let mut dispatch = elementwise("sampler_step", lanes, latent)
            .read("state", Operand::Input(0), DType::F32, lanes)
            .read("output", Operand::Input(1), output.dtype, lanes)
            .read("noise", Operand::Input(2), DType::F32, lanes)
            .read("row", Operand::Input(3), DType::F32, Lanes::One)
            .write("y", io.output, lanes)
            .constant("BRANCHES", Const::U32(branches));
        let fields = [
            ("ROW_C_SKIP", RowField::CSkip),
            ("ROW_C_OUT", RowField::COut),
            ("ROW_ENTRY", RowField::EntryX),
            ("ROW_REMEMBERED", RowField::Remembered),
            ("ROW_NEXT", RowField::Next),
            ("ROW_KEPT", RowField::Kept),
            ("ROW_GUIDANCE", RowField::Guidance),
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
        let mut next = state.clone();
        for i in 0..latent {
            let slot = |slot: usize| state.data()[slot * latent + i];
            let (x, past) = (slot(StateSlot::X as usize), StateSlot::Past as usize);
            let model = guided(output, row, latent, i);
            let denoised = field(RowField::CSkip) * x + field(RowField::COut) * model;
            let entry = field(RowField::EntryX) * x + field(RowField::EntryDenoised) * denoised;
            let terms = [
                x,
                slot(StateSlot::Saved as usize),
                noise.data()[i],
                entry,
                slot(past),
                slot(past + 1),
                slot(past + 2),
            ];
            let combined = |start: RowField| -> f32 {
                let coefficients = &row.data()[start as usize..];
                terms
                    .iter()
                    .zip(coefficients)
                    .map(|(term, c)| c * term)
                    .sum()
            };
            let history = if field(RowField::Remembered) == 0.0 {
                [slot(past), slot(past + 1), slot(past + 2)]
            } else {
                [entry, slot(past), slot(past + 1)]
            };
            let two = [combined(RowField::Next), combined(RowField::Kept)];
            for (slot, value) in two.into_iter().chain(history).enumerate() {
                next.data_mut()[slot * latent + i] = value;
            }
        }
        next
    }

    fn flops(&self, io: &Io) -> u64 {
        36 * (io.output.shape.len() / STATE_SLOTS) as u64
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
        for (latent, branches) in latents.into_iter().zip([1, 2, MAX_BRANCHES, 1]) {
            let [n, height, width, channels] = latent;
            for (remembered, output) in [(0.0, DType::F32), (1.0, DType::F32), (1.0, DType::F16)] {
                let mut row = seeded([RowField::COUNT].into(), 4);
                row.data_mut()[RowField::Remembered as usize] = remembered;
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
