//! Every shader variant, checked without a device: by naga's validator, by the writers of SPIR-V,
//! MSL and HLSL, and by rules of ours where a text that is written proves nothing.

mod emission;
mod uniformity;
mod variants;

use self::emission::Features;
use self::variants::{Variant, variants};
use super::reflect::Reflection;
use super::shaders::SHADERS;
use crate::tensor::{DType, Dispatch};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// WebGPU's default limits, which every device grants.
const MAX_WORKGROUP_BYTES: u32 = 16 << 10;
/// What devices with cooperative matrices grant, and selection makes sure of.
const MAX_COOPERATIVE_BYTES: u32 = 32 << 10;
const MAX_STORAGE_BUFFERS: usize = 8;
const READ_ONLY: [DType; 3] = [DType::Bf16, DType::F8E4m3, DType::F8E5m2];
const MAX_INVOCATIONS: u32 = 256;
const MAX_WORKGROUP_SIZE: [u32; 3] = [256, 256, 64];

/// All that is checked of a variant.
fn check(variant: &Variant) -> Result<(), String> {
    let Variant {
        dispatch,
        f16,
        subgroups,
        cooperative,
        source,
    } = variant;
    let module =
        naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let enabled = source.lines().any(|line| line == "enable f16;");
    let info = Validator::new(
        ValidationFlags::all(),
        capabilities(enabled, *subgroups, *cooperative),
    )
    .validate(&module)
    .map_err(|error| error.emit_to_string(source))?;
    check_entry_point(&module)?;
    let most = match cooperative {
        Some(_) => MAX_COOPERATIVE_BYTES,
        None => MAX_WORKGROUP_BYTES,
    };
    check_memory(&module, most)?;
    check_types(&module, dispatch, *f16)?;
    check_interface(&module, dispatch)?;
    check_constants(dispatch, source)?;
    if !uniformity::barriers_are_uniform(&module) {
        return Err("some invocations may miss a barrier".into());
    }
    let features = Features {
        f16: enabled,
        subgroups: *subgroups,
        cooperative: *cooperative,
    };
    emission::check(&module, &info, features)
}

/// What wgpu allows a shader on our devices: the features that are always asked for, all of
/// WebGPU's, f16 where the shader says so, subgroups and cooperative matrices where it has them.
fn capabilities(f16: bool, subgroups: bool, cooperative: Option<u32>) -> Capabilities {
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    capabilities.set(Capabilities::SHADER_FLOAT16, f16);
    capabilities.set(Capabilities::SUBGROUP, subgroups);
    capabilities.set(Capabilities::COOPERATIVE_MATRIX, cooperative.is_some());
    capabilities
}

fn check_entry_point(module: &Module) -> Result<(), String> {
    let [entry] = module.entry_points.as_slice() else {
        return Err(format!("{} entry points", module.entry_points.len()));
    };
    if entry.name != "main" || entry.stage != ShaderStage::Compute {
        return Err(format!(
            "the entry point is {:?} {}",
            entry.stage, entry.name
        ));
    }
    let size = entry.workgroup_size;
    let too_long = size
        .iter()
        .zip(MAX_WORKGROUP_SIZE)
        .any(|(axis, most)| *axis > most);
    if too_long || size.iter().product::<u32>() > MAX_INVOCATIONS {
        return Err(format!("{size:?} invocations in a workgroup"));
    }
    Ok(())
}

fn check_memory(module: &Module, most_shared: u32) -> Result<(), String> {
    let of = |wanted: fn(AddressSpace) -> bool| {
        let variables = module.global_variables.iter().map(|(_, variable)| variable);
        variables.filter(move |variable| wanted(variable.space))
    };
    let shared = of(|space| space == AddressSpace::WorkGroup);
    let bytes: u32 = shared
        .map(|variable| module.types[variable.ty].inner.size(module.to_ctx()))
        .sum();
    if bytes > most_shared {
        return Err(format!("{bytes} bytes of workgroup memory"));
    }
    let buffers = of(|space| matches!(space, AddressSpace::Storage { .. })).count();
    if buffers > MAX_STORAGE_BUFFERS {
        return Err(format!("{buffers} storage buffers"));
    }
    Ok(())
}

