//! Which flags were typed, for verbs of which some mean nothing without others.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// The names of the flags that were typed. Flattened as the first field: those before it take theirs away.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed(Vec<String>);

impl Typed {
    /// One that is none of these, as it is typed, if there is one.
    pub(super) fn other_than(&self, allowed: &[&str]) -> Option<String> {
        let mut typed = self.0.iter();
        let other = typed.find(|name| !allowed.contains(&name.as_str()))?;
        Some(format!("--{}", other.replace('_', "-")))
    }
}

impl FromArgMatches for Typed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = matches.ids().map(clap::Id::as_str).filter(|name| {
            // Groups are named as the structs of flags are, in capitals.
            name.starts_with(|first: char| first.is_lowercase())
                && matches.value_source(name) == Some(ValueSource::CommandLine)
        });
        Ok(Self(typed.map(str::to_owned).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Typed {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}
