//! Whether kernels compute on this device what they should: a small run of each family against the
//! plain-f32 definition, before the first picture.

use super::attempt::Attempt;
use super::store::{Finding, FoundOn, Store};
use super::trial::{Trial, Work};
use crate::error::{Error, Result};
use crate::gpu::{AdapterInfo, Device};
use crate::ops::select::Family;
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
    let agrees = |trial: &Trial, choice| trial.agrees(device, choice);
    let found = make_once_each(info, &caps, store, agrees)?;
    if let Some(store) = store {
        // A folder that cannot be written only costs the next start its checks.
        drop(store.write(info, &found));
    }
    Ok(found)
}

/// Kernels that lost the device when they were checked, or whose check never ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lost {
    #[serde(flatten)]
    found_on: FoundOn,
    /// As in `linear/tiled`; `kernels` is a field of [`FoundOn`].
    pub(super) lost: BTreeSet<String>,
}

impl Lost {
    pub(super) fn new(found_on: FoundOn, lost: BTreeSet<String>) -> Self {
        Self { found_on, lost }
    }
}

impl Finding for Lost {
    const NAME: &'static str = "lost";

    fn found_on(&self) -> &FoundOn {
        &self.found_on
    }
}

/// As [`make`], but a kernel that loses the device, or ends the process, is remembered: both are gone
/// until the next start, and that gets on without the kernel.
fn make_once_each(
    info: &AdapterInfo,
    caps: &Caps,
    store: Option<&Store>,
    mut agrees: impl FnMut(&Trial, KernelChoice) -> Result<bool>,
) -> Result<Checks> {
    let kept = store.and_then(|store| store.read::<Lost>(info).ok().flatten());
    let mut before = kept.unwrap_or_else(|| Lost::new(FoundOn::now(info), BTreeSet::new()));
    let remember = |before: &mut Lost, kernels: BTreeSet<String>| {
        before.lost.extend(kernels);
        // A folder that cannot be written leaves the next start as ignorant as this one.
        if let Some(store) = store {
            drop(store.write(info, before));
        }
    };
    let attempt = store.and_then(|store| Attempt::begin(store, info));
    let (mut attempt, unended) = attempt.unzip();
    if let Some(kernel) = unended.flatten() {
        remember(&mut before, [kernel].into());
    }
    let made = make(info, caps, |trial, choice| {
        let kernels = choice.passed.clone();
        if !kernels.is_disjoint(&before.lost) {
            return Ok(false);
        }
        if let (Some(attempt), Some(kernel)) = (&mut attempt, kernels.first()) {
            attempt.mark(kernel);
        }
        let result = agrees(trial, choice);
        if let Err(Error::DeviceLost { .. }) = &result {
            remember(&mut before, kernels);
        }
        result
    });
    if let Some(attempt) = attempt {
        attempt.end();
    }
    made
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
    for trials in trials() {
        let operation = trials[0].work.operation();
        let mut is_served = false;
        for family in families(&trials, caps) {
            let kernel = format!("{operation}/{}", family.name());
            let mut all_pass = true;
            for trial in &trials {
                let tiles = trial.tiles(caps).into_iter();
                for (_, tile) in tiles.filter(|(of, _)| *of == family) {
                    let choice = only(operation, &kernel, &tile);
                    all_pass = all_pass && unless_refused(agrees(trial, choice))? == Some(true);
                }
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

/// What came out, or `None` where the driver refuses a kernel or runs it with an error: that is as
/// good as wrong.
pub(super) fn unless_refused<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(Error::Gpu(_) | Error::Unsupported(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// Those that may compute an operation, the best first.
fn families(trials: &[Trial], caps: &Caps) -> Vec<Family> {
    let tiles = trials.iter().flat_map(|trial| trial.tiles(caps));
    let mut families: Vec<Family> = tiles.map(|(family, _)| family).collect();
    families.sort_unstable();
    families.dedup();
    families
}

/// Of each operation one, and of attention one for each class of heads: narrow, middle and wide.
fn trials() -> [Vec<Trial>; 4] {
    const HEAD_DIMS: [usize; 3] = [40, 160, 512];
    let one = |work| vec![small_trial(work, 0)];
    let attention = |num_heads, head_dim| small_trial(Work::Attention { num_heads }, head_dim);
    [
        one(Work::Linear),
        one(Work::Conv2d),
        HEAD_DIMS.map(|head_dim| attention(2, head_dim)).into(),
        one(Work::LayerNorm),
    ]
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
    fn one_wrong_tile_is_enough() {
        let is_sound = |_: &Trial, choice: KernelChoice| {
            Ok(!choice.tiles.values().any(|tile| tile == "tiled/64x64"))
        };
        let checks = make(&info(), &Caps::portable(), is_sound).expect("there is another");
        assert!(checks.failed.contains("linear/tiled"), "{checks:?}");
    }

    #[test]
    fn every_class_of_heads_is_looked_at() {
        let mut heads = BTreeSet::new();
        let caps = Caps::portable();
        make(&info(), &caps, |trial, _| {
            let is_attention = matches!(trial.work, Work::Attention { .. });
            heads.extend(is_attention.then(|| trial.table(&caps).1));
            Ok(true)
        })
        .expect("all is right");
        let classes = ["attention/middle", "attention/narrow", "attention/wide"];
        assert!(heads.iter().eq(classes.iter()), "{heads:?}");
    }

    #[test]
    fn a_kernel_that_loses_the_device_is_not_tried_again() {
        let folder = tempfile::tempdir().expect("there is room");
        let store = Store::in_folder(folder.path().to_owned());
        let mut times = 0;
        let mut start = || {
            let hangs = |_: &Trial, choice: KernelChoice| {
                if !choice.passed.contains("conv2d/tiled") {
                    return Ok(true);
                }
                times += 1;
                let reason = "it was reset".into();
                Err(Error::DeviceLost { reason })
            };
            make_once_each(&info(), &Caps::portable(), Some(&store), hangs)
        };
        let first = start().expect_err("there is no device any more");
        assert!(matches!(first, Error::DeviceLost { .. }), "{first}");
        let checks = start().expect("there is another kernel");
        assert!(checks.failed.contains("conv2d/tiled"), "{checks:?}");
        assert!(checks.passed.contains("conv2d/plain"), "{checks:?}");
        assert_eq!(times, 1);
    }

    /// A process that ends in the middle of a check: nothing after the abort runs, so its mark stays.
    #[test]
    fn a_kernel_whose_check_ends_the_process_twice_is_not_tried_again() {
        const FOLDER: &str = "AQUATINT_TEST_CHECKS";
        let caps = Caps::portable();
        if let Some(folder) = std::env::var_os(FOLDER) {
            let store = Store::in_folder(folder.into());
            let crashes =
                |_: &Trial, choice: KernelChoice| match choice.passed.contains("conv2d/tiled") {
                    true => std::process::abort(),
                    false => Ok(true),
                };
            make_once_each(&info(), &caps, Some(&store), crashes).expect("it does not get here");
        }
        let folder = tempfile::tempdir().expect("there is room");
        let test =
            "tuning::check::tests::a_kernel_whose_check_ends_the_process_twice_is_not_tried_again";
        let program = std::env::current_exe().expect("it runs");
        let mut child = std::process::Command::new(program);
        child.args(["--exact", test]).env(FOLDER, folder.path());
        let store = Store::in_folder(folder.path().to_owned());
        // The first may have been interrupted: the kernel gets another chance.
        for _ in 0..2 {
            let (_, unended) = Attempt::begin(&store, &info()).expect("nobody checks now");
            assert_eq!(unended, None);
            let output = child.output().expect("it starts");
            assert!(!output.status.success(), "{output:?}");
        }

        let mut tried = BTreeSet::new();
        let checks = make_once_each(&info(), &caps, Some(&store), |_, choice| {
            tried.extend(choice.passed);
            Ok(true)
        });
        let checks = checks.expect("there is another kernel");
        assert!(checks.failed.contains("conv2d/tiled"), "{checks:?}");
        assert!(checks.passed.contains("conv2d/plain"), "{checks:?}");
        assert!(!tried.contains("conv2d/tiled"), "{tried:?}");
        let lost = store.read::<Lost>(&info()).expect("it holds");
        assert_eq!(
            lost.expect("it is kept").lost,
            ["conv2d/tiled".into()].into()
        );
        let (_, unended) = Attempt::begin(&store, &info()).expect("nobody checks now");
        assert_eq!(unended, None);
    }

    #[test]
    fn checks_of_a_process_that_lives_are_not_taken_for_interrupted_ones() {
        let folder = tempfile::tempdir().expect("there is room");
        let store = Store::in_folder(folder.path().to_owned());
        let (mut other, _) = Attempt::begin(&store, &info()).expect("nobody checks now");
        other.mark("linear/tiled");
        let checks = make_once_each(&info(), &Caps::portable(), Some(&store), |_, _| Ok(true));
        let checks = checks.expect("all is right");
        assert!(checks.passed.contains("linear/tiled"), "{checks:?}");
        other.end();
        let (_, unended) = Attempt::begin(&store, &info()).expect("nobody checks now");
        assert_eq!(unended, None);
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
