//! The way from one noise to another, for variations of a picture.

/// Below this sine two columns lie along one line, where the formula has no value.
const SMALLEST_SINE: f64 = 1e-6;

/// A share of the way from one unit normal to another along a sphere, so that what comes out is as
/// strong as both: 0 is the first, 1 the second. low, high `[N, C, h, w]` → `[N, C, h, w]`.
///
/// Each column of each channel goes by an angle of its own, as the norms of A1111's `slerp` run over a
/// latent's rows (`modules/rng.py`, version 1.10, after Shoemake 1985). Columns that lie along one line
/// are mixed straight.
pub(crate) fn slerp(
    share: f64,
    low: &[f32],
    high: &[f32],
    [height, width]: [usize; 2],
) -> Vec<f32> {
    let mut mixed = low.to_vec();
    let channel_len = height * width;
    for channel in (0..low.len()).step_by(channel_len.max(1)) {
        for column in channel..channel + width {
            let rows = || (column..channel + channel_len).step_by(width);
            let sum = |a: &[f32], b: &[f32]| -> f64 {
                rows().map(|i| f64::from(a[i]) * f64::from(b[i])).sum()
            };
            let cosine = sum(low, high) / (sum(low, low) * sum(high, high)).sqrt();
            let angle = cosine.clamp(-1.0, 1.0).acos();
            let (mut of_low, mut of_high) = (1.0 - share, share);
            if angle.sin() > SMALLEST_SINE {
                of_low = (of_low * angle).sin() / angle.sin();
                of_high = (of_high * angle).sin() / angle.sin();
            }
            for i in rows() {
                let value = of_low * f64::from(low[i]) + of_high * f64::from(high[i]);
                #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
                let value = value as f32;
                mixed[i] = value;
            }
        }
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One channel of two rows and two columns.
    const SIZE: [usize; 2] = [2, 2];

    #[test]
    fn the_ends_of_the_way_are_the_two_noises() {
        let (low, high) = ([1.0, 0.5, -2.0, 3.0], [0.25, -1.0, 4.0, 1.0]);
        assert_eq!(slerp(0.0, &low, &high, SIZE), low);
        let end = slerp(1.0, &low, &high, SIZE);
        // Sines of the same angle are divided, which rounds.
        assert!(end.iter().zip(high).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn half_a_right_angle_keeps_the_length() {
        // Columns (1, 0) and (0, 1): (cos 45°, sin 45°).
        let middle = slerp(0.5, &[1.0, 1.0, 0.0, 0.0], &[0.0, 0.0, 1.0, 1.0], SIZE);
        let half = std::f32::consts::FRAC_1_SQRT_2;
        assert!(middle.iter().all(|value| (value - half).abs() < 1e-6));
    }

    #[test]
    fn columns_along_one_line_are_mixed_straight() {
        assert_eq!(slerp(0.25, &[4.0], &[8.0], [1, 1]), [5.0]);
        assert_eq!(slerp(0.25, &[4.0], &[-4.0], [1, 1]), [2.0]);
        assert_eq!(slerp(0.25, &[0.0], &[4.0], [1, 1]), [1.0]);
    }
}
