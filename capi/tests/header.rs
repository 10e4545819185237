//! The header is what `src/` says: it is made of the sources here, and compared.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use syn::{Attribute, Expr, FnArg, Item, Lit, Meta, Pat, ReturnType, Type, Visibility};

/// Says that the header is to be written in place of being compared: `cargo xtask header`.
const RENEW: &str = "AQUATINT_RENEW";

/// The sources, in the order in which the header has their functions.
const SOURCES: [&str; 8] = [
    "lib",
    "error",
    "border",
    "device",
    "canceller",
    "pipeline",
    "image",
    "upscaler",
];

const BEGINNING: &str = "\
// aquatint's C interface. Made from capi/src by `cargo xtask header`: change it there.
//
// Errors. A function that can fail returns an AquatintError, or null where nothing failed. The error is
// the caller's to free. Its code says what can be done, its message is for people. The result goes
// through the last argument, which holds null after a failure.
//
// Ownership. What a function gives as a handle or a text is freed by the function of its kind, once;
// freeing null does nothing. A pipeline keeps the device that it needs, whatever is freed first. What is
// said to belong to something else goes with it. A null that a function does not allow is an error.
//
// Threads. Every handle may go from thread to thread, and several threads may use one at once, as long
// as none of them frees it. Callbacks come on the thread that called. There is no global state.
//
// Texts are UTF-8 and end in a zero. Requests and options are JSON: fields may be left out, and unknown
// ones are refused.
//
// Versions. What is here stays as long as AQUATINT_ABI_VERSION does; functions, codes of errors and
// fields at the end of structures that the library hands to callbacks may be added. No Rust panic leaves
// the library: it comes as AQUATINT_ERROR_CODE_PANIC.

#ifndef AQUATINT_H
#define AQUATINT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {
#endif

";

const END: &str = "\
#ifdef __cplusplus
}
#endif

#endif
";

#[test]
fn the_header_is_that_of_the_sources() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = SOURCES.map(|name| {
        let path = folder.join(format!("src/{name}.rs"));
        syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap()
    });
    let items: Vec<&Item> = files.iter().flat_map(|file| &file.items).collect();
    let kinds: [fn(&Item) -> Option<String>; 5] = [constant, opaque, plain, callback, function];
    let parts = kinds
        .iter()
        .flat_map(|kind| items.iter().filter_map(|item| kind(item)));
    let header: String = [BEGINNING.to_owned()]
        .into_iter()
        .chain(parts)
        .chain([END.to_owned()])
        .collect();
    let path = folder.join("aquatint.h");
    if env::var_os(RENEW).is_some() {
        fs::write(&path, header).unwrap();
        return;
    }
    let existing = fs::read_to_string(&path).unwrap_or_default();
    let is_same = existing.replace("\r\n", "\n") == header;
    assert!(
        is_same,
        "aquatint.h is out of date: run `cargo xtask header`"
    );
}

/// A number as a macro.
fn constant(item: &Item) -> Option<String> {
    let Item::Const(item) = item else {
        return None;
    };
    let text = || {
        let docs = docs(&item.attrs, "");
        format!("{docs}#define {} {}\n\n", item.ident, number(&item.expr))
    };
    is_public(&item.vis).then(text)
}

/// A handle: a structure of which C knows the name alone.
fn opaque(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) if is_public(&item.vis) && !has(&item.attrs, "repr") => {
            let (docs, name) = (docs(&item.attrs, ""), &item.ident);
            Some(format!("{docs}typedef struct {name} {name};\n\n"))
        }
        _ => None,
    }
}

/// A structure or an enumeration whose layout is C's.
fn plain(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) if has(&item.attrs, "repr") => {
            let mut text = format!(
                "{}typedef struct {} {{\n",
                docs(&item.attrs, ""),
                item.ident
            );
            for field in &item.fields {
                let name = field.ident.as_ref().unwrap().to_string();
                let declared = declared(&field.ty, &name);
                writeln!(text, "{}    {declared};", docs(&field.attrs, "    ")).unwrap();
            }
            Some(format!("{text}}} {};\n\n", item.ident))
        }
        Item::Enum(item) if has(&item.attrs, "repr") => {
            // As wide as Rust has it, which an enumeration of C's need not be.
            let (docs_of_all, name) = (docs(&item.attrs, ""), &item.ident);
            let mut text = format!("{docs_of_all}typedef uint32_t {name};\nenum {{\n");
            for variant in &item.variants {
                let (_, value) = variant.discriminant.as_ref().unwrap();
                let constant = screaming(&format!("{name}{}", variant.ident));
                let docs = docs(&variant.attrs, "    ");
                writeln!(text, "{docs}    {constant} = {},", number(value)).unwrap();
            }
            Some(format!("{text}}};\n\n"))
        }
        _ => None,
    }
}

