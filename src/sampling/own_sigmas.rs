//! Noise levels that a user chose.

use super::NoiseModel;
use crate::error::{Error, Result};

/// The end of a run through the user's own noise levels, and those to be evaluated before it.
///
/// # Errors
///
/// [`Error::Request`] unless there are two to one more than the model has timesteps, all of them
/// numbers that fall, the last at least 0 and the first within the model's range.
pub(super) fn check_sigmas<'a>(
    sigmas: &'a [f64],
    noise_model: &NoiseModel,
) -> Result<(f64, &'a [f64])> {
    check_order(sigmas)?;
    let refused = |reason: String| Err(Error::request("sigmas", reason));
    // A level beyond the noisiest is one that no timestep stands for; published tables are rounded up.
    let most = noise_model.sigma_max() * SLACK;
    match sigmas {
        [first, ..] if *first > most => refused(format!(
            "expected at most {:.3}, this model's noisiest level, found {first}",
            noise_model.sigma_max()
        )),
        [evaluated @ .., end] if evaluated.len() <= noise_model.train_steps() => {
            Ok((*end, evaluated))
        }
        _ => refused(format!(
            "expected at most {} of them, found {}",
            noise_model.train_steps() + 1,
            sigmas.len()
        )),
    }
}

/// How far beyond the model's noisiest level the first may lie.
const SLACK: f64 = 1.01;

/// Checks what can be checked without a model.
///
/// # Errors
///
/// [`Error::Request`] unless there are two or more and they fall to 0 or a number over it.
pub(crate) fn check_order(sigmas: &[f64]) -> Result<()> {
    let refused = |reason: String| Err(Error::request("sigmas", reason));
    if sigmas.len() < 2 {
        return refused(format!(
            "expected two or more numbers, the last where the run ends, as in 14.6,3.9,0; found {}",
            sigmas.len()
        ));
    }
    if let Some(sigma) = sigmas
        .iter()
        .find(|sigma| !(**sigma >= 0.0 && sigma.is_finite()))
    {
        return refused(format!("expected numbers from 0, found {sigma}"));
    }
    match sigmas.windows(2).find(|pair| pair[0] <= pair[1]) {
        Some(pair) => refused(format!(
            "expected each to be lower than the one before, found {} after {}",
            pair[1], pair[0]
        )),
        None => Ok(()),
    }
}
