//! Whether kernels compute on this device what they should: a small run of each family against the
//! plain-f32 definition, before the first picture.

use super::store::{Finding, FoundOn, Store};
use super::trial::{Trial, Work};
use crate::error::{Error, Result};
use crate::gpu::{AdapterInfo, Device};
use crate::tensor::{Caps, KernelChoice};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the checks on one adapter found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checks {
    #[serde(flatten)]
    pub(super) found_on: FoundOn,
    /// Kernels that agree with their definition, as in `linear/tiled`.
    pub(super) passed: BTreeSet<String>,
    /// Kernels that do not, and are not used.
    pub(super) failed: BTreeSet<String>,
}

impl Finding for Checks {
    const NAME: &'static str = "checks";

    fn found_on(&self) -> &FoundOn {
        &self.found_on
    }
}

/// What earlier checks found, or those made now.
///
/// # Errors
/// [`Error::Unsupported`] if no kernel of some operation computes right; [`Error::DeviceLost`].
pub(super) fn checks(device: &Device, store: Option<&Store>) -> Result<Checks> {
    let info = device.info();
    // A file that does not hold is made again.
    let known = store.and_then(|store| store.read::<Checks>(info).ok().flatten());
    if let Some(known) = known {
        return Ok(known);
    }
    let caps = Caps {
        choice: Arc::new(KernelChoice::all()),
        ..device.caps()
    };
    let found = make(info, &caps, |trial, choice| trial.agrees(device, choice))?;
    if let Some(store) = store {
        // A folder that cannot be written only costs the next start its checks.
        drop(store.write(info, &found));
    }
    Ok(found)
}

/// Goes through the families of each operation, the best first, down to one that serves every shape.
fn make(
    info: &AdapterInfo,
    caps: &Caps,
    mut agrees: impl FnMut(&Trial, KernelChoice) -> Result<bool>,
) -> Result<Checks> {
    let mut checks = Checks {
        found_on: FoundOn::now(info),
        passed: BTreeSet::new(),
        failed: BTreeSet::new(),
    };
    for trial in trials() {
        let operation = trial.work.operation();
        let mut is_served = false;
        for (family, tiles) in trial.families(caps) {
            let kernel = format!("{operation}/{}", family.name());
            let mut passes = |tile: &String| match agrees(&trial, only(operation, &kernel, tile)) {
                // What the driver refuses, or computes with an error, is as good as wrong.
                Err(Error::Gpu(_) | Error::Unsupported(_)) => Ok(false),
                other => other,
            };
            let extremes = [tiles.first(), tiles.last()].into_iter().flatten();
            let mut all_pass = true;
            for tile in extremes {
                all_pass = all_pass && passes(tile)?;
            }
            if !all_pass {
                checks.failed.insert(kernel);
                continue;
            }
            checks.passed.insert(kernel);
            is_served = family.serves_every_shape();
            if is_served {
                break;
            }
        }
        if !is_served {
            return Err(Error::Unsupported(format!(
                "{} ({}) computes {operation} wrong with every kernel; a newer driver may help",
                info.name, info.driver
            )));
        }
    }
    Ok(checks)
}

/// One kernel in one tile, and nothing else.
pub(super) fn only(operation: &str, kernel: &str, tile: &str) -> KernelChoice {
    KernelChoice {
        all: false,
        passed: [kernel.to_owned()].into(),
        tiles: [(operation.to_owned(), tile.to_owned())].into(),
    }
}

/// One of each operation.
fn trials() -> [Trial; 4] {
    const HEAD_DIM: usize = 40;
    let attention = Work::Attention { num_heads: 2 };
    let works = [Work::Linear, Work::Conv2d, attention, Work::LayerNorm];
    works.map(|work| small_trial(work, HEAD_DIM))
}

/// An operation at sizes that leave parts of tiles over on every side; attention with heads of that
/// width.
pub(super) fn small_trial(work: Work, head_dim: usize) -> Trial {
    match work {
        Work::Linear => Trial::new(work, &[&[70, 52], &[76, 52], &[76]]),
        Work::Conv2d => Trial::new(work, &[&[2, 9, 7, 36], &[40, 3, 3, 36], &[40]]),
        Work::Attention { num_heads } => {
            let channels = num_heads * head_dim;
            let keys: &[usize] = &[1, 77, channels];
            Trial::new(work, &[&[1, 69, channels], keys, keys])
        }
        Work::LayerNorm => Trial::new(work, &[&[5, 300], &[300], &[300]]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;

    fn info() -> AdapterInfo {
        Device::reference().info().clone()
    }

    #[test]
    fn a_family_that_is_wrong_gives_way_to_the_next() {
        let caps = Caps::portable();
        let checks = make(&info(), &caps, |_, choice| {
            Ok(!choice.passed.contains("linear/tiled"))
        });
        let checks = checks.expect("there is another");
        assert!(checks.passed.contains("linear/plain"), "{checks:?}");
        assert!(checks.failed.contains("linear/tiled"), "{checks:?}");
        assert!(checks.passed.contains("conv2d/tiled"), "{checks:?}");
        assert!(!checks.passed.contains("conv2d/plain"), "{checks:?}");
    }

    #[test]
    fn a_kernel_that_the_driver_refuses_gives_way_too() {
        let refused = |_: &Trial, choice: KernelChoice| match choice.passed.contains("conv2d/tiled")
        {
            true => Err(Error::Gpu("internal compiler error".into())),
            false => Ok(true),
        };
        let checks = make(&info(), &Caps::portable(), refused).expect("there is another");
        assert!(checks.failed.contains("conv2d/tiled"), "{checks:?}");
    }

    #[test]
    fn an_adapter_that_computes_nothing_right_is_refused() {
        let error =
            make(&info(), &Caps::portable(), |_, _| Ok(false)).expect_err("nothing is right");
        assert!(error.to_string().contains("linear"), "{error}");
    }

    #[test]
    fn this_adapter_passes() {
        let Some(device) = testing::device() else {
            return;
        };
        let checks = checks(device, None).expect("it computes");
        assert!(checks.failed.is_empty(), "{checks:?}");
        assert_eq!(checks.passed.len(), 4, "{checks:?}");
    }
}
