//! How much memory a large checkpoint takes: beside its weights while it is loaded, and in all where
//! there is a limit. A test binary of its own, since resident memory is counted for a whole process.

#[cfg(not(target_os = "linux"))]
#[test]
fn a_large_checkpoint_passes_through_little_memory() {
    eprintln!("skipped: resident memory is read from Linux's /proc");
}

#[cfg(target_os = "linux")]
#[path = "support/model_files.rs"]
mod model_files;

#[cfg(target_os = "linux")]
mod linux {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::model_files::{self, F16};
    use aquatint::{Device, LoadOptions, Model, Pipeline, Request, Residence};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use tempfile::TempDir;

    /// What loading may take for a moment, and what it may leave when the pipeline is dropped.
    const LIMIT_BYTES: u64 = 256_000_000;

    /// Held by the test that is measuring.
    static MEASURING: Mutex<()> = Mutex::new(());

    /// Bytes of this process in memory, from `/proc/self/status`.
    struct Resident {
        now: u64,
        peak: u64,
    }

    impl Resident {
        /// Forgets the peak until now, which leaves what is in memory now.
        fn forget_peak() {
            // proc_pid_clear_refs(5): "5" resets the high water mark.
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
        }

        fn read() -> Self {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let bytes = |field: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(field));
                let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
                kib.unwrap().trim().parse::<u64>().unwrap() << 10
            };
            Self {
                now: bytes("VmRSS:"),
                peak: bytes("VmHWM:"),
            }
        }
    }

    /// The best adapter, unless there is none and none is required.
    fn adapter() -> Option<Device> {
        match Device::best() {
            Ok(device) => Some(device),
            Err(error) => {
                let required =
                    std::env::var("AQUATINT_REQUIRE_GPU").is_ok_and(|value| value == "1");
                assert!(!required, "AQUATINT_REQUIRE_GPU=1, but {error}");
                eprintln!("skipped: no adapter");
                None
            }
        }
    }

    /// Waits until no other test measures, and forgets its peak.
    fn alone() -> MutexGuard<'static, ()> {
        let alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
        Resident::forget_peak();
        alone
    }

    /// A model of Stable Diffusion 1.5's size, in a folder that goes with it.
    fn model() -> (TempDir, Model) {
        // Not the system's folder for temporary files, which may itself lie in memory.
        std::fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("sd15.safetensors");
        model_files::write(&path, "full_sd15_v1-5-pruned-emaonly", F16);
        let model = Model::open(&path).unwrap();
        (folder, model)
    }

    fn mb(bytes: u64) -> f64 {
        bytes as f64 / 1e6
    }

    /// Peak memory of the load, less what there was before, less what the adapter itself keeps.
    ///
    /// A graphics card keeps the weights in memory of its own, which is not in the process's
    /// resident set: there, all growth counts. "Device" memory of software Vulkan is memory of this
    /// process: there, the weights as stored are resident once by right, and are taken off. Pages
    /// of the mapped file are resident memory too while they are mapped in, and are not taken off.
    #[test]
    fn a_large_checkpoint_passes_through_little_memory() {
        let Some(device) = adapter() else { return };
        let _alone = alone();
        let (_folder, model) = model();

        let before = Resident::read();
        let pipeline = Pipeline::new(&device, model).unwrap();
        let loaded = Resident::read();
        let request = Request::new("").size(64, 64);
        let weight_bytes = pipeline.memory(&request).unwrap().weight_bytes;
        let kept = if device.info().software {
            weight_bytes
        } else {
            0
        };
        drop(pipeline);
        let dropped = Resident::read();

        eprintln!(
            "on {}: {:.0} MB of weights; resident {:.0} MB before, {:.0} at the peak, \
             {:.0} when loaded, {:.0} when dropped",
            device.info().name,
            mb(weight_bytes),
            mb(before.now),
            mb(loaded.peak),
            mb(loaded.now),
            mb(dropped.now)
        );
        assert!(
            weight_bytes > 2_000_000_000,
            "{weight_bytes} bytes are not all of the weights"
        );
        let beside = loaded.peak.saturating_sub(before.now + kept);
        assert!(
            beside <= LIMIT_BYTES,
            "loading took {:.0} MB beside the weights",
            mb(beside)
        );
        let left = dropped.now.saturating_sub(before.now);
        assert!(
            left <= LIMIT_BYTES,
            "{:.0} MB are left of a pipeline that was dropped",
            mb(left)
        );
    }

    /// A whole picture under a limit that the UNet alone fits in, and all parts together do not. On
    /// software Vulkan everything that is on the device is memory of this process.
    #[test]
    fn parts_in_turn_stay_within_the_limit() {
        const VRAM_BYTES: u64 = 1_750_000_000;
        let Some(device) = adapter() else { return };
        let _alone = alone();
        let (_folder, model) = model();
        let options = LoadOptions {
            vram_bytes: Some(VRAM_BYTES),
            ..LoadOptions::default()
        };

        let before = Resident::read();
        let pipeline = Pipeline::with_options(&device, model, &options, &mut |_| ()).unwrap();
        let request = Request::new("").size(64, 64).steps(1).guidance_scale(1.0);
        let memory = pipeline.memory(&request).unwrap();
        assert_eq!(memory.residence, Residence::InTurn);
        let images = pipeline.generate(&request).unwrap();
        let drawn = Resident::read();

        eprintln!(
            "on {}: {:.0} MB at once of {:.0} MB; resident {:.0} MB before, {:.0} at the peak, \
             {:.0} after the picture",
            device.info().name,
            mb(memory.resident_bytes()),
            mb(memory.total_bytes()),
            mb(before.now),
            mb(drawn.peak),
            mb(drawn.now)
        );
        assert_eq!(images.len(), 1);
        let allowed = VRAM_BYTES + LIMIT_BYTES;
        assert!(
            memory.total_bytes() > allowed,
            "the limit is so high that all parts fit together"
        );
        let taken = drawn.peak.saturating_sub(before.now);
        assert!(taken <= allowed, "the picture took {:.0} MB", mb(taken));
    }
}
