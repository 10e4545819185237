//! What the machine offers: the list of adapters, and the choice among them.

use crate::error::{Error, Result};
use crate::tensor::{Caps, KernelChoice, Rules};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A graphics adapter and what it can do.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AdapterInfo {
    /// Its place in [`crate::Device::list`]; 0 where a host opened the device.
    pub index: usize,
    /// The driver's name for it.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, or `reference` for the CPU interpreter.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
    /// Whether the "graphics" run on the CPU.
    pub software: bool,
    /// The driver and its version.
    pub driver: String,
    /// Of the features that aquatint makes use of, those that are there.
    pub features: Vec<String>,
    /// The limits that decide what fits, in bytes or counts.
    pub limits: BTreeMap<String, u64>,
}

impl AdapterInfo {
    /// The CPU interpreter, presented as an adapter.
    pub(super) fn reference() -> Self {
        Self {
            index: 0,
            name: "reference interpreter".into(),
            backend: "reference".into(),
            kind: "software".into(),
            software: true,
            driver: String::new(),
            features: Vec::new(),
            limits: BTreeMap::new(),
        }
    }

    /// What an adapter is, and what it can do by these features and limits: its own, or those that a
    /// device was opened with.
    pub(super) fn new(
        index: usize,
        adapter: &wgpu::Adapter,
        features: wgpu::Features,
        limits: &wgpu::Limits,
    ) -> Self {
        let info = adapter.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        };
        let features = OPTIONAL_FEATURES
            .iter()
            .filter(|(feature, _)| features.contains(*feature));
        let limits = [
            ("max_buffer_bytes", limits.max_buffer_size),
            ("max_binding_bytes", limits.max_storage_buffer_binding_size),
            (
                "max_workgroup_memory_bytes",
                u64::from(limits.max_compute_workgroup_storage_size),
            ),
            (
                "max_workgroup_invocations",
                u64::from(limits.max_compute_invocations_per_workgroup),
            ),
            (
                "max_storage_buffers",
                u64::from(limits.max_storage_buffers_per_shader_stage),
            ),
            ("subgroup_min_size", u64::from(info.subgroup_min_size)),
            ("subgroup_max_size", u64::from(info.subgroup_max_size)),
        ];
        let memory = memory_bytes(adapter).map(|bytes| (MEMORY_BYTES, bytes));
        Self {
            index,
            name: info.name,
            backend: info.backend.to_str().to_owned(),
            kind: kind.to_owned(),
            software: info.device_type == wgpu::DeviceType::Cpu,
            driver: format!("{} {}", info.driver, info.driver_info)
                .trim()
                .to_owned(),
            features: features.map(|(_, name)| (*name).to_owned()).collect(),
            limits: limits
                .into_iter()
                .chain(memory)
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }
}

/// The name of an adapter's own memory among its limits.
pub(super) const MEMORY_BYTES: &str = "memory_bytes";

/// Bytes of an adapter's own memory, where the driver tells and it is not the system's: the largest
/// of Vulkan's heaps on the device.
#[cfg(any(target_os = "linux", windows))]
fn memory_bytes(adapter: &wgpu::Adapter) -> Option<u64> {
    /// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`
    const DEVICE_LOCAL: u32 = 1;
    if adapter.get_info().device_type != wgpu::DeviceType::DiscreteGpu {
        return None;
    }
    // SAFETY: the adapter underneath is only read, and lives as long as this borrow.
    let vulkan = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = vulkan.shared_instance().raw_instance();
    // SAFETY: the handle is that of this instance's own device; the call writes to what it returns.
    let memory =
        unsafe { instance.get_physical_device_memory_properties(vulkan.raw_physical_device()) };
    let heaps = memory.memory_heaps_as_slice().iter();
    let own = heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0);
    own.map(|heap| heap.size).max()
}

/// Bytes of an adapter's own memory, where there is a way to ask for it: not here.
#[cfg(not(any(target_os = "linux", windows)))]
fn memory_bytes(_adapter: &wgpu::Adapter) -> Option<u64> {
    None
}

/// Features that are taken when there, and never required.
pub(super) const OPTIONAL_FEATURES: [(wgpu::Features, &str); 5] = [
    (wgpu::Features::SHADER_F16, "f16"),
    (wgpu::Features::SUBGROUP, "subgroups"),
    (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
    (wgpu::Features::PIPELINE_CACHE, "pipeline-cache"),
    (EXPERIMENTAL, "cooperative-matrix"),
];

/// Of these, what wgpu asks to be told that it is wanted.
pub(super) const EXPERIMENTAL: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;

/// Sizes of cooperative matrices that there are kernels for, the better first.
const COOPERATIVE_SIZES: [u32; 2] = [16, 8];

/// Rows and columns of an adapter's square matrices of halves with sums in f32. Those of adapters that
/// are CPUs only pretend.
fn cooperative(adapter: &wgpu::Adapter, features: wgpu::Features) -> Option<u32> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let asked = EXPERIMENTAL | wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
    let is_cpu = adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    if is_cpu || !features.contains(asked) {
        return None;
    }
    let matrices = adapter.cooperative_matrix_properties();
    COOPERATIVE_SIZES.into_iter().find(|&size| {
        matrices.iter().any(|one| {
            [one.m_size, one.n_size, one.k_size] == [size; 3]
                && one.ab_type == F16
                && one.cr_type == F32
        })
    })
}

