//! The beta distribution that the schedule of its name takes its levels from.

/// Both parameters of the distribution, as every program sets them.
const SHAPE: f64 = 0.6;
/// B(0.6, 0.6) = Γ(0.6)²/Γ(1.2).
const COMPLETE: f64 = 2.415_344_208_002_472_3;

/// The share of the way at which the distribution has summed up to `probability`, both 0 to 1.
pub(super) fn quantile(probability: f64) -> f64 {
    if probability > 0.5 {
        // The density is the same from both ends, and this end is where the digits are.
        return 1.0 - quantile(1.0 - probability);
    }
    let (mut low, mut high) = (0.0, 0.5);
    // Each halving is a binary digit.
    for _ in 0..2 * f64::MANTISSA_DIGITS {
        let middle = 0.5 * (low + high);
        if cumulative(middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The regularised incomplete beta function I_x(a, a) for x up to ½:
/// `x^a/B(a, a) · Σ_k (1 − a)_k/k! · x^k/(a + k)`. Abramowitz & Stegun 1964, 26.5.4 and 15.1.1.
fn cumulative(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0 / SHAPE);
    // Terms fall at least by half each.
    for k in 1..=f64::MANTISSA_DIGITS {
        let k = f64::from(k);
        term *= (k - SHAPE) / k * x;
        sum += term / (SHAPE + k);
    }
    x.powf(SHAPE) / COMPLETE * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy's quantiles, recorded with 17 digits, are good to some units of the last place.
    const TOLERANCE: f64 = 1e-13;

    #[test]
    fn quantiles_are_those_of_scipy() {
        let record: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/data/schedules.json"))
                .expect("the record is JSON");
        let pairs: Vec<[f64; 2]> = serde_json::from_value(record["beta_quantiles"].clone())
            .expect("the record holds pairs");
        assert!(pairs.len() > 40);
        for [probability, expected] in pairs {
            let found = quantile(probability);
            assert!(
                (found - expected).abs() <= TOLERANCE * expected.max(TOLERANCE),
                "found {found}, expected {expected} at {probability}"
            );
        }
    }
}
