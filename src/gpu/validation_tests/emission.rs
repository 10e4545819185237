//! The writers of SPIR-V, MSL and HLSL, called as wgpu-hal calls them.

use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::ModuleInfo;
use naga::{AddressSpace, Module, ResourceBinding, ShaderStage, StorageAccess};

/// What our kernels are compiled with: wgpu's own checks, or none, and workgroup memory cleared with
/// them only.
const RUNTIME_CHECKS: [bool; 2] = [false, true];
/// SPIR-V of Vulkan 1.0 and 1.3.
const SPIRV_VERSIONS: [(u8, u8); 2] = [(1, 0), (1, 6)];
/// The oldest Metal with everything we use, macOS 11, and that of macOS 13.
const MSL_VERSIONS: [(u8, u8); 2] = [(2, 3), (3, 0)];

/// A place that no binding has: for the lengths of arrays (MSL), and the number of workgroups (HLSL).
const SPARE_PLACE: u8 = 30;

/// The optional features that a module makes use of.
#[derive(Clone, Copy)]
pub(super) struct Features {
    pub(super) f16: bool,
    pub(super) subgroups: bool,
    /// Rows and columns of cooperative matrices.
    pub(super) cooperative: Option<u32>,
}

/// Whether every backend's writer takes the module.
pub(super) fn check(module: &Module, info: &ModuleInfo, features: Features) -> Result<(), String> {
    for checked in RUNTIME_CHECKS {
        for version in SPIRV_VERSIONS {
            check_spirv(module, info, version, features, checked)?;
        }
        // Metal has no matrices of 16×16, whatever its writer takes; DirectX has none.
        if features.cooperative != Some(16) {
            for version in MSL_VERSIONS {
                check_msl(module, info, version, checked)?;
            }
        }
        if features.cooperative.is_none() {
            check_hlsl(module, info, features.f16, checked)?;
        }
    }
    Ok(())
}

/// The module's bindings, with the space and the place of each.
fn bindings(module: &Module) -> impl Iterator<Item = (ResourceBinding, AddressSpace)> {
    let variables = module.global_variables.iter();
    variables.filter_map(|(_, variable)| Some((variable.binding?, variable.space)))
}

fn is_written(space: AddressSpace) -> bool {
    matches!(space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE))
}

fn policies(checked: bool) -> BoundsCheckPolicies {
    let policy = match checked {
        true => BoundsCheckPolicy::Restrict,
        false => BoundsCheckPolicy::Unchecked,
    };
    BoundsCheckPolicies {
        index: policy,
        buffer: policy,
        image_load: policy,
        binding_array: BoundsCheckPolicy::Unchecked,
    }
}

/// wgpu-hal 30.0.1, vulkan/adapter.rs and `compile_stage` of vulkan/device.rs.
fn check_spirv(
    module: &Module,
    info: &ModuleInfo,
    lang_version: (u8, u8),
    features: Features,
    checked: bool,
) -> Result<(), String> {
    let mut capabilities = vec![spv::Capability::Shader, spv::Capability::Matrix];
    if features.f16 {
        capabilities.push(spv::Capability::Float16);
    }
    if features.subgroups {
        capabilities.extend([
            spv::Capability::GroupNonUniform,
            spv::Capability::GroupNonUniformArithmetic,
            spv::Capability::GroupNonUniformShuffle,
        ]);
    }
    if features.cooperative.is_some() {
        capabilities.extend([
            spv::Capability::CooperativeMatrixKHR,
            spv::Capability::VulkanMemoryModel,
        ]);
    }
    let target = |binding: ResourceBinding| spv::BindingInfo {
        descriptor_set: binding.group,
        binding: binding.binding,
        binding_array_size: None,
    };
    let options = spv::Options {
        lang_version,
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        fake_missing_bindings: false,
        binding_map: bindings(module)
            .map(|(binding, _)| (binding, target(binding)))
            .collect(),
        capabilities: Some(capabilities.into_iter().collect()),
        bounds_check_policies: policies(checked),
        zero_initialize_workgroup_memory: match checked {
            true => spv::ZeroInitializeWorkgroupMemoryMode::Polyfill,
            false => spv::ZeroInitializeWorkgroupMemoryMode::None,
        },
        force_loop_bounding: checked,
        use_storage_input_output_16: features.f16,
        emit_int_div_checks: checked,
        ..spv::Options::default()
    };
    let entry = spv::PipelineOptions {
        shader_stage: ShaderStage::Compute,
        entry_point: "main".into(),
    };
    let words = spv::write_vec(module, info, &options, Some(&entry));
    words
        .map(|_| ())
        .map_err(|error| format!("SPIR-V {lang_version:?}: {error}"))
}