/// Sizes of subgroups that the kernels for CPUs divide their rows by.
const SIMD_SIZES: [u32; 3] = [4, 8, 16];

/// All of them.
pub(super) fn optional_features() -> wgpu::Features {
    let features = OPTIONAL_FEATURES.iter();
    features.fold(wgpu::Features::empty(), |all, (one, _)| all | *one)
}

/// Whether a device with these features and limits is all that its adapter is, for kernels.
pub(super) fn has_all(
    adapter: &wgpu::Adapter,
    features: wgpu::Features,
    limits: &wgpu::Limits,
) -> bool {
    let matters = wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP | EXPERIMENTAL;
    let all = adapter.limits();
    features.contains(adapter.features() & matters)
        && limits.max_compute_workgroup_storage_size >= all.max_compute_workgroup_storage_size
        && limits.max_storage_buffer_binding_size >= all.max_storage_buffer_binding_size
}

/// What shader variants may depend on, of a device opened with `features` and `limits`.
pub(super) fn caps(
    adapter: &wgpu::Adapter,
    features: wgpu::Features,
    limits: &wgpu::Limits,
) -> Caps {
    let info = adapter.get_info();
    let size = info.subgroup_min_size;
    let is_cpu = info.device_type == wgpu::DeviceType::Cpu;
    let has_fixed_size = size == info.subgroup_max_size && SIMD_SIZES.contains(&size);
    Caps {
        simd: (is_cpu && has_fixed_size && features.contains(wgpu::Features::SUBGROUP))
            .then_some(size),
        f16: features.contains(wgpu::Features::SHADER_F16),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        binding_alignment: u64::from(limits.min_storage_buffer_offset_alignment),
        cooperative: cooperative(adapter, features),
        max_workgroup_bytes: u64::from(limits.max_compute_workgroup_storage_size),
        rules: Rules::all(),
        choice: Arc::new(KernelChoice::default()),
    }
}

/// The graphics interfaces that are spoken here.
const BACKENDS: wgpu::Backends = wgpu::Backends::VULKAN
    .union(wgpu::Backends::METAL)
    .union(wgpu::Backends::DX12);

/// Those of them that were compiled in, which the platform decides.
pub(super) fn backends() -> Vec<&'static str> {
    let compiled = wgpu::Instance::enabled_backend_features() & BACKENDS;
    let all = wgpu::Backend::ALL.into_iter();
    let compiled = all.filter(|backend| compiled.contains((*backend).into()));
    compiled.map(wgpu::Backend::to_str).collect()
}

/// Every adapter that answers, real ones first.
pub(super) async fn adapters() -> Vec<(AdapterInfo, wgpu::Adapter)> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = BACKENDS;
    // The host's debug layers are the host's choice: WGPU_VALIDATION and the like.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    adapters.retain(computes);
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
        .into_iter()
        .enumerate()
        .map(|(index, adapter)| {
            let (features, limits) = (adapter.features(), adapter.limits());
            (
                AdapterInfo::new(index, &adapter, features, &limits),
                adapter,
            )
        })
        .collect()
}

/// Whether compute shaders run at all.
fn computes(adapter: &wgpu::Adapter) -> bool {
    let flags = adapter.get_downlevel_capabilities().flags;
    flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
}

/// The first adapter, or the one of that index or with that part in its name.
pub(super) fn choose(
    mut adapters: Vec<(AdapterInfo, wgpu::Adapter)>,
    wanted: Option<&str>,
) -> Result<(AdapterInfo, wgpu::Adapter)> {
    if adapters.is_empty() {
        return Err(Error::NoAdapter(format!(
            "no graphics adapter answered; {}",
            remedy()
        )));
    }
    let names: Vec<String> = adapters
        .iter()
        .map(|(info, _)| format!("{} {}", info.index, info.name))
        .collect();
    let place = match wanted {
        None => Some(0),
        Some(wanted) => find(adapters.iter().map(|(info, _)| info), wanted),
    };
    match place {
        Some(place) => Ok(adapters.swap_remove(place)),
        None => {
            let wanted = wanted.unwrap_or_default();
            let reason = format!(
                "no adapter matches \"{wanted}\"; there are: {}",
                names.join(", ")
            );
            Err(Error::request("device", reason))
        }
    }
}

/// The place of the adapter of that index, or else of the first with that part in its name: `4090`
/// is hardly an index.
fn find<'a>(
    adapters: impl Iterator<Item = &'a AdapterInfo> + Clone,
    wanted: &str,
) -> Option<usize> {
    let by_index = adapters
        .clone()
        .position(|info| info.index.to_string() == wanted);
    let part = wanted.to_lowercase();
    by_index.or_else(|| {
        adapters
            .clone()
            .position(|info| info.name.to_lowercase().contains(&part))
    })
}

/// What to install where no driver answers.
fn remedy() -> &'static str {
    if cfg!(target_os = "linux") {
        "install your GPU's Vulkan driver, or software Vulkan: `apt install mesa-vulkan-drivers`, \
         `dnf install mesa-vulkan-drivers` or `pacman -S vulkan-swrast`"
    } else if cfg!(target_os = "windows") {
        "install your GPU maker's driver; aquatint needs DirectX 12 or Vulkan"
    } else {
        "aquatint needs Metal or Vulkan"
    }
}
