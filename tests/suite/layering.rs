//! The design's rules, held by reading the sources: which room of `src/` may use which, what only
//! one room may know, what library code never does, and how long files may grow.

mod code;

use self::code::{Token, find, names_after, tokens, without_tests};
use std::fs;
use std::path::Path;

/// Single files that every room may use.
const FREE: [&str; 3] = ["error", "lock", "nearest"];

/// What each room may use, besides itself and what `FREE` names. A room uses rooms above it only.
const ROOMS: [(&str, &[&str]); 20] = [
    ("tensor", &[]),
    ("sampling", &[]),
    ("image", &[]),
    ("gpu", &["tensor"]),
    ("weights", &["tensor"]),
    // The reading of small files, in bounded memory, is the checkpoints'.
    ("text", &["weights"]),
    ("ops", &["tensor"]),
    ("nn", &["tensor", "weights", "ops"]),
    ("networks", &["tensor", "weights", "ops", "nn"]),
    ("fusion", &["tensor", "ops"]),
    ("plan", &["tensor", "gpu", "weights", "ops", "fusion"]),
    // Runs operations to see what kernels do.
    ("tuning", &["tensor", "gpu", "weights", "ops", "plan"]),
    ("families", &["sampling", "weights", "networks"]),
    // Says what files are, and opens none of them.
    ("library", &["weights", "families"]),
    // Downloads are checked by their headers.
    ("hub", &["weights"]),
    (
        "pipeline",
        &[
            "tensor", "sampling", "image", "gpu", "weights", "text", "ops", "nn", "networks",
            "plan", "tuning", "families",
        ],
    ),
    // What the benches need of the inside.
    (
        "bench",
        &[
            "tensor", "gpu", "weights", "ops", "plan", "tuning", "pipeline",
        ],
    ),
    // What the fuzz targets need of the inside.
    ("fuzzing", &["image", "text", "pipeline"]),
    // Documentation alone.
    ("guide", &[]),
    // Part of the program, which uses the library as any app does.
    ("cli", &[]),
];

/// Crates that only some rooms know, in tests as well.
const CONFINED: [(&str, &[&str]); 13] = [
    // The facade hands it on to hosts that share their device.
    ("wgpu", &["gpu", "lib"]),
    ("naga", &["gpu"]),
    ("memmap2", &["weights"]),
    ("tokenizers", &["text"]),
    ("png", &["image"]),
    ("ureq", &["hub"]),
    ("sha2", &["hub", "image"]),
    ("aquatint", &["cli", "main"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("ctrlc", &["cli"]),
    ("indicatif", &["cli"]),
];

/// What the library leaves to the program.
const NEVER_IN_THE_LIBRARY: [&str; 7] = [
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "dbg!",
    "process::exit",
    "process::abort",
];

/// What hides a failure or leaves work undone.
const NEVER: [&str; 5] = [".unwrap()", ".ok();", "let _ =", "todo!", "unimplemented!"];

/// Remarks that belong in an issue.
const UNFINISHED: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// Lines: 400 are the aim (50 for the exception), tests may list more cases.
const MAX_LINES: usize = 450;
const MAX_TEST_LINES: usize = 700;
const MAX_SHADER_LINES: usize = 200;

/// A file of `src/`.
struct Source {
    /// From the repository's root, with slashes.
    path: String,
    text: String,
    /// Whether it is compiled for tests only.
    is_test: bool,
}

impl Source {
    /// The modules that lead to this one, the room first. The library's root has none.
    fn modules(&self) -> Vec<&str> {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let modules: Vec<&str> = inside.split('/').collect();
        match modules.as_slice() {
            ["lib"] => Vec::new(),
            [folders @ .., "mod"] => folders.to_vec(),
            _ => modules,
        }
    }

    fn room(&self) -> &str {
        self.modules().first().copied().unwrap_or("lib")
    }

    /// `path:line: what`
    fn fault(&self, token: Token, what: &str) -> String {
        let line = self.text[..token.at].matches('\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }

    /// The code that users run: none of a file of tests.
    fn shipped(&self) -> Vec<Token<'_>> {
        if self.is_test {
            return Vec::new();
        }
        without_tests(&tokens(&self.text)).0
    }

    /// The modules that it declares for tests only: their files' paths, without `.rs`.
    fn test_modules(&self) -> Vec<String> {
        let (folder, file) = self.path.rsplit_once('/').expect("it is in a folder");
        let stem = file.trim_end_matches(".rs");
        let path = |item: &Vec<Token>| {
            let given = find(item, "path =").first().map(|&at| item[at + 2].text);
            let declared = find(item, "mod").first().map(|&at| &item[at + 1..]);
            match (given, declared) {
                (Some(given), _) => Some(format!(
                    "{folder}/{}",
                    given.trim_matches('"').trim_end_matches(".rs")
                )),
                (None, Some([name, end])) if end.text == ";" => Some(match stem {
                    "mod" | "lib" | "main" => format!("{folder}/{}", name.text),
                    stem => format!("{folder}/{stem}/{}", name.text),
                }),
                _ => None,
            }
        };
        without_tests(&tokens(&self.text))
            .1
            .iter()
            .filter_map(path)
            .collect()
    }
}

/// All of `src/`.
fn sources() -> Vec<Source> {
    let read = |path: String| Source {
        text: read(&path),
        path,
        is_test: false,
    };
    let mut sources: Vec<Source> = files("src", "rs").into_iter().map(read).collect();
    let tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let mut rests = tests
            .iter()
            .filter_map(|test| source.path.strip_prefix(test.as_str()));
        source.is_test = rests.any(|rest| rest == ".rs" || rest.starts_with('/'));
    }
    sources
}

/// The files with an extension below a folder, from the repository's root.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).expect("the folder is there") {
        let entry = entry.expect("it can be listed");
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(files(&path, extension));
        } else if path.ends_with(&format!(".{extension}")) {
            found.push(path);
        }
    }
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a source can be read")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a room may use; `None` if there is no such room.
fn allowed(room: &str) -> Option<&'static [&'static str]> {
    let found = ROOMS.iter().find(|(name, _)| *name == room);
    found.map(|(_, allowed)| *allowed)
}

