//! How much memory the loading of a large checkpoint takes beside the weights themselves. A test
//! binary of its own, since resident memory is counted for a whole process.

#[cfg(not(target_os = "linux"))]
#[test]
fn a_large_checkpoint_passes_through_little_memory() {
    eprintln!("skipped: resident memory is read from Linux's /proc");
}

#[cfg(target_os = "linux")]
#[path = "support/sd15.rs"]
mod sd15;

#[cfg(target_os = "linux")]
mod linux {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use aquatint::{Device, Model, Pipeline, Request};

    /// What loading may take for a moment, and what it may leave when the pipeline is dropped.
    const LIMIT_BYTES: u64 = 256_000_000;

    /// Bytes of this process in memory, from `/proc/self/status`.
    struct Resident {
        now: u64,
        peak: u64,
    }

    impl Resident {
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

    /// Peak memory of the load, less what there was before, less what the adapter itself keeps.
    ///
    /// A graphics card keeps the weights in memory of its own, which is not in the process's
    /// resident set: there, all growth counts. "Device" memory of software Vulkan is memory of this
    /// process: there, the weights as stored are resident once by right, and are taken off. Pages
    /// of the mapped file are resident memory too while they are mapped in, and are not taken off.
    #[test]
    fn a_large_checkpoint_passes_through_little_memory() {
        let Some(device) = adapter() else { return };
        // Not the system's folder for temporary files, which may itself lie in memory.
        std::fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("sd15.safetensors");
        super::sd15::write_zeros(&path);

        let before = Resident::read();
        let pipeline = Pipeline::new(&device, Model::open(&path).unwrap()).unwrap();
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

        let mb = |bytes: u64| bytes as f64 / 1e6;
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
}
