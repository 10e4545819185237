//! What is found out about kernels on the machine at hand: which compute right, and which tiles are
//! fastest.

mod attempt;
mod check;
mod search;
mod store;
mod trial;

use self::check::{Checks, Lost, checks};
use self::store::Store;
use crate::error::Result;
use crate::gpu::{AdapterInfo, Device};
use crate::tensor::{Caps, KernelChoice};
use serde::Serialize;
use std::collections::BTreeSet;

pub use search::{TunedShape, Tuning, tune};
pub use store::FoundOn;

/// Makes the device choose among kernels: of those that agree with their definition, by the tables
/// and by what [`tune`] found. The first time on an adapter, its driver and these kernels, a small run
/// of each is compared; what came out is kept.
///
/// # Errors
/// [`crate::Error::Unsupported`] if no kernel of some operation computes right;
/// [`crate::Error::DeviceLost`].
pub(crate) fn prepare(device: &Device) -> Result<()> {
    let Some(gpu) = device.gpu() else {
        return Ok(());
    };
    if device.has_choice() {
        return Ok(());
    }
    let store = if gpu.is_usual { Store::open() } else { None };
    let checks = checks(device, store.as_ref())?;
    let tuning = match &store {
        // What is ignored is told by `kernel_report`.
        Some(store) if !gpu.no_tuning => store.read::<Tuning>(device.info()).unwrap_or_default(),
        _ => None,
    };
    device.choose(KernelChoice {
        all: false,
        passed: checks.passed,
        tiles: tuning.map(|tuning| tuning.tiles()).unwrap_or_default(),
    });
    Ok(())
}

/// What plans on the device may use, once [`prepare`] made it choose: before that it has the plainest
/// kernels.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn caps(device: &Device) -> Result<Caps> {
    prepare(device)?;
    Ok(device.caps())
}

/// What is known of the kernels on an adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KernelReport {
    /// Kernels that agree with their definition, as in `linear/tiled`: empty until the adapter's first
    /// use.
    pub passed: BTreeSet<String>,
    /// Kernels that do not; others are used in their place.
    pub failed: BTreeSet<String>,
    /// Of these, the ones that lost the device when they were checked, or whose check never ended:
    /// [`tune`] tries them again.
    pub lost: BTreeSet<String>,
    /// What [`tune`] found fastest, if it holds still.
    pub tuning: Option<Tuning>,
    /// What is kept and does not hold, with the reason.
    pub ignored: Vec<String>,
}

/// What is known of the kernels on an adapter, from its earlier uses.
pub fn kernel_report(info: &AdapterInfo) -> KernelReport {
    Store::open().map_or_else(KernelReport::default, |store| report(info, &store))
}

fn report(info: &AdapterInfo, store: &Store) -> KernelReport {
    let mut report = KernelReport::default();
    // Checks that do not hold are made again, and nobody need know.
    if let Ok(Some(Checks { passed, failed, .. })) = store.read(info) {
        report.passed = passed;
        let lost = store.read(info).ok().flatten();
        let lost = lost.map(|Lost { lost, .. }| lost).unwrap_or_default();
        report.lost = lost.intersection(&failed).cloned().collect();
        report.failed = failed;
    }
    match store.read(info) {
        Ok(tuning) => report.tuning = tuning,
        Err(reason) => report.ignored.push(reason),
    }
    report
}

/// Forgets what [`tune`] found on an adapter, and which kernels lost the device or ended the process
/// there, so that the next use checks them again; whether there was anything.
///
/// # Errors
/// [`crate::Error::Io`] if a file cannot be removed.
pub fn clear_tuning(info: &AdapterInfo) -> Result<bool> {
    let Some(store) = Store::open() else {
        return Ok(false);
    };
    let was_lost = forget_lost(info, &store)?;
    Ok(store.remove::<Tuning>(info)? || was_lost)
}

