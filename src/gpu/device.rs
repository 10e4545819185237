//! An open device, or the CPU interpreter in its place.

use super::adapter::{self, AdapterInfo};
use super::cache::DriverCache;
use super::kernel::Slot;
use super::pace::Pace;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::tensor::{Caps, KernelChoice, Rules};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// Where pictures are made: a graphics device, or the CPU interpreter. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Device {
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    Gpu(Arc<Gpu>),
    Reference(Arc<AdapterInfo>),
}

/// How a device is opened.
#[derive(Clone, Debug, Default)]
pub struct DeviceOptions {
    /// An adapter's index or part of its name; the best one where there is none.
    pub adapter: Option<String>,
    /// Whether shaders get wgpu's own bounds checks and loop counters, besides ours.
    pub runtime_checks: bool,
    /// Whether optional features (f16, subgroups, …) are left off, as if the adapter had none.
    pub portable: bool,
    /// The rules by which plans are made.
    pub rules: Rules,
    /// Whether what [`crate::tune`] found best on this device is left out of account.
    pub no_tuning: bool,
}

impl Device {
    /// The best adapter: discrete before integrated before software.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with what to install, if no driver answers.
    pub fn best() -> Result<Self> {
        Self::open(&DeviceOptions::default())
    }

    /// The adapter of that index, or with that part in its name.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if no driver answers, [`Error::Request`] if none matches.
    pub fn select(adapter: &str) -> Result<Self> {
        Self::open(&DeviceOptions {
            adapter: Some(adapter.to_owned()),
            ..DeviceOptions::default()
        })
    }

    /// Whether both are handles of one open device.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.backend, &other.backend) {
            (Backend::Gpu(one), Backend::Gpu(other)) => Arc::ptr_eq(one, other),
            (Backend::Reference(_), Backend::Reference(_)) => true,
            _ => false,
        }
    }

    /// Opens a device as `options` say.
    ///
    /// # Errors
    /// As [`Device::best`] and [`Device::select`].
    pub fn open(options: &DeviceOptions) -> Result<Self> {
        let gpu = pollster::block_on(Gpu::open(options))?;
        Ok(Self {
            backend: Backend::Gpu(Arc::new(gpu)),
        })
    }

    /// The CPU interpreter: slow, exact, and there on every machine.
    pub fn reference() -> Self {
        Self {
            backend: Backend::Reference(Arc::new(AdapterInfo::reference())),
        }
    }

    /// Every adapter that answers, the best first.
    pub fn list() -> Vec<AdapterInfo> {
        pollster::block_on(adapter::adapters())
            .into_iter()
            .map(|(info, _)| info)
            .collect()
    }

    /// The graphics interfaces that this build speaks, as [`AdapterInfo::backend`] names them.
    pub fn backends() -> Vec<&'static str> {
        adapter::backends()
    }

    /// What the device is and can do.
    pub fn info(&self) -> &AdapterInfo {
        match &self.backend {
            Backend::Gpu(gpu) => &gpu.info,
            Backend::Reference(info) => info,
        }
    }

    /// Bytes of memory that the device has to itself; `None` where the driver does not tell, or it is
    /// the system's.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.info().limits.get(adapter::MEMORY_BYTES).copied()
    }

    /// The graphics device; `None` for the interpreter.
    pub(crate) fn gpu(&self) -> Option<&Arc<Gpu>> {
        match &self.backend {
            Backend::Gpu(gpu) => Some(gpu),
            Backend::Reference(_) => None,
        }
    }

    /// What shader variants may depend on. The interpreter stores no f16: it computes in f32. Of
    /// several kernels for the same work a device gets the plainest until it is told by
    /// [`Device::choose`].
    pub(crate) fn caps(&self) -> Caps {
        let Some(gpu) = self.gpu() else {
            return Caps {
                f16: false,
                ..Caps::unlimited()
            };
        };
        let choice = gpu.choice.get().unwrap_or(&gpu.caps.choice);
        Caps {
            choice: Arc::clone(choice),
            ..gpu.caps.clone()
        }
    }

    /// Says which kernels may be used. What is said first counts.
    pub(crate) fn choose(&self, choice: KernelChoice) {
        if let Some(gpu) = self.gpu() {
            gpu.choice.get_or_init(|| Arc::new(choice));
        }
    }

    /// Whether it was said.
    pub(crate) fn has_choice(&self) -> bool {
        self.gpu().is_none_or(|gpu| gpu.choice.get().is_some())
    }
}

/// An open graphics device with its queue, its kernels and its faults.
#[derive(Debug)]
pub(crate) struct Gpu {
    pub(super) info: AdapterInfo,
    pub(super) caps: Caps,
    pub(super) limits: wgpu::Limits,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) runtime_checks: bool,
    /// Whether what is found out about kernels holds for the adapter at its next opening as well.
    pub(crate) is_usual: bool,
    /// Whether what was found best is left out of account.
    pub(crate) no_tuning: bool,
    choice: OnceLock<Arc<KernelChoice>>,
    pub(super) kernels: Mutex<HashMap<String, Slot>>,
    pub(super) cache: Option<DriverCache>,
    pub(super) pace: Pace,
    faults: Arc<Faults>,
}

