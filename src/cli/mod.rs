//! The command-line program. One file per verb; only this part of the crate prints.
//!
//! Results go to stdout (paths, tables, `--json`), everything said on the way to stderr.

mod args;
mod device;
mod devices;
mod drawing;
mod dry_run;
mod edit;
mod failure;
mod families;
mod fulfil;
mod generate;
mod hires;
mod inpaint;
mod inspect;
mod interrupt;
mod kept;
mod manual;
mod model;
mod models;
mod outpaint;
mod output;
mod picture;
mod plan;
mod preview;
mod progress;
#[cfg(feature = "pull")]
mod pull;
mod replay;
mod samplers;
mod sweep;
mod transform;
mod tune;
mod typed;
mod upscale;
mod values;
mod variation;
mod version;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use args::Verb;
use failure::{Failure, Outcome};

/// Runs the program on its arguments, the program's own name first.
pub(crate) fn run(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match args::parse(argv) {
        Ok(Verb::Generate(args)) => generate::run(&args),
        Ok(Verb::Transform(args)) => transform::run(&args),
        Ok(Verb::Edit(args)) => edit::run(&args),
        Ok(Verb::Upscale(args)) => upscale::run(&args),
        Ok(Verb::Inpaint(args)) => inpaint::run(&args),
        Ok(Verb::Outpaint(args)) => outpaint::run(&args),
        Ok(Verb::Devices(args)) => devices::run(&args),
        Ok(Verb::Inspect(args)) => inspect::run(&args),
        Ok(Verb::Replay(args)) => replay::run(&args),
        Ok(Verb::Families(args)) => families::run(&args),
        Ok(Verb::Samplers(args)) => samplers::run(&args),
        Ok(Verb::Models(args)) => models::run(&args),
        Ok(Verb::Completions(args)) => manual::completions(&args, args::command()),
        Ok(Verb::Man(args)) => manual::man(&args, args::command()),
        Ok(Verb::Plan(args)) => plan::run(&args),
        Ok(Verb::Tune(args)) => tune::run(&args),
        Ok(Verb::Version(detail)) => version::run(detail),
        Err(answer) => return answer_of_clap(&answer),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure);
            failure.exit_code()
        }
    }
}

/// Help is no error, though clap hands it over as such.
fn answer_of_clap(answer: &clap::Error) -> ExitCode {
    // A terminal that is gone is no reason to fail differently.
    drop(answer.print());
    u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Writes a line to stderr.
fn say(line: impl fmt::Display) {
    // There is nobody left to tell where stderr is closed.
    drop(writeln!(io::stderr(), "{line}"));
}

/// Writes a result to stdout; a reader that has seen enough (`| head`) ends it without an error.
fn print(result: impl fmt::Display) -> Outcome {
    let text = result.to_string();
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Err(failure) if failure.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Stdout(failure))
        }
        _ => Ok(()),
    }
}

/// A number of things, such as "1 step" or "20 steps".
fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// Writes a result to stdout as JSON.
fn print_json(result: &impl serde::Serialize) -> Outcome {
    print(serde_json::to_string_pretty(result)?)
}
