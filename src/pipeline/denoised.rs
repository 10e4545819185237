//! The clean latents that a row's network predicted, found again in what the row made of them.
//!
//! Nothing keeps them for themselves: a row is linear, so they follow from its coefficients and from the
//! states before and after it, and runs that nobody looks at pay nothing.

use crate::ops::StateSlot;
use crate::sampling::{Combination, Entry, Row};

/// Whether [`row_denoised`] looks at the state before the row: most rows leave what they found as it is.
pub(super) fn needs_state_before(row: &Row) -> bool {
    !(row.remembered && row.entry == Entry::DENOISED)
}

/// The denoised latents that a row found, of the states of so many `latents` each before and after it:
/// by what it left in the history, or else by what became of the latents. `before` may be empty unless
/// [`needs_state_before`].
pub(super) fn row_denoised(row: &Row, before: &[f32], after: &[f32], latents: usize) -> Vec<f32> {
    let slot =
        |state: &[f32], slot: StateSlot, i: usize| f64::from(state[slot as usize * latents + i]);
    let denoised = |i: usize| {
        let entry = match row.remembered {
            true => slot(after, StateSlot::Past, i),
            false => {
                let Combination { x, saved, past, .. } = row.next;
                let others = past[1..].iter().enumerate().map(|(age, factor)| {
                    factor * f64::from(before[(StateSlot::Past as usize + age) * latents + i])
                });
                let others = x * slot(before, StateSlot::X, i)
                    + saved * slot(before, StateSlot::Saved, i)
                    + others.sum::<f64>();
                (slot(after, StateSlot::X, i) - others) / past[0]
            }
        };
        match row.entry.x == 0.0 {
            true => entry / row.entry.denoised,
            false => (entry - row.entry.x * slot(before, StateSlot::X, i)) / row.entry.denoised,
        }
    };
    #[expect(clippy::cast_possible_truncation, reason = "latents are stored in f32")]
    (0..latents).map(|i| denoised(i) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::seeded;
    use crate::ops::{RowField, STATE_SLOTS, SamplerStep};
    use crate::pipeline::device_row::{After, row_values};
    use crate::sampling::{self, Level, NoiseModel, Options, Prediction, SAMPLERS};
    use crate::tensor::Op;

    /// A row keeps what it found in f32, with a coefficient of 0.01 or more.
    const TOLERANCE: f32 = 1e-4;

    #[test]
    fn every_step_of_every_sampler_tells_what_it_took_for_clean() {
        let noise_model = NoiseModel::scaled_linear(0.00085, 0.012, 1000).unwrap();
        let after = After {
            level: Level {
                signal: 1.0,
                noise: 0.0,
            },
            share_left: 0.0,
        };
        let latent = [1, 2, 3, 4];
        let state = seeded([STATE_SLOTS, 1, 2, 3, 4].into(), 1);
        let [output, noise] = [2, 3].map(|seed| seeded(latent.into(), seed));
        for sampler in SAMPLERS {
            let options = Options::default();
            let prediction = Prediction::Epsilon;
            let schedule = "trailing";
            let table = sampling::build(
                &noise_model,
                prediction,
                sampler.name,
                schedule,
                8,
                1.0,
                &options,
            );
            let rows = table.unwrap().rows;
            let next_steps = rows.iter().skip(1).map(|row| Some(row.step)).chain([None]);
            for (index, (row, next_step)) in rows.iter().zip(next_steps).enumerate() {
                if next_step == Some(row.step) {
                    continue; // within a step
                }
                let values = row_values(index, row, std::iter::empty(), [0.0; 2], after);
                let mut device_row = seeded([RowField::COUNT].into(), 4);
                device_row.data_mut().copy_from_slice(&values);
                let next = SamplerStep.reference(&[&state, &output, &noise, &device_row]);
                let before = match needs_state_before(row) {
                    true => state.data(),
                    false => &[],
                };
                let found = row_denoised(row, before, next.data(), noise.data().len());
                let x = StateSlot::X.of(&state).iter();
                for ((x, output), found) in x.zip(output.data()).zip(found) {
                    #[expect(clippy::cast_possible_truncation, reason = "as the device has them")]
                    let [c_skip, c_out] = [row.c_skip as f32, row.c_out as f32];
                    let expected = c_skip * x + c_out * output;
                    let scale = (c_skip * x).abs() + (c_out * output).abs();
                    let name = sampler.name;
                    assert!(
                        (found - expected).abs() <= TOLERANCE * scale.max(1.0),
                        "{name}, row {index}: {found}, not {expected}"
                    );
                }
            }
        }
    }
}
