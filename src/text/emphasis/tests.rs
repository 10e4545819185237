use super::*;

/// Sums of a few numbers in f32.
const TOLERANCE: f32 = 1e-6;

fn assert_close(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() < TOLERANCE, "{got} {want}");
    }
}

fn all_of(stride: usize) -> Columns {
    Columns {
        stride,
        range: 0..stride,
    }
}

/// By hand: the mean of 1, 2, 3, 6 is 3; of 1, 2, 6, 12 it is 5.25; 3 / 5.25 = 4 / 7.
#[test]
fn keeping_the_mean_scales_all_vectors_back() {
    let mut values = [1.0, 2.0, 3.0, 6.0];
    keep_mean(&mut values, &all_of(2), &[1.0, 2.0]);
    assert_close(&values, &[4.0 / 7.0, 8.0 / 7.0, 24.0 / 7.0, 48.0 / 7.0]);
}

#[test]
fn vectors_without_any_weight_stay_finite() {
    let mut values = [1.0, 2.0];
    keep_mean(&mut values, &all_of(1), &[0.0, 0.0]);
    assert_close(&values, &[0.0, 0.0]);
}

/// By hand: 1 + 2 · (3 − 1) = 5, 1 + 0 · (7 − 1) = 1, 2 − 1 · (5 − 2) = −1.
#[test]
fn weights_lead_away_from_the_empty_prompt() {
    let mut values = [3.0, 7.0, 5.0, 4.0];
    let empty = [1.0, 1.0, 2.0, 9.0];
    away_from_empty(&mut values, &empty, &all_of(1), &[2.0, 0.0, -1.0, 1.0]);
    assert_close(&values, &[5.0, 1.0, -1.0, 4.0]);
}

#[test]
fn the_vectors_of_another_text_encoder_are_left_alone() {
    let columns = Columns {
        stride: 2,
        range: 1..2,
    };
    let mut values = [9.0, 1.0, 9.0, 3.0];
    away_from_empty(&mut values, &[0.0; 4], &columns, &[1.0, 2.0]);
    assert_close(&values, &[9.0, 1.0, 9.0, 6.0]);
    keep_mean(&mut values, &columns, &[6.0, 1.0]);
    assert_close(&values, &[9.0, 3.5, 9.0, 3.5]);
}
