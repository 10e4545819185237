//! The generated head of a shader variant: valid WGSL that fixes types, lanes and constants.
//!
//! For each storage binding `x` it declares the alias `x_word` (the array's element in memory) and
//! `x_at(i)` or `y_put(i, value)`, which load or store lane `i` as f32, and `x_at4(i, count)` or
//! `y_put4(i, values, count)`, which do so with four elements from element `i` on, of which `count`
//! or more are inside the row. So one shader text serves f32, f16, bf16 and f8, with and without the
//! device's f16 feature, one or four elements at a time.
//!
//! A binding that only some variants have is declared here as well, behind those of the shader, with
//! the constant `HAS_X`. Where it is absent its loads are zeros, so that the shader's text stays the
//! same.

use super::shaders::common;
use crate::tensor::{Caps, Const, DType, Dispatch, Lanes, Storage};
use std::fmt::Write;

/// What a lane is, and how it becomes four numbers and comes of them.
const ONE_LANE: &str = "\
alias lane = f32;
const LANES = 1u;
fn lane_dot(a: lane, b: lane) -> f32 { return a * b; }
fn four_of(a: lane) -> vec4<f32> { return vec4<f32>(a); }
fn lane_of(a: vec4<f32>) -> lane { return a.x; }
";
/// The same where a lane is four elements.
const FOUR_LANES: &str = "\
alias lane = vec4<f32>;
const LANES = 4u;
fn lane_dot(a: lane, b: lane) -> f32 { return dot(a, b); }
fn four_of(a: lane) -> vec4<f32> { return a; }
fn lane_of(a: vec4<f32>) -> lane { return a; }
";

/// The constant that tells the rows and columns of cooperative matrices.
const COOP: &str = "COOP";

/// The types of cooperative matrices of that size, and the words in which they lie in workgroup
/// memory: fours of halves, or single ones on Metal, whose loads take no others. `tile_put` stores
/// four from element `at` on.
fn matrices(size: u32) -> String {
    let types = format!(
        "enable wgpu_cooperative_matrix;\n\
         alias coop_rows = coop_mat{size}x{size}<f16, A>;\n\
         alias coop_columns = coop_mat{size}x{size}<f16, B>;\n\
         alias coop_sums = coop_mat{size}x{size}<f32, C>;\n"
    );
    let words = match size {
        16 => {
            "alias tile_word = vec4<f16>;\n\
             const TILE_LANES = 4u;\n\
             fn tile_put(at: u32, four: vec4<f32>) { tile[at / 4u] = vec4<f16>(four); }\n"
        }
        _ => {
            "alias tile_word = f16;\n\
             const TILE_LANES = 1u;\n\
             fn tile_put(at: u32, four: vec4<f32>) {\n\
             \x20   tile[at] = f16(four.x);\n\
             \x20   tile[at + 1u] = f16(four.y);\n\
             \x20   tile[at + 2u] = f16(four.z);\n\
             \x20   tile[at + 3u] = f16(four.w);\n\
             }\n"
        }
    };
    types + words
}

/// The prelude of the variant that `dispatch` asks for.
pub(crate) fn prelude(dispatch: &Dispatch, caps: &Caps) -> String {
    let mut text = String::new();
    if caps.f16
        && dispatch
            .storage
            .iter()
            .any(|storage| storage.dtype == DType::F16)
    {
        text += "enable f16;\n";
    }
    let cooperative = dispatch.constants.iter().find_map(|one| match one {
        (COOP, Const::U32(size)) => Some(*size),
        _ => None,
    });
    if let Some(size) = cooperative {
        text += &matrices(size);
    }
    text += match dispatch.lanes {
        Lanes::One => ONE_LANE,
        Lanes::Four => FOUR_LANES,
    };
    text += "fn linear_group(group: vec3<u32>, groups: vec3<u32>) -> u32 { return group.x + group.y * groups.x; }\n";
    let is_float8 = |storage: &Storage| matches!(storage.dtype, DType::F8E4m3 | DType::F8E5m2);
    if dispatch.storage.iter().any(is_float8) {
        text += include_str!("../../shaders/common/float8.wgsl");
    }
    for (name, value) in &dispatch.constants {
        let line = match value {
            Const::Bool(value) => format!("const {name} = {value};\n"),
            Const::U32(value) => format!("const {name} = {value}u;\n"),
        };
        text += &line;
    }
    for name in &dispatch.imports {
        text += common(name);
    }
    for storage in &dispatch.storage {
        let written = if storage.written {
            store(storage)
        } else {
            Ok(load(storage, caps))
        };
        // Formatting into a String cannot fail.
        text += &written.unwrap_or_default();
    }
    let declared = |storage: &&Storage| !storage.optional;
    let first = dispatch.storage.iter().filter(declared).count() + 1; // behind Params
    let optional = dispatch.storage.iter().filter(|one| one.optional);
    for (binding, storage) in (first..).zip(optional) {
        text += &declare(storage, binding);
    }
    for (name, lanes) in &dispatch.absent {
        text += &stand_in(name, *lanes);
    }
    text
}

/// The declaration of an optional binding that is there.
fn declare(storage: &Storage, binding: usize) -> String {
    let (name, flag) = (storage.name, storage.name.to_uppercase());
    format!(
        "const HAS_{flag} = true;\n\
         @group(0) @binding({binding}) var<storage, read> {name}: array<{name}_word>;\n"
    )
}