/// f16 where the device has it only; types that are read and never written have no store.
fn check_types(module: &Module, dispatch: &Dispatch, f16: bool) -> Result<(), String> {
    let is_f16 = |ty: &naga::Type| ty.inner.scalar() == Some(naga::Scalar::F16);
    if !f16 && module.types.iter().any(|(_, ty)| is_f16(ty)) {
        return Err("f16 on a device without".into());
    }
    let mut written = dispatch.storage.iter().filter(|storage| storage.written);
    match written.find(|storage| READ_ONLY.contains(&storage.dtype)) {
        Some(storage) => Err(format!("{} is written as {}", storage.name, storage.dtype)),
        None => Ok(()),
    }
}

fn check_interface(module: &Module, dispatch: &Dispatch) -> Result<(), String> {
    let reflection = Reflection::of(module).map_err(|error| error.to_string())?;
    reflection
        .params(&dispatch.params, 0)
        .map_err(|error| error.to_string())?;
    let declared = reflection.storage.iter();
    let declared: Vec<_> = declared
        .map(|one| (one.name.as_str(), one.written))
        .collect();
    let asked: Vec<_> = dispatch
        .storage
        .iter()
        .map(|one| (one.name, one.written))
        .collect();
    if declared != asked {
        return Err(format!("bindings {declared:?} are not {asked:?}"));
    }
    let mut bindings = module
        .global_variables
        .iter()
        .filter_map(|(_, one)| one.binding.as_ref());
    if bindings.any(|binding| binding.group != 0) {
        return Err("a binding is not in group 0".into());
    }
    Ok(())
}

/// Whether the shader mentions each constant that it is given, once more than the prelude does.
fn check_constants(dispatch: &Dispatch, source: &str) -> Result<(), String> {
    let code = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let words: Vec<&str> = code
        .flat_map(|line| line.split(|c: char| !is_word(c)))
        .collect();
    for (name, _) in &dispatch.constants {
        if words.iter().filter(|word| *word == name).count() < 2 {
            return Err(format!("{name} is set and not used"));
        }
    }
    Ok(())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What variant a message is about.
fn describe(variant: &Variant) -> String {
    let Dispatch {
        shader,
        storage,
        constants,
        ..
    } = &variant.dispatch;
    let bindings = storage
        .iter()
        .map(|one| format!("{} {}×{}", one.name, one.dtype, one.lanes.count()));
    let bindings: Vec<String> = bindings.collect();
    format!(
        "{shader} ({}) {constants:?}, f16: {}",
        bindings.join(", "),
        variant.f16
    )
}

#[test]
fn every_variant_is_fit_for_every_backend() {
    let faults: Vec<String> = variants()
        .par_iter()
        .filter_map(|variant| Some(format!("{}: {}", describe(variant), check(variant).err()?)))
        .collect();
    let (count, all) = (faults.len(), variants().len());
    assert!(
        faults.is_empty(),
        "{count} of {all} variants\n{}",
        faults.join("\n")
    );
}

#[test]
fn every_shader_file_is_registered_and_occurs() {
    let registered: BTreeSet<&str> = SHADERS.iter().map(|(name, _)| *name).collect();
    let occurring: BTreeSet<&str> = variants()
        .iter()
        .map(|variant| variant.dispatch.shader)
        .collect();
    let files = shader_files("shaders");
    let named: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, registered);
    assert_eq!(registered, occurring);
    for (name, text) in files.iter().chain(&shader_files("shaders/common")) {
        let occurs = variants()
            .iter()
            .any(|variant| variant.source.contains(text));
        assert!(occurs, "{name} is part of no variant");
    }
}

#[test]
fn every_shader_file_says_what_it_is() {
    for (name, text) in shader_files("shaders")
        .iter()
        .chain(&shader_files("shaders/common"))
    {
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with(&format!("// {name} — ")),
            "{name} begins with {first:?}"
        );
        let header = text.lines().take_while(|line| line.starts_with("//"));
        for reference in header.filter_map(|line| line.split("reference: ").nth(1)) {
            assert!(
                root().join(reference).is_file(),
                "{name}: there is no {reference}"
            );
        }
    }
}

