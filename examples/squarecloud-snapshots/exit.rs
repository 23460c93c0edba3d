//! Exit codes, and what they are told from.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use serde::Serialize;
use squarecloud_blocking::{Error, ErrorCode};

use crate::output::{Out, printable};
use crate::secret;
use crate::verify::plain;

/// The exit codes, as `--help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Damaged = 3,
    NotFound = 4,
    Limit = 5,
    Pending = 6,
    Partly = 7,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a verb ended early.
#[derive(Debug)]
pub enum Failure {
    /// The library's error.
    Library(Error),
    /// The program's own: an exit code and a sentence.
    Told(Exit, String),
    /// Whoever read standard output has read enough: `| head -1`.
    Closed,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Self::Told(exit, message.to_string())
    }

    /// Standard output cannot be written.
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::new(Exit::Failed, format_args!("cannot write to standard output: {error}")),
        }
    }
}

impl Failure {
    /// As an error of the library, for what reports several of them.
    pub fn into_library(self) -> Error {
        let reason = match self {
            Self::Library(error) => return error,
            Self::Told(_, message) => message,
            Self::Closed => String::new(),
        };
        Error::Invalid { what: "the client".into(), reason: reason.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

/// The exit code of the library's error.
pub fn code(error: &Error) -> Exit {
    let limits = [&ErrorCode::KEEP_CALM, &ErrorCode::DAILY_SNAPSHOTS_LIMIT_REACHED];
    match error {
        Error::Invalid { .. } => Exit::Usage,
        Error::TooSoon { .. } => Exit::Limit,
        Error::StatusUnavailable { .. } => Exit::Pending,
        _ if error.is_cancelled() => Exit::Interrupted,
        _ if error.is_pending() => Exit::Pending,
        _ if error.is_not_found() || matches!(error, Error::NoSuchEntry { .. }) => Exit::NotFound,
        _ if error.is_rate_limited() || error.needs_upgrade() => Exit::Limit,
        _ if error.code().is_some_and(|code| limits.contains(&code)) => Exit::Limit,
        _ if error.refusal().is_some() => Exit::Damaged,
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NotFound,
        _ => Exit::Failed,
    }
}

/// The document of `--json` when there is no other: the verb failed.
#[derive(Serialize)]
struct Document {
    error: Told,
}

#[derive(Serialize)]
struct Told {
    exit: u8,
    message: String,
}

/// Says on standard error what went wrong, if anything, with `json` on standard output, too, and returns the exit code.
pub fn report(result: Result<Exit>, json: bool) -> Exit {
    let (exit, message) = match result {
        Ok(exit) => return exit,
        Err(Failure::Closed) => return Exit::Done,
        Err(Failure::Told(exit, message)) => (exit, message),
        Err(Failure::Library(error)) => (code(&error), explain(&error)),
    };
    complain(&message);
    if json {
        let error = Told { exit: exit as u8, message: secret::redact(&message) };
        // What went wrong may be that nothing can be written there.
        let _ = Out::new(true).document(&Document { error });
    }
    exit
}

/// The library's error in one line, with what to do next in the words of this program.
pub fn explain(error: &Error) -> String {
    let unknown = ["APP_NOT_FOUND", "DATABASE_NOT_FOUND", "INVALID_ID"];
    match error {
        Error::Exists { path } => {
            let advice = "--overwrite keep leaves it as it is and goes on, --overwrite replace replaces it";
            format!("{} already exists and was not changed; {advice}", printable(&path.display().to_string()))
        }
        Error::NoSuchEntry { name, .. } if !name.is_empty() => {
            format!("there is no {name:?} in the snapshot; `ls` shows what is")
        }
        Error::Api { path, code, .. } if unknown.iter().any(|unknown| *code == **unknown) => {
            let id = path.split('/').find(|part| part.len() >= 24).unwrap_or("this id");
            format!("the service has no app or database {id} that the key may see ({code}); `apps` shows those it has")
        }
        Error::Pending { what, waited, .. } => {
            format!("{what} was accepted and is not finished after {} s; do not request it again", waited.as_secs())
        }
        Error::StatusUnavailable { what, reason, .. } => {
            format!("whether the restore of {what} is finished is not known: {reason}; do not request it again")
        }
        _ if error.is_cancelled() => "stopped".to_owned(),
        Error::Refused { .. } => plain(&error.report()),
        _ => error.report(),
    }
}

/// The exit code of several pieces of work: theirs if it is the same for all, otherwise that of a part.
pub fn together(exits: impl IntoIterator<Item = Exit>) -> Exit {
    let mut exits = exits.into_iter();
    let first = exits.next().unwrap_or(Exit::Done);
    if exits.all(|exit| exit == first) { first } else { Exit::Partly }
}

/// A line on standard error. Nothing more can be done when that cannot be written.
pub fn complain(message: &str) {
    use io::Write as _;
    let mut mark = console::style("error:").for_stderr().red().bold();
    if std::env::var_os("NO_COLOR").is_some() || !io::stderr().is_terminal() {
        mark = mark.force_styling(false);
    }
    let _ = writeln!(io::stderr(), "{mark} {}", secret::redact(message));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, code: &str) -> Error {
        let (path, message) = ("/v2/apps/c0ffee00d15e4a5eb10c5ca1ab1e0001/snapshots".into(), String::new());
        Error::Api { method: "POST", path, status, code: code.into(), message, retry_after: None }
    }

    #[test]
    fn each_error_has_its_exit_code() {
        let unfinished = Error::Pending { what: "it".into(), waited: std::time::Duration::ZERO, next: "wait" };
        let stopped = Error::WaitCancelled { what: "it".into(), next: "look" };
        for (error, expected) in [
            (api(429, "KEEP_CALM"), Exit::Limit),
            (api(429, "DAILY_SNAPSHOTS_LIMIT_REACHED"), Exit::Limit),
            (api(429, "RATE_LIMITED"), Exit::Limit),
            (api(402, "UPGRADE_REQUIRED"), Exit::Limit),
            (api(404, "APP_NOT_FOUND"), Exit::NotFound),
            (api(404, "SNAPSHOT_FAILED"), Exit::Failed),
            (api(401, "ACCESS_DENIED"), Exit::Failed),
            (unfinished, Exit::Pending),
            (stopped, Exit::Interrupted),
            (Error::Exists { path: "a.zip".into() }, Exit::Failed),
        ] {
            assert_eq!(code(&error), expected, "{error}");
        }
    }

    #[test]
    fn advice_is_in_the_words_of_the_command() {
        let gone = explain(&api(404, "APP_NOT_FOUND"));
        assert!(gone.contains("c0ffee00d15e4a5eb10c5ca1ab1e0001") && gone.contains("`apps`"), "{gone}");
        assert!(explain(&Error::Exists { path: "a.zip".into() }).contains("--overwrite"));
    }

    #[test]
    fn different_results_are_a_part() {
        assert_eq!(together([Exit::Limit, Exit::Limit]), Exit::Limit);
        assert_eq!(together([Exit::Done, Exit::Limit]), Exit::Partly);
        assert_eq!(together([]), Exit::Done);
    }
}