/// What stands in for an optional binding that is absent.
fn stand_in(name: &str, lanes: Lanes) -> String {
    let (flag, lane) = (name.to_uppercase(), lane_type(lanes));
    format!(
        "const HAS_{flag} = false;\n\
         fn {name}_at(i: u32) -> {lane} {{ return {lane}(); }}\n\
         fn {name}_at4(i: u32, count: u32) -> vec4<f32> {{ return vec4<f32>(); }}\n"
    )
}

/// The type of so many elements in f32.
fn lane_type(lanes: Lanes) -> &'static str {
    match lanes {
        Lanes::One => "f32",
        Lanes::Four => "vec4<f32>",
    }
}

/// The word alias and the loader of a read binding.
fn load(storage: &Storage, caps: &Caps) -> String {
    let name = storage.name;
    let (word, lane, value) = match (storage.dtype, storage.lanes) {
        (DType::F32, Lanes::One) => ("f32", "f32", format!("{name}[i]")),
        (DType::F32, Lanes::Four) => ("vec4<f32>", "vec4<f32>", format!("{name}[i]")),
        (DType::F16, Lanes::One) if caps.f16 => ("f16", "f32", format!("f32({name}[i])")),
        (DType::F16, Lanes::Four) if caps.f16 => {
            ("vec4<f16>", "vec4<f32>", format!("vec4<f32>({name}[i])"))
        }
        (DType::F16, Lanes::One) => (
            "u32",
            "f32",
            format!("unpack2x16float({name}[i >> 1u])[i & 1u]"),
        ),
        (DType::F16, Lanes::Four) => {
            let value =
                format!("vec4<f32>(unpack2x16float({name}[i].x), unpack2x16float({name}[i].y))");
            ("vec2<u32>", "vec4<f32>", value)
        }
        (DType::Bf16, Lanes::One) => {
            let value = format!("bitcast<f32>(({name}[i >> 1u] >> ((i & 1u) * 16u)) << 16u)");
            ("u32", "f32", value)
        }
        (DType::Bf16, Lanes::Four) => {
            let value = format!(
                "bitcast<vec4<f32>>(({name}[i].xxyy << vec4<u32>(16u, 0u, 16u, 0u)) & vec4<u32>(0xffff0000u))"
            );
            ("vec2<u32>", "vec4<f32>", value)
        }
        (DType::F8E4m3, lanes) => float8(name, "f8_e4m3", lanes),
        (DType::F8E5m2, lanes) => float8(name, "f8_e5m2", lanes),
        (DType::U32 | DType::U8, _) => ("u32", "u32", format!("{name}[i]")),
    };
    let mut text = format!(
        "alias {name}_word = {word};\nfn {name}_at(i: u32) -> {lane} {{ return {value}; }}\n"
    );
    if lane != "u32" {
        text += &load4(name, storage.lanes);
    }
    text
}

/// The loader of four elements from element `i` on: zeros past the `count` that are inside the row.
fn load4(name: &str, lanes: Lanes) -> String {
    let head = format!("fn {name}_at4(i: u32, count: u32) -> vec4<f32> {{\n");
    let body = match lanes {
        Lanes::Four => format!("    return {name}_at(i / 4u);\n"),
        Lanes::One => {
            let mut body = format!("    var four = vec4<f32>({name}_at(i), 0.0, 0.0, 0.0);\n");
            for (k, component) in (1..).zip(["y", "z", "w"]) {
                body += &format!(
                    "    if (count > {k}u) {{ four.{component} = {name}_at(i + {k}u); }}\n"
                );
            }
            body + "    return four;\n"
        }
    };
    head + &body + "}\n"
}

/// The word, lane and value of a binding of eight bits an element, by a function of `float8.wgsl`.
fn float8(name: &str, decode: &str, lanes: Lanes) -> (&'static str, &'static str, String) {
    match lanes {
        Lanes::One => {
            let value = format!("{decode}({name}[i >> 2u] >> ((i & 3u) * 8u))");
            ("u32", "f32", value)
        }
        Lanes::Four => ("u32", "vec4<f32>", format!("{decode}_4({name}[i])")),
    }
}

/// The word alias and the stores of a written binding: `put` for one lane, `put4` for up to four
/// neighbours from element `i` on, of which `count` are inside the row.
fn store(storage: &Storage) -> Result<String, std::fmt::Error> {
    let name = storage.name;
    let (word, lane) = match (storage.dtype, storage.lanes) {
        (DType::F16, Lanes::One) => ("f16", "f32"),
        (DType::F16, Lanes::Four) => ("vec4<f16>", "vec4<f32>"),
        (DType::U32 | DType::U8, _) => ("u32", "u32"),
        (_, Lanes::One) => ("f32", "f32"),
        (_, Lanes::Four) => ("vec4<f32>", "vec4<f32>"),
    };
    let mut text = String::new();
    writeln!(text, "alias {name}_word = {word};")?;
    writeln!(
        text,
        "fn {name}_put(i: u32, value: {lane}) {{ {name}[i] = {word}(value); }}"
    )?;
    if word == "u32" {
        return Ok(text);
    }
    writeln!(
        text,
        "fn {name}_put4(i: u32, values: vec4<f32>, count: u32) {{"
    )?;
    match storage.lanes {
        Lanes::Four => writeln!(text, "    {name}[i / 4u] = {word}(values);")?,
        Lanes::One => {
            for (k, component) in ["x", "y", "z", "w"].into_iter().enumerate() {
                writeln!(
                    text,
                    "    if (count > {k}u) {{ {name}[i + {k}u] = {word}(values.{component}); }}"
                )?;
            }
        }
    }
    writeln!(text, "}}")?;
    Ok(text)
}
