//! Plain arithmetic that several references share.

/// Σ aᵢ·bᵢ in eight partial sums, as one vector register would.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let tails = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let tail: f32 = tails.map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// The nearest f32.
#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is meant")]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}