/// What a file uses that its room may not.
fn trespasses(source: &Source) -> Vec<String> {
    let (code, room) = (source.shipped(), source.room());
    let at_root = find(&code, "crate").into_iter().map(|at| at + 1);
    let at_root = at_root.flat_map(|at| names_after(&code[at..]));
    // The root is `super` often enough as well, unless the code stands in a module within the file.
    let climbed = climbs_to_the_root(&code, source.modules().len());
    let climbed = climbed.filter(|name| allowed(name.text).is_some());
    let may = |name: &Token| {
        let listed = allowed(room).is_some_and(|allowed| allowed.contains(&name.text));
        listed || FREE.contains(&name.text) || name.text == room
    };
    at_root
        .chain(climbed)
        .filter(|name| !may(name))
        .map(|name| source.fault(name, &format!("{room} uses {}", name.text)))
        .collect()
}

/// The names that follow as many `super::` as there are modules around the code.
fn climbs_to_the_root<'t>(code: &[Token<'t>], modules: usize) -> impl Iterator<Item = Token<'t>> {
    let climb = vec!["super"; modules].join("::");
    let found = match modules {
        0 => Vec::new(),
        _ => find(code, &climb),
    };
    let after = found.into_iter().map(move |at| at + 2 * modules - 1);
    after.flat_map(|at| names_after(&code[at..]))
}

