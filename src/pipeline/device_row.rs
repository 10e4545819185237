//! A row of the table as the device gets it.

use super::recordings::WINDOW_ROWS;
use crate::ops::{MAX_BRANCHES, RowField};
use crate::sampling::{Combination, Level, Row};

/// What a row leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct After {
    /// The composition of the latent.
    pub(super) level: Level,
    /// The share of the steps that are left.
    pub(super) share_left: f64,
}

/// Below every value of a mask but 0, so that what may not change is put back after the last step too.
const LEAST_SHARE: f64 = 1.0 / 512.0;

/// The row `index` of the table as the device gets it, with the weights of the branches after the first,
/// and [`Request::threshold`].
pub(super) fn row_values(
    index: usize,
    row: &Row,
    guidance: impl Iterator<Item = f64>,
    threshold: [f64; 2],
    after: After,
) -> Vec<f32> {
    let mut values = [0.0; RowField::COUNT];
    let Level { signal, noise } = after.level;
    let known = [signal, noise, after.share_left.max(LEAST_SHARE)];
    values[RowField::Known as usize..][..known.len()].copy_from_slice(&known);
    let fields = [
        (RowField::CIn, row.c_in),
        (RowField::CSkip, row.c_skip),
        (RowField::COut, row.c_out),
        (RowField::Rescale, row.guidance_rescale),
        (RowField::EntryX, row.entry.x),
        (RowField::EntryDenoised, row.entry.denoised),
        (RowField::Remembered, f64::from(u8::from(row.remembered))),
        (RowField::Place, (index % WINDOW_ROWS) as f64),
        (RowField::Threshold, threshold[0]),
        (RowField::ThresholdMax, threshold[1]),
    ];
    for (field, value) in fields {
        values[field as usize] = value;
    }
    let weights = values[RowField::Guidance as usize..][..MAX_BRANCHES - 1].iter_mut();
    for (value, weight) in weights.zip(guidance) {
        *value = weight;
    }
    // Without a combination of its own the saved latent stays.
    let unchanged = Combination {
        saved: 1.0,
        ..Combination::default()
    };
    for (start, combination) in [
        (RowField::Next, row.next),
        (RowField::Kept, row.keep.unwrap_or(unchanged)),
    ] {
        let Combination {
            x,
            saved,
            past,
            noise,
        } = combination;
        let terms = [x, saved, noise].into_iter().chain(past);
        for (value, term) in values[start as usize..].iter_mut().zip(terms) {
            *value = term;
        }
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the device computes in f32"
    )]
    values.iter().map(|&value| value as f32).collect()
}

/// A row that asks the same of the network, and leaves the state as it is.
pub(super) fn leaving_the_state(row: &[f32]) -> Vec<f32> {
    let mut row = row.to_vec();
    let changing = RowField::Next as usize..RowField::Guidance as usize;
    row[changing].fill(0.0);
    row[RowField::Next as usize] = 1.0; // x' = x
    row[RowField::Kept as usize + 1] = 1.0; // x_saved' = x_saved
    row[RowField::Remembered as usize] = 0.0;
    row[RowField::Rescale as usize] = 0.0;
    row[RowField::Known as usize + 2] = 0.0; // nothing is below it
    row
}
