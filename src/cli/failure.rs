//! Why the program ends without success, and the exit code that says so.

use std::io;
use std::process::ExitCode;

use aquatint::Error;

/// The result of a verb.
pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// The exit code after Ctrl-C: 128 + SIGINT, as shells have it.
pub(super) const CANCELLED: u8 = 130;

/// The exit code of what the user can mend by typing something else, as clap has it.
const USAGE: u8 = 2;

/// Why the program ends without success; shown as one line on stderr.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The arguments cannot be carried out; names the flag and the remedy.
    #[error("error: {0}")]
    Usage(String),
    /// The library's answer.
    #[error("error: {0}")]
    Library(Error),
    /// Results could not be written.
    #[error("error: stdout: {0}")]
    Stdout(io::Error),
    /// Results could not be put into JSON.
    #[error("error: --json: {0}")]
    Json(#[from] serde_json::Error),
    /// The operating system would not tell of Ctrl-C.
    #[error("error: cannot listen for Ctrl-C: {0}")]
    Interrupt(#[from] ctrlc::Error),
    /// A picture came out differently, and must not.
    #[error("error: --require-equal: {0}")]
    Different(String),
    /// Weights of a model are no numbers.
    #[error("error: --check: {0}")]
    Damaged(String),
    /// The user stopped the run.
    #[error("cancelled")]
    Cancelled,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Self::Cancelled,
            other => Self::Library(other),
        }
    }
}

impl Failure {
    /// 2 for usage, 130 for Ctrl-C, 1 for the rest.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) | Self::Library(Error::Request { .. } | Error::NoSuchModel { .. }) => {
                USAGE
            }
            Self::Cancelled => CANCELLED,
            _ => 1,
        })
    }
}