/// A pointer to a function of the caller's.
fn callback(item: &Item) -> Option<String> {
    let Item::Type(item) = item else {
        return None;
    };
    if !is_public(&item.vis) {
        return None;
    }
    let Type::Path(option) = &*item.ty else {
        panic!("{} is not an option", item.ident);
    };
    let syn::PathArguments::AngleBracketed(inner) = &option.path.segments[0].arguments else {
        panic!("{} is not an option", item.ident);
    };
    let syn::GenericArgument::Type(Type::FnPtr(function)) = &inner.args[0] else {
        panic!("{} is not a function", item.ident);
    };
    let inputs = function.inputs.iter().map(|input| {
        let (name, _) = input.name.as_ref().unwrap();
        declared(&input.ty, &name.to_string())
    });
    let inputs: Vec<String> = inputs.collect();
    let result = result(&function.output, &format!("(*{})", item.ident));
    let docs = docs(&item.attrs, "");
    Some(format!(
        "{docs}typedef {result}({});\n\n",
        inputs.join(", ")
    ))
}

/// A function of the library's.
fn function(item: &Item) -> Option<String> {
    let Item::Fn(item) = item else {
        return None;
    };
    item.sig.abi.as_ref().filter(|_| is_public(&item.vis))?;
    assert!(has(&item.attrs, "unsafe"), "{} is mangled", item.sig.ident);
    let inputs = item.sig.inputs.iter().map(|input| match input {
        FnArg::Typed(input) => match &*input.pat {
            Pat::Ident(name) => declared(&input.ty, &name.ident.to_string()),
            _ => panic!("an argument without a name"),
        },
        FnArg::Receiver(_) => panic!("C has no methods"),
    });
    let inputs: Vec<String> = inputs.collect();
    let inputs = match inputs.is_empty() {
        true => "void".to_owned(),
        false => inputs.join(", "),
    };
    let result = result(&item.sig.output, &item.sig.ident.to_string());
    let line = format!("{result}({inputs});");
    let line = match line.len() > 100 {
        true => line.replacen('(', "(\n    ", 1).replace(", ", ",\n    "),
        false => line,
    };
    Some(format!("{}{line}\n\n", docs(&item.attrs, "")))
}

fn result(output: &ReturnType, name: &str) -> String {
    match output {
        ReturnType::Default => format!("void {name}"),
        ReturnType::Type(_, result) => declared(result, name),
    }
}

/// A declaration in C: `*const c_char`, `path` → `const char *path`.
fn declared(ty: &Type, name: &str) -> String {
    let (mut ty, mut name) = (ty, name.to_owned());
    let mut is_const = false;
    while let Type::Ptr(pointer) = ty {
        assert!(!is_const, "a pointer to constant pointers");
        is_const = matches!(pointer.mutability, syn::PointerMutability::Const(_));
        name = format!("*{name}");
        ty = &pointer.elem;
    }
    let Type::Path(path) = ty else {
        panic!("{name} has a type that C has not");
    };
    let rust = path.path.segments.last().unwrap().ident.to_string();
    let c = match rust.as_str() {
        "c_char" => "char",
        "c_int" => "int",
        "c_void" => "void",
        "f64" => "double",
        "u8" => "uint8_t",
        "u32" => "uint32_t",
        "u64" => "uint64_t",
        "usize" => "size_t",
        own if own.starts_with("Aquatint") => own,
        other => panic!("{name} is a {other}, which C has not"),
    };
    let constant = if is_const { "const " } else { "" };
    format!("{constant}{c} {name}")
}

/// Documentation as a comment; what Rust calls safety, the caller has to see to.
fn docs(attributes: &[Attribute], indent: &str) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
                Expr::Lit(line) => match &line.lit {
                    Lit::Str(line) => Some(line.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        });
    let lines = lines.map(|line| match line.as_str() {
        " # Safety" => format!("{indent}// Provided that:\n"),
        line => format!("{indent}//{line}\n"),
    });
    lines.collect()
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident(name))
}

fn number(value: &Expr) -> String {
    match value {
        Expr::Lit(value) => match &value.lit {
            Lit::Int(value) => value.to_string(),
            _ => panic!("no whole number"),
        },
        _ => panic!("no number"),
    }
}

/// `NoAdapter` → `NO_ADAPTER`.
fn screaming(name: &str) -> String {
    let letters = name.char_indices().flat_map(|(at, letter)| {
        let gap = (at > 0 && letter.is_uppercase()).then_some('_');
        gap.into_iter().chain(letter.to_uppercase())
    });
    letters.collect()
}
