//! An open device, or the CPU interpreter in its place.

use super::adapter::{self, AdapterInfo};
use super::cache::DriverCache;
use super::faults::Faults;
use super::kernel::Slot;
use super::pace::Pace;
use super::uploads::Uploads;
use super::wait::{Watcher, block_on};
use crate::error::{Error, Result};
use crate::tensor::{Caps, KernelChoice, Rules};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Where pictures are made: a graphics device, or the CPU interpreter. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Device {
    pub(super) backend: Backend,
}

#[derive(Clone, Debug)]
pub(super) enum Backend {
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
    /// How long the work may take that is on its way to the device at once, as measured: what else
    /// draws with the device waits for no more than that. Where there is none it is
    /// [`DeviceOptions::DEFAULT_BUDGET`], except that a device of our own whose adapter is a CPU gets
    /// the work of a run at once.
    ///
    /// The measure is that of earlier work, and of what can be long only products, convolutions and
    /// attention are cut, so on slow devices and at large sizes some submissions take longer.
    pub submission_budget: Option<Duration>,
}

impl DeviceOptions {
    /// The budget of submissions where none is given.
    pub const DEFAULT_BUDGET: Duration = Duration::from_millis(100);
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
        let gpu = block_on(Gpu::open(options))?;
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
        block_on(adapter::adapters())
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
    pub(super) backend: wgpu::Backend,
    pub(super) caps: Caps,
    pub(super) limits: wgpu::Limits,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Whether it is a host's, which draws with it too.
    pub(super) is_shared: bool,
    pub(super) runtime_checks: bool,
    /// Whether what is found out about kernels holds for the adapter at its next opening as well.
    pub(crate) is_usual: bool,
    /// Whether what was found best is left out of account.
    pub(crate) no_tuning: bool,
    choice: OnceLock<Arc<KernelChoice>>,
    pub(super) kernels: Mutex<HashMap<String, Slot>>,
    pub(super) uploads: Uploads,
    pub(super) cache: Option<DriverCache>,
    pub(super) pace: Pace,
    pub(super) faults: Arc<Faults>,
    pub(super) watcher: Watcher,
}

/// A device as the driver gave it.
pub(super) struct Opened<'a> {
    pub(super) adapter: &'a wgpu::Adapter,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Whether it is a host's, which draws with it too.
    pub(super) is_shared: bool,
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
        let mut opened = request(&adapter, features).await;
        if opened.is_err() && features.intersects(adapter::EXPERIMENTAL) {
            features.remove(adapter::EXPERIMENTAL);
            opened = request(&adapter, features).await;
        }
        let (device, queue) = opened.map_err(|error| {
            Error::NoAdapter(format!("{} could not be opened: {error}", info.name))
        })?;
        let opened = Opened {
            adapter: &adapter,
            device,
            queue,
            is_shared: false,
        };
        Self::new(info, opened, options)
    }

    /// All of an open device, of ours or of a host's.
    ///
    /// # Errors
    /// As [`Gpu::guarded`].
    pub(super) fn new(
        info: AdapterInfo,
        opened: Opened<'_>,
        options: &DeviceOptions,
    ) -> Result<Self> {
        let Opened {
            adapter,
            device,
            queue,
            is_shared,
        } = opened;
        let faults = Arc::new(Faults::default());
        if !is_shared {
            faults.watch(&device);
        }
        let mut features = device.features();
        if options.portable {
            features = features - adapter::optional_features();
        }
        let limits = device.limits();
        let has_all = adapter::has_all(adapter, features, &limits);
        let wgpu::AdapterInfo {
            device_type,
            backend,
            ..
        } = adapter.get_info();
        let is_cpu = device_type == wgpu::DeviceType::Cpu;
        let mut gpu = Self {
            backend,
            caps: Caps {
                rules: options.rules,
                ..adapter::caps(adapter, features, &limits)
            },
            info,
            limits,
            cache: None,
            device,
            queue,
            is_shared,
            runtime_checks: options.runtime_checks,
            is_usual: !options.runtime_checks && !options.portable && has_all,
            no_tuning: options.no_tuning,
            choice: OnceLock::new(),
            kernels: Mutex::default(),
            uploads: Uploads::default(),
            pace: Pace::new(options.submission_budget, is_cpu, is_shared),
            faults,
            watcher: Watcher::default(),
        };
        gpu.cache = gpu.guarded(|| DriverCache::open(&gpu.device, &adapter.get_info()))?;
        Ok(gpu)
    }

    /// Waits until everything that was submitted here is done.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`] if the driver reported a fault.
    pub(crate) async fn wait(self: &Arc<Self>) -> Result<()> {
        self.landed().await?;
        match self.pace.last() {
            Some(commands) => self.done(commands).await,
            None => Ok(()),
        }
    }
}

/// Asks the driver for a device.
async fn request(
    adapter: &wgpu::Adapter,
    features: wgpu::Features,
) -> std::result::Result<(wgpu::Device, wgpu::Queue), wgpu::RequestDeviceError> {
    let descriptor = descriptor(adapter, features);
    adapter.request_device(&descriptor).await
}

/// What a driver is asked for.
pub(super) fn descriptor(
    adapter: &wgpu::Adapter,
    features: wgpu::Features,
) -> wgpu::DeviceDescriptor<'static> {
    let experimental_features = if features.intersects(adapter::EXPERIMENTAL) {
        // SAFETY: of what wgpu does not vouch for yet only cooperative matrices are asked for. Their
        // loads and stores stay within workgroup memory, by the sizes of the tiles that declare it,
        // and no kernel with them is used before it agreed with its definition on the adapter.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    } else {
        wgpu::ExperimentalFeatures::disabled()
    };
    wgpu::DeviceDescriptor {
        label: Some("aquatint"),
        required_features: features,
        required_limits: adapter.limits(),
        experimental_features,
        // Buffers here are few and large. In the default's blocks of 128 MiB and more, the memory
        // of the staging ring would stay beside weights and never go back to the system.
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..wgpu::DeviceDescriptor::default()
    }
}
