//! `aquatint completions` and `aquatint man`: what shells and `man` know of the command line, made
//! from its definition.

use std::path::PathBuf;

use aquatint::Error;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::failure::{Failure, Outcome};
use super::print;

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell; its script goes to stdout
    ///
    /// For bash: aquatint completions bash > ~/.local/share/bash-completion/completions/aquatint
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// The arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page for the program and one for each verb into this folder, in the place of older ones
    ///
    /// Without it, the program's page goes to stdout: aquatint man | man -l -
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Prints the completion script of a shell.
pub(super) fn completions(args: &CompletionsArgs, mut command: Command) -> Outcome {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    print(String::from_utf8_lossy(&script))
}

/// Prints the program's page, or writes all pages into a folder.
pub(super) fn man(args: &ManArgs, mut command: Command) -> Outcome {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        Man::new(command)
            .render(&mut page)
            .map_err(Failure::Stdout)?;
        return print(String::from_utf8_lossy(&page));
    };
    // With the verbs' full names, `aquatint-plan`, and without the page of `help`.
    command.build();
    let command = command.disable_help_subcommand(true);
    clap_mangen::generate_to(command, folder).map_err(|source| {
        let path = folder.clone();
        Failure::from(Error::Io { path, source })
    })
}