/// wgpu-hal 30.0.1, `load_shader` of metal/device.rs.
fn check_msl(
    module: &Module,
    info: &ModuleInfo,
    lang_version: (u8, u8),
    checked: bool,
) -> Result<(), String> {
    let slot = |binding: u32| u8::try_from(binding).expect("a few bindings");
    let target = |(binding, space): (ResourceBinding, AddressSpace)| {
        let target = msl::BindTarget {
            buffer: Some(slot(binding.binding)),
            mutable: is_written(space),
            ..msl::BindTarget::default()
        };
        (binding, target)
    };
    let resources = msl::EntryPointResources {
        resources: bindings(module).map(target).collect(),
        immediates_buffer: None,
        sizes_buffer: Some(SPARE_PLACE),
    };
    let options = msl::Options {
        lang_version,
        per_entry_point_map: [("main".to_owned(), resources)].into(),
        fake_missing_bindings: false,
        bounds_check_policies: policies(checked),
        zero_initialize_workgroup_memory: checked,
        force_loop_bounding: checked,
        emit_int_div_checks: checked,
        ..msl::Options::default()
    };
    let entry = msl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, "main".into())),
        ..msl::PipelineOptions::default()
    };
    let written = msl::write_string(module, info, &options, &entry);
    let (_, reflection) = written.map_err(|error| format!("MSL {lang_version:?}: {error}"))?;
    entry_point(reflection.entry_point_names, "MSL")
}

/// wgpu-hal 30.0.1, `create_pipeline_layout` and `load_shader` of dx12/device.rs. f16 needs shader
/// model 6.2, though the writer takes it for less.
fn check_hlsl(module: &Module, info: &ModuleInfo, f16: bool, checked: bool) -> Result<(), String> {
    let target = |register: u32| hlsl::BindTarget {
        register,
        restrict_indexing: true,
        ..hlsl::BindTarget::default()
    };
    let options = hlsl::Options {
        shader_model: if f16 {
            hlsl::ShaderModel::V6_2
        } else {
            hlsl::ShaderModel::V6_0
        },
        binding_map: bindings(module)
            .map(|(binding, _)| (binding, target(binding.binding)))
            .collect(),
        fake_missing_bindings: false,
        special_constants_binding: Some(target(SPARE_PLACE.into())),
        zero_initialize_workgroup_memory: checked,
        restrict_indexing: checked,
        force_loop_bounding: checked,
        ..hlsl::Options::default()
    };
    let entry = hlsl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, "main".into())),
    };
    let mut text = String::new();
    let written = hlsl::Writer::new(&mut text, &options, &entry).write(module, info, None);
    let reflection = written.map_err(|error| format!("HLSL: {error}"))?;
    entry_point(reflection.entry_point_names, "HLSL")
}

/// Whether the entry point was written: its lack is reported apart from other failures.
fn entry_point<E: std::fmt::Display>(
    names: Vec<Result<String, E>>,
    language: &str,
) -> Result<(), String> {
    match names.as_slice() {
        [Ok(_)] => Ok(()),
        [Err(error)] => Err(format!("{language}: {error}")),
        _ => Err(format!("{language}: {} entry points", names.len())),
    }
}