/// What the driver reported outside any call: kept until the next [`Gpu::check`].
#[derive(Debug, Default)]
struct Faults {
    lost: Mutex<Option<String>>,
    error: Mutex<Option<Error>>,
}

impl Gpu {
    async fn open(options: &DeviceOptions) -> Result<Self> {
        let (info, adapter) =
            adapter::choose(adapter::adapters().await, options.adapter.as_deref())?;
        let wanted = if options.portable {
            wgpu::Features::empty()
        } else {
            adapter::optional_features()
        };
        let mut features = adapter.features() & wanted;
        let limits = adapter.limits();
        let mut opened = request(&adapter, features, &limits).await;
        if opened.is_err() && features.intersects(adapter::EXPERIMENTAL) {
            features.remove(adapter::EXPERIMENTAL);
            opened = request(&adapter, features, &limits).await;
        }
        let (device, queue) = opened.map_err(|error| {
            Error::NoAdapter(format!("{} could not be opened: {error}", info.name))
        })?;
        let faults = Arc::new(Faults::default());
        watch(&device, &faults);
        let is_cpu = adapter.get_info().device_type == wgpu::DeviceType::Cpu;
        let cache = DriverCache::open(&device, &adapter.get_info());
        Ok(Self {
            caps: Caps {
                rules: options.rules,
                ..adapter::caps(&adapter, features, &limits)
            },
            info,
            limits,
            device,
            queue,
            runtime_checks: options.runtime_checks,
            is_usual: !options.runtime_checks && !options.portable,
            no_tuning: options.no_tuning,
            choice: OnceLock::new(),
            kernels: Mutex::default(),
            cache,
            pace: Pace::new(is_cpu),
            faults,
        })
    }

    /// The first fault that the driver reported since the last check.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub(crate) fn check(&self) -> Result<()> {
        self.check_lost()?;
        match lock(&self.faults.error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Whether the device is there still. Leaves faults for whoever caused them to find.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub(super) fn check_lost(&self) -> Result<()> {
        match lock(&self.faults.lost).clone() {
            Some(reason) => Err(Error::DeviceLost { reason }),
            None => Ok(()),
        }
    }

    /// Waits until everything submitted is done.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`] if the driver reported a fault.
    pub(crate) fn wait(&self) -> Result<()> {
        self.poll(wgpu::PollType::wait_indefinitely())?;
        self.pace.all_done();
        Ok(())
    }

    /// Waits until these commands are done, and those submitted before them.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub(super) fn wait_for(&self, commands: wgpu::SubmissionIndex) -> Result<()> {
        self.poll(wgpu::PollType::Wait {
            submission_index: Some(commands),
            timeout: None,
        })
    }

    fn poll(&self, until: wgpu::PollType) -> Result<()> {
        let waited = self.device.poll(until);
        self.check()?;
        waited
            .map(|_| ())
            .map_err(|error| Error::Gpu(error.to_string()))
    }
}

/// Asks the driver for a device.
async fn request(
    adapter: &wgpu::Adapter,
    features: wgpu::Features,
    limits: &wgpu::Limits,
) -> std::result::Result<(wgpu::Device, wgpu::Queue), wgpu::RequestDeviceError> {
    let experimental_features = if features.intersects(adapter::EXPERIMENTAL) {
        // SAFETY: of what wgpu does not vouch for yet only cooperative matrices are asked for. Their
        // loads and stores stay within workgroup memory, by the sizes of the tiles that declare it,
        // and no kernel with them is used before it agreed with its definition on the adapter.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    } else {
        wgpu::ExperimentalFeatures::disabled()
    };
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("aquatint"),
        required_features: features,
        required_limits: limits.clone(),
        experimental_features,
        // Buffers here are few and large. In the default's blocks of 128 MiB and more, the memory
        // of the staging ring would stay beside weights and never go back to the system.
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..wgpu::DeviceDescriptor::default()
    };
    adapter.request_device(&descriptor).await
}

/// Keeps faults for [`Gpu::check`]: without handlers, wgpu panics.
fn watch(device: &wgpu::Device, faults: &Arc<Faults>) {
    let kept = Arc::clone(faults);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        lock(&kept.error).get_or_insert(fault(error));
    }));
    let kept = Arc::clone(faults);
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            lock(&kept.lost).get_or_insert(message);
        }
    });
}

/// What the driver reported, as an error of ours.
pub(super) fn fault(error: wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory {
            what: "running commands".into(),
            needed_bytes: None,
            available_bytes: None,
        },
        other => Error::Gpu(one_line(&other.to_string())),
    }
}

/// A driver's message, which may have many lines, in one.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
