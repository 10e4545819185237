//! Set-up and build in one command, on a machine that has nothing but a Rust toolchain:
//!
//! ```text
//! cargo xtask run "a slice of pizza on a light blue background"
//! cargo xtask test
//! cargo xtask readme
//! cargo xtask api
//! cargo xtask header
//! cargo xtask package
//! ```

mod packages;
mod registry;
mod vulkan;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

const USAGE: &str = "\
Set-up and build in one command.

Usage: cargo xtask run [FLAGS] \"PROMPT\"   set up, build, draw a picture
       cargo xtask test [ARGUMENTS]       set up, build, run all tests
       cargo xtask readme                 write the README's tables of families, samplers and schedules
       cargo xtask api                    write the listing of the public API, tests/api.txt
       cargo xtask header                 write the C header, capi/aquatint.h
       cargo xtask package                make the registry's package, and see that it fits and builds

Flags of `run` go to aquatint (`cargo xtask run --help` lists them), arguments of `test` to
`cargo test`. The set-up: where no graphics driver answers on Linux, software Vulkan is installed.";

/// A sentence for the user: what went wrong and how to mend it.
type Outcome<T = ()> = Result<T, String>;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    let outcome = match verb.to_str() {
        Some("run") => run(&rest),
        Some("test") => test(&rest),
        Some("readme") => readme(),
        Some("package") => registry::check(),
        Some("api") => renew(&["--test", "suite", "api::"]),
        Some("header") => renew(&["--package", "aquatint-capi", "--test", "header"]),
        Some("help" | "-h" | "--help") => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    };
    outcome.unwrap_or_else(|reason| {
        eprintln!("error: {reason}");
        ExitCode::FAILURE
    })
}

/// Builds the program and runs it where the user stands.
fn run(arguments: &[OsString]) -> Outcome<ExitCode> {
    let asks_for_help = |argument: &OsString| argument == "--help" || argument == "-h";
    if !arguments.iter().any(asks_for_help) {
        set_up()?;
    }
    let mut program = cargo(&["run", "--release", "--bin", "aquatint", "--"]);
    hand_over(program.args(arguments))
}

/// Builds and runs the tests of the whole workspace; then, unless only some were asked for, those
/// that run shaders once more, with wgpu's own checks of bounds and loops in them, and that of the
/// window.
fn test(arguments: &[OsString]) -> Outcome<ExitCode> {
    /// The window, by itself: what it is made of would have others' dependencies built anew, with
    /// features that nothing but a window needs.
    const WINDOW: &str = "aquatint-window";
    set_up()?;
    let mut tests = cargo(&["test", "--release", "--workspace", "--exclude", WINDOW]);
    tests.args(arguments);
    if !arguments.is_empty() {
        return hand_over(&mut tests);
    }
    let outcome = wait(&mut tests)?;
    if outcome != ExitCode::SUCCESS {
        return Ok(outcome);
    }
    println!("xtask: once more, with wgpu's runtime checks in the shaders");
    let mut checked = cargo(&[
        "test",
        "--release",
        "--lib",
        "--test",
        "suite",
        "--",
        "ops::",
        "goldens",
    ]);
    let outcome = wait(checked.env("AQUATINT_RUNTIME_CHECKS", "1"))?;
    if outcome != ExitCode::SUCCESS {
        return Ok(outcome);
    }
    // Where nothing may be skipped.
    let is_required = env::var_os("AQUATINT_REQUIRE_GPU").is_some_and(|value| value == "1");
    if is_required && cfg!(target_os = "linux") && !packages::has_virtual_screen() {
        packages::install("a screen for windows", |manager| manager.virtual_screen)?;
    }
    hand_over(&mut cargo(&["test", "--release", "--package", WINDOW]))
}

/// Writes the README's tables as the program's registries have them.
fn readme() -> Outcome<ExitCode> {
    /// The verbs that print the tables.
    const TABLES: [&str; 2] = ["families", "samplers"];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
    let failed = |failure: io::Error| format!("{}: {failure}", path.display());
    let mut text = fs::read_to_string(&path).map_err(failed)?;
    for verb in TABLES {
        let start = format!("<!-- {verb}: written by `cargo xtask readme` -->\n");
        let end = format!("<!-- end of {verb} -->");
        let around = text.split_once(&start).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(&end)?;
            Some((before, after))
        });
        let (before, after) = around.ok_or(format!("the README has no place for {verb}"))?;
        let table = table(verb)?;
        text = format!("{before}{start}\n{}\n\n{end}{after}", table.trim());
    }
    fs::write(&path, text).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Lets a test write the file that it compares.
fn renew(test: &[&str]) -> Outcome<ExitCode> {
    let mut command = cargo(&["test", "--release", "--quiet"]);
    wait(command.args(test).env("AQUATINT_RENEW", "1"))
}

/// What a verb prints in Markdown.
fn table(verb: &str) -> Outcome<String> {
    let mut program = cargo(&["run", "--release", "--quiet", "--bin", "aquatint", "--"]);
    let output = program
        .args([verb, "--markdown"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|failure| cannot_run(&program, &failure))?;
    if !output.status.success() {
        return Err("the program failed; its messages stand above".to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes sure that a graphics driver answers, as far as this machine lets us.
///
/// Metal and Direct3D come with the system; on Linux a driver may be missing.
fn set_up() -> Outcome {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    // The quick look first, so that a question about sudo comes before the long build.
    if !vulkan::is_installed() {
        println!("xtask: no Vulkan driver is installed");
        return vulkan::install_software();
    }
    if !vulkan::has_software() && !an_adapter_answers()? {
        println!("xtask: Vulkan drivers are installed, but none of them finds a device");
        return vulkan::install_software();
    }
    Ok(())
}

/// Asks the program itself, which sees exactly what a picture would be drawn on.
fn an_adapter_answers() -> Outcome<bool> {
    if wait(&mut cargo(&["build", "--release", "--bin", "aquatint"]))? != ExitCode::SUCCESS {
        return Err("the build failed; its messages stand above".to_owned());
    }
    let mut devices = cargo(&[
        "run",
        "--release",
        "--quiet",
        "--bin",
        "aquatint",
        "--",
        "devices",
    ]);
    Ok(wait(devices.stdout(Stdio::null()).stderr(Stdio::null()))? == ExitCode::SUCCESS)
}

/// The cargo that runs this, on the workspace that this belongs to, in the user's folder.
fn cargo(arguments: &[&str]) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
    let mut command = Command::new(program);
    let (verb, flags) = arguments
        .split_first()
        .expect("cargo is called with a verb");
    command
        .arg(verb)
        .arg("--manifest-path")
        .arg(manifest)
        .args(flags);
    command
}

/// Ends with a command: it takes our place, so that Ctrl-C and exit codes are its own.
#[cfg(unix)]
fn hand_over(command: &mut Command) -> Outcome<ExitCode> {
    use std::os::unix::process::CommandExt;
    let failure = command.exec();
    Err(cannot_run(command, &failure))
}

/// Ends with a command, and with its exit code.
#[cfg(not(unix))]
fn hand_over(command: &mut Command) -> Outcome<ExitCode> {
    wait(command)
}

/// Runs a command to its end and passes its exit code on.
fn wait(command: &mut Command) -> Outcome<ExitCode> {
    let status = command
        .status()
        .map_err(|failure| cannot_run(command, &failure))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn cannot_run(command: &Command, failure: &io::Error) -> String {
    format!("cannot run {}: {failure}", command.get_program().display())
}