/// The shaders of a folder, by name.
fn shader_files(folder: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let shaders = paths.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "wgsl")
    });
    let named = |path: PathBuf| {
        let name = path
            .file_stem()
            .expect("it has a name")
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read_to_string(path).expect("it can be read"))
    };
    shaders.map(named).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A shader, a part of its text, what stands in its place, and a part of what is said of it then.
const BROKEN: [(&str, &str, &str, &str); 16] = [
    ("scale", "let i =", "let j =", "no definition in scope"),
    (
        "scale",
        "params.factor * x_at(i)",
        "params.count",
        "invalid",
    ),
    (
        "scale",
        "let i =",
        "let sum = subgroupAdd(1u);\n    let i =",
        "SUBGROUP",
    ),
    (
        "scale",
        "alias lane =",
        "var<private> h: f16;\nalias lane =",
        "extension",
    ),
    (
        "scale",
        "alias lane =",
        "enable f16;\nvar<private> h: f16;\nalias lane =",
        "f16 on a device",
    ),
    ("scale", "fn main(", "fn start(", "the entry point is"),
    (
        "scale",
        "@group(0) @binding(1)",
        "@group(0) @binding(3)",
        "numbered in order",
    ),
    (
        "scale",
        "@group(0) @binding(1)",
        "@group(1) @binding(1)",
        "group 0",
    ),
    (
        "scale",
        "factor: f32 }",
        "factor: f32, shift: f32 }",
        "Params.shift",
    ),
    (
        "scale",
        "storage, read> x:",
        "storage, read_write> x:",
        "bindings",
    ),
    (
        "binary",
        "if (PRODUCT)",
        "if (true)",
        "PRODUCT is set and not used",
    ),
    (
        "count_nonfinite",
        "@workgroup_size(64)",
        "@workgroup_size(512)",
        "invocations",
    ),
    (
        "attention",
        "array<vec4<f32>, THREADS>",
        "array<vec4<f32>, 2048>",
        "workgroup memory",
    ),
    (
        "attention",
        "first_key < end;",
        "first_key < end + invocation;",
        "barrier",
    ),
    (
        "count_nonfinite",
        "var found =",
        "if (invocation > 7u) { return; }\n    var found =",
        "barrier",
    ),
    (
        "count_nonfinite",
        "half > 0u;",
        "half > invocation;",
        "barrier",
    ),
];

#[test]
fn a_broken_shader_is_found_out() {
    for (shader, part, instead, said) in BROKEN {
        let mut variant = variant_of(shader, false);
        assert!(variant.source.contains(part), "{shader} has no {part}");
        variant.source = variant.source.replace(part, instead);
        let found = check(&variant).expect_err(instead);
        assert!(found.contains(said), "{shader} with {instead}: {found}");
    }
}

#[test]
fn a_shader_of_nine_storage_buffers_is_found_out() {
    let mut variant = variant_of("sampler_step", false);
    for binding in 6..10 {
        variant.source +=
            &format!("@group(0) @binding({binding}) var<storage> more_{binding}: u32;\n");
    }
    assert_eq!(check(&variant), Err("9 storage buffers".into()));
}

#[test]
fn bf16_that_is_written_is_found_out() {
    let mut variant = variant_of("scale", false);
    variant.dispatch.storage[1].dtype = DType::Bf16;
    assert_eq!(check(&variant), Err("y is written as bf16".into()));
}

#[test]
fn the_writers_refuse_what_the_device_lacks() {
    let source = variant_of("scale", true).source;
    let module = naga::front::wgsl::parse_str(&source).expect("it parses");
    let mut validator = Validator::new(ValidationFlags::all(), capabilities(true, false, None));
    let info = validator.validate(&module).expect("it is valid");
    let features = Features {
        f16: false,
        subgroups: false,
        cooperative: None,
    };
    let refused = emission::check(&module, &info, features).expect_err("f16 is not there");
    assert!(
        refused.contains("SPIR-V") && refused.contains("Float16"),
        "{refused}"
    );
}

/// Some variant of a shader: with f16 in it or one that every device takes.
fn variant_of(shader: &str, f16: bool) -> Variant {
    let mut of = variants()
        .iter()
        .filter(|variant| variant.dispatch.shader == shader);
    of.find(|variant| variant.f16 == f16)
        .expect("there is one")
        .clone()
}
