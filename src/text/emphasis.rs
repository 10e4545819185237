//! What weights do to the vectors of a chunk.

use std::ops::Range;

/// The vectors of one text encoder among those of all, which stand side by side.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    /// Numbers of a row, of all text encoders.
    pub stride: usize,
    /// Those of this one.
    pub range: Range<usize>,
}

impl Columns {
    /// This text encoder's part of each row, `[L, stride]`.
    fn rows<'a>(&self, values: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
        let range = self.range.clone();
        let rows = values.chunks_exact_mut(self.stride);
        rows.map(move |row| &mut row[range.clone()])
    }

    fn mean(&self, values: &[f32]) -> f64 {
        let rows = values.chunks_exact(self.stride);
        let row_count = rows.len();
        let sum: f64 = rows
            .flat_map(|row| &row[self.range.clone()])
            .map(|&value| f64::from(value))
            .sum();
        sum / (row_count * self.range.len()) as f64
    }
}

/// AUTOMATIC1111's "Original" emphasis (`modules/sd_emphasis.py`): multiplies the vectors `[L, C]`
/// by their weights `[L]`, then all by what makes their mean the same again.
pub(crate) fn keep_mean(values: &mut [f32], columns: &Columns, weights: &[f32]) {
    let before = columns.mean(values);
    for (row, &weight) in columns.rows(values).zip(weights) {
        row.iter_mut().for_each(|value| *value *= weight);
    }
    #[expect(clippy::cast_possible_truncation, reason = "it multiplies f32")]
    let ratio = (before / columns.mean(values)) as f32;
    // Where all weights are 0 there is no mean to restore.
    if ratio.is_finite() {
        for row in columns.rows(values) {
            row.iter_mut().for_each(|value| *value *= ratio);
        }
    }
}

/// ComfyUI's weights (`comfy/sd1_clip.py`, `encode_token_weights`): each vector becomes
/// empty + weight · (vector − empty), where `empty` `[L, C]` are those of the empty prompt.
pub(crate) fn away_from_empty(
    values: &mut [f32],
    empty: &[f32],
    columns: &Columns,
    weights: &[f32],
) {
    let empty = empty.chunks_exact(columns.stride);
    for ((row, empty), &weight) in columns.rows(values).zip(empty).zip(weights) {
        if weight != 1.0 {
            for (value, &empty) in row.iter_mut().zip(&empty[columns.range.clone()]) {
                *value = (*value - empty) * weight + empty;
            }
        }
    }
}

#[cfg(test)]
mod tests;