/// Where code has one of the patterns.
fn occurrences(source: &Source, code: &[Token], patterns: &[&str]) -> Vec<String> {
    let of = |pattern: &&str| {
        let found = find(code, pattern).into_iter();
        let faults = found.map(|at| source.fault(code[at], pattern));
        faults.collect::<Vec<_>>()
    };
    patterns.iter().flat_map(of).collect()
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn rooms_use_only_what_lies_below_them() {
    let faults: Vec<String> = sources().iter().flat_map(trespasses).collect();
    assert_none(&faults);
}

#[test]
fn every_room_has_its_place_in_the_order() {
    let sources = sources();
    for (place, (room, allowed)) in ROOMS.iter().enumerate() {
        let exists = sources.iter().any(|source| source.room() == *room);
        assert!(exists, "there is no room {room}");
        for used in *allowed {
            assert!(
                ROOMS[..place].iter().any(|(name, _)| name == used),
                "{room} before {used}"
            );
        }
    }
    for source in &sources {
        let known = allowed(source.room()).is_some()
            || ["lib", "main"].contains(&source.room())
            || FREE.contains(&source.room());
        assert!(known, "{} is in no room of the table", source.path);
    }
}

#[test]
fn crates_are_known_where_they_belong() {
    let mut faults = Vec::new();
    for source in sources() {
        for (name, rooms) in CONFINED {
            if !rooms.contains(&source.room()) {
                faults.extend(occurrences(&source, &tokens(&source.text), &[name]));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn failures_are_passed_on_and_the_library_is_silent() {
    let mut faults = Vec::new();
    for source in sources() {
        let code = source.shipped();
        faults.extend(occurrences(&source, &code, &NEVER));
        if !["cli", "main"].contains(&source.room()) {
            faults.extend(occurrences(&source, &code, &NEVER_IN_THE_LIBRARY));
        }
    }
    assert_none(&faults);
}

#[test]
fn nothing_is_left_to_do() {
    let mut faults = Vec::new();
    for path in files("src", "rs")
        .into_iter()
        .chain(files("shaders", "wgsl"))
    {
        let text = read(&path);
        let found = UNFINISHED.iter().filter(|word| text.contains(**word));
        faults.extend(found.map(|word| format!("{path}: {word}")));
    }
    assert_none(&faults);
}

#[test]
fn files_are_short() {
    let limited = |files: Vec<String>, limit| files.into_iter().map(move |path| (path, limit));
    let sources = sources().into_iter().map(|source| match source.is_test {
        true => (source.path, MAX_TEST_LINES),
        false => (source.path, MAX_LINES),
    });
    let others = limited(files("tests/suite", "rs"), MAX_TEST_LINES)
        .chain(limited(files("shaders", "wgsl"), MAX_SHADER_LINES));
    let mut faults = Vec::new();
    for (path, limit) in sources.chain(others) {
        let lines = read(&path).lines().count();
        if lines > limit {
            faults.push(format!("{path} has {lines} lines, more than {limit}"));
        }
    }
    assert_none(&faults);
}

#[test]
fn the_facade_holds_no_code() {
    let lib = sources()
        .into_iter()
        .find(|source| source.path == "src/lib.rs")
        .expect("it is there");
    assert_none(&occurrences(
        &lib,
        &lib.shipped(),
        &["fn", "struct", "enum", "impl", "trait"],
    ));
}

/// A file that is not there.
fn imagined(path: &str, text: &str) -> Source {
    Source {
        path: path.into(),
        text: text.into(),
        is_test: false,
    }
}

#[test]
fn trespasses_are_found() {
    for (path, text) in [
        ("src/sampling/table.rs", "use crate::gpu::Device;"),
        (
            "src/image/mod.rs",
            "use crate::{error::Error, tensor::{Array, DType}};",
        ),
        ("src/text/mod.rs", "fn f() { super::gpu::open() }"),
        ("src/nn/a/b.rs", "use super::super::super::{plan};"),
        ("src/tensor/op.rs", "use crate::Device;"),
    ] {
        assert_eq!(trespasses(&imagined(path, text)).len(), 1, "{text}");
    }
    for (path, text) in [
        (
            "src/nn/linear.rs",
            "use crate::{\n    error::Error,\n    nn::Norm,\n    ops::{Mask, plan},\n};",
        ),
        (
            "src/nn/linear.rs",
            "use super::plan; // crate::gpu\nconst A: &str = r#\"crate::gpu\"#;",
        ),
        (
            "src/nn/linear.rs",
            "#[cfg(test)]\nmod tests { fn f() { crate::gpu::open() } }",
        ),
    ] {
        assert_none(&trespasses(&imagined(path, text)));
    }
}

#[test]
fn tests_and_literals_are_told_from_code() {
    let text = "fn a<'a>() { '\\''; b.unwrap (); \"x.unwrap()\"; }\n/* x.unwrap() */\n\
        #[cfg(test)]\nuse c::{d, e};\n#[cfg(test)]\nfn f() { x.unwrap(); }";
    let source = imagined("src/nn/mod.rs", text);
    assert_eq!(
        occurrences(&source, &source.shipped(), &NEVER),
        ["src/nn/mod.rs:1: .unwrap()"]
    );
    let text = "#[cfg(test)]\nmod a;\n#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\n#[cfg(test)]\nmod c {}";
    assert_eq!(
        imagined("src/nn/mod.rs", text).test_modules(),
        ["src/nn/a", "src/nn/b_tests"]
    );
    assert_eq!(
        imagined("src/nn/d.rs", text).test_modules(),
        ["src/nn/d/a", "src/nn/b_tests"]
    );
}