/// Lets kernels be tried again that lost the device or ended the process; whether there were any.
///
/// # Errors
/// [`crate::Error::Io`] if a file cannot be removed.
fn forget_lost(info: &AdapterInfo, store: &Store) -> Result<bool> {
    let was_lost = store.remove::<Lost>(info)?;
    if was_lost {
        store.remove::<Checks>(info)?;
    }
    Ok(was_lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> AdapterInfo {
        Device::reference().info().clone()
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("there is room");
        let store = Store::in_folder(folder.path().join("new"));
        (folder, store)
    }

    fn tuning() -> Tuning {
        Tuning {
            found_on: FoundOn::now(&info()),
            shapes: vec![TunedShape {
                class: "linear/many".into(),
                shape: "4096×640 → 640".into(),
                tile: "tiled/64x64".into(),
                ms: 1.5,
                table: "tiled/128x64".into(),
                table_ms: Some(2.0),
            }],
            unmeasured: vec!["attention/wide".into()],
        }
    }

    #[test]
    fn what_was_tuned_is_read_again() {
        let (_folder, store) = store();
        assert_eq!(report(&info(), &store), KernelReport::default());
        store.write(&info(), &tuning()).expect("it can be written");
        let found = report(&info(), &store);
        assert_eq!(found.tuning, Some(tuning()));
        assert_eq!(found.ignored, Vec::<String>::new());
        assert_eq!(tuning().tiles()["linear/many"], "tiled/64x64");
        assert!(store.remove::<Tuning>(&info()).expect("it can be removed"));
        assert!(!store.remove::<Tuning>(&info()).expect("it is gone"));
    }

    #[test]
    fn kernels_that_lost_the_device_are_told_until_they_may_be_tried_again() {
        let (_folder, store) = store();
        let found_on = FoundOn::now(&info());
        let [wrong, lost] = ["linear/tiled", "conv2d/tiled"].map(str::to_owned);
        let checks = Checks {
            found_on: found_on.clone(),
            passed: ["linear/plain".into()].into(),
            failed: [wrong, lost.clone()].into(),
        };
        store.write(&info(), &checks).expect("it can be written");
        assert!(!forget_lost(&info(), &store).expect("there is nothing"));
        assert_eq!(report(&info(), &store).failed.len(), 2);
        let lost = Lost::new(found_on, [lost].into());
        store.write(&info(), &lost).expect("it can be written");
        assert_eq!(report(&info(), &store).lost, lost.lost);
        assert!(forget_lost(&info(), &store).expect("it can be removed"));
        assert_eq!(report(&info(), &store), KernelReport::default());
    }

    #[test]
    fn tuning_for_another_driver_is_ignored_and_said_to_be() {
        let (_folder, store) = store();
        let mut other = tuning();
        other.found_on.driver = "NVIDIA 1.2".into();
        store.write(&info(), &other).expect("it can be written");
        let found = report(&info(), &store);
        assert_eq!(found.tuning, None);
        assert!(
            found.ignored[0].contains("it is for driver NVIDIA 1.2"),
            "{found:?}"
        );
    }

    #[test]
    fn tuning_for_other_kernels_is_ignored_and_said_to_be() {
        let (_folder, store) = store();
        let mut other = tuning();
        other.found_on.kernels = "0.0.1 00".into();
        store.write(&info(), &other).expect("it can be written");
        let found = report(&info(), &store);
        assert!(
            found.ignored[0].contains("it is for aquatint 0.0.1"),
            "{found:?}"
        );
    }

    #[test]
    fn a_damaged_tuning_file_is_ignored_and_said_to_be() {
        let (_folder, store) = store();
        let path = store.write(&info(), &tuning()).expect("it can be written");
        let text = std::fs::read(&path).expect("it is there");
        for damaged in [
            &text[..text.len() / 2],
            b"",
            b"[]",
            b"\xff\xfe",
            &[b' '; 2 << 20],
        ] {
            std::fs::write(&path, damaged).expect("it can be written");
            let found = report(&info(), &store);
            assert_eq!(found.tuning, None);
            let reason = &found.ignored[0];
            assert!(reason.contains("tuning.json is ignored"), "{reason}");
        }
    }
}
