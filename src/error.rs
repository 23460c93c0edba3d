//! What can go wrong, said so that the reader knows what was being done to what, and what to do next.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod code;
mod limit;
mod lines;
mod refusal;

pub use code::ErrorCode;
pub use limit::{Limit, Rate};
pub use refusal::Refusal;

use lines::{AnsweredLine, ApiLine, EntryIn, EntryLine, Excerpt, NextLine, Span, StepLine, WaitLine};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A cause whose type belongs to a dependency: boxed, so that no dependency appears in a signature.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Everything a call of this crate can fail with.
///
/// `Display` prints one layer: what was being done to what and what to do next. The cause, if there is one,
/// is in [`source`](std::error::Error::source). No secret is ever part of either.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument was refused before anything was sent or written.
    #[error("{what} {reason}")]
    #[non_exhaustive]
    Invalid {
        /// The argument, in words: `the app id`.
        what: Cow<'static, str>,
        /// What is wrong with it and what it should be.
        reason: Cow<'static, str>,
    },

    /// The service answered with an error of its own.
    #[error("{method} {path}: {}{}", ApiLine { status: *status, code, message }, WaitLine { code, wait: self.retry_after() })]
    #[non_exhaustive]
    Api {
        /// The request's method.
        method: &'static str,
        /// The request's path, without query.
        path: String,
        /// The answer's HTTP status.
        status: u16,
        /// The service's code; [`ErrorCode::UNKNOWN`] when the answer has none.
        code: ErrorCode,
        /// The service's message, or an empty string.
        message: String,
        /// How long the service says to wait (`Retry-After`), when it does; [`Error::retry_after`] knows more.
        retry_after: Option<Duration>,
    },

    /// The answer is not one the protocol allows here: no JSON, the wrong status, a missing field.
    #[error("{method} {path}: HTTP {status}, {problem}{}", Excerpt(excerpt))]
    #[non_exhaustive]
    UnexpectedResponse {
        /// The request's method.
        method: &'static str,
        /// The request's path, without query.
        path: String,
        /// The answer's HTTP status.
        status: u16,
        /// What is wrong with the answer.
        problem: Cow<'static, str>,
        /// The answer's first bytes, escaped and cut; secrets are redacted.
        excerpt: String,
    },

    /// The connection could not be made, broke off, or gave no readable answer, and nothing more could be done
    /// about it. After a POST that may have been carried out all the same.
    #[error("{method} {path}: got no answer that can be read{}; {}", AnsweredLine(*status), NextLine { method })]
    #[non_exhaustive]
    Network {
        /// The request's method.
        method: &'static str,
        /// The request's path, without query.
        path: String,
        /// The answer's HTTP status, when its first line was there before the connection failed.
        status: Option<u16>,
        /// What the network said.
        source: Cause,
    },

    /// A time limit ran out.
    #[error("{method} {path}: {phase} took longer than {}{}; {}", Span(*limit), AnsweredLine(*status), NextLine { method })]
    #[non_exhaustive]
    Timeout {
        /// The request's method.
        method: &'static str,
        /// The request's path, without query.
        path: String,
        /// What was being waited for: `connecting`, `the first byte of the answer`, ...
        phase: Cow<'static, str>,
        /// The limit that ran out.
        limit: Duration,
        /// The answer's HTTP status, when its head was there before time ran out.
        status: Option<u16>,
    },

    /// The service accepted the work and is not done with it yet: **not** a failure, and **not** done.
    #[error("{what} is still running at the service after {}; {next}", Span(*waited))]
    #[non_exhaustive]
    Pending {
        /// What is being made: `the snapshot of app ...`.
        what: String,
        /// How long this call waited.
        waited: Duration,
        /// What to do next.
        next: &'static str,
    },

    /// A restore ended badly at the service.
    #[error("restoring {what} failed at the service: {code}{}", StepLine(step))]
    #[non_exhaustive]
    RestoreFailed {
        /// What was being restored: `app ...`.
        what: String,
        /// The service's code; [`ErrorCode::UNKNOWN`] when it gave none.
        code: ErrorCode,
        /// The step it failed in, when known.
        step: Option<String>,
    },

    /// Nothing can be said about how a restore stands. It may be running, done or failed.
    #[error("the restore status of {what} is unavailable: {reason}")]
    #[non_exhaustive]
    StatusUnavailable {
        /// What was asked about: `app ...`.
        what: String,
        /// The answer's HTTP status, when it was a refusal.
        status: Option<u16>,
        /// Why nothing can be said.
        reason: &'static str,
    },

    /// The callback of the call asked to stop.
    #[error("{action} {} was cancelled by its callback", path.display())]
    #[non_exhaustive]
    Cancelled {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
    },

    /// The file system refused.
    #[error("{action} {} failed", path.display())]
    #[non_exhaustive]
    Io {
        /// What was being done: `creating`, `writing`, ...
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The target is there already and may not be replaced.
    #[error("{} exists already and is left as it is; choose another path, or ask to replace or keep it", path.display())]
    #[non_exhaustive]
    Exists {
        /// The existing file or directory.
        path: PathBuf,
    },

    /// A download could not be completed or is not what was asked for. No final file was made.
    #[error("downloading {what}: {problem}")]
    #[non_exhaustive]
    Download {
        /// The snapshot's file name.
        what: String,
        /// The last answer's HTTP status, when there was an answer.
        status: Option<u16>,
        /// What is wrong and what to do next.
        problem: Cow<'static, str>,
        /// The cause, when there is one.
        source: Option<Cause>,
    },

    /// An archive, or one entry of it, was refused.
    #[error("{}{refusal}{}{}", EntryLine(entry), if detail.is_empty() { "" } else { ": " }, detail)]
    #[non_exhaustive]
    Refused {
        /// The entry's name, escaped; `None` when the archive as a whole is refused.
        entry: Option<String>,
        /// Why: to be matched.
        refusal: Refusal,
        /// What exactly, and what to do next.
        detail: String,
    },

    /// Reading the archive's bytes failed.
    #[error("reading the archive{}failed", EntryIn(entry))]
    #[non_exhaustive]
    Archive {
        /// The entry being read, escaped.
        entry: Option<String>,
        /// What went wrong.
        source: Cause,
    },

    /// The archive has no entry of that name.
    #[error("the archive has no entry named {name:?}; `entries()` lists what it has")]
    #[non_exhaustive]
    NoSuchEntry {
        /// The name asked for.
        name: String,
    },
}

impl Error {
    pub(crate) fn invalid(what: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { action, path: path.as_ref().to_owned(), source }
    }

    /// The service's code, when the service gave the error.
    pub fn code(&self) -> Option<&ErrorCode> {
        match self {
            Self::Api { code, .. } | Self::RestoreFailed { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The answer's HTTP status, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } | Self::UnexpectedResponse { status, .. } => Some(*status),
            Self::Network { status, .. }
            | Self::Timeout { status, .. }
            | Self::Download { status, .. }
            | Self::StatusUnavailable { status, .. } => *status,
            _ => None,
        }
    }

    /// Why an archive was refused, when it was.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }

    /// Whether the same call may succeed if it is made again soon. False for rate limits and quotas, which
    /// want a longer wait, and for everything that might do its work twice.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Api { method, code, .. } => {
                *code == ErrorCode::UPLOAD_BUSY
                    || *code == ErrorCode::ANALYTICS_BUSY
                    || (*method == "GET" && *code == ErrorCode::DATABASE_UNAVAILABLE)
            }
            Self::Network { method, status, .. } | Self::Timeout { method, status, .. } => {
                *method == "GET" && !is_refusal(*status)
            }
            // An edge's page, in the place of the service's answer.
            Self::UnexpectedResponse { method, status, .. } => *method == "GET" && *status >= 500,
            _ => false,
        }
    }

    /// Whether the service refused because of a cooldown, a budget or a quota (HTTP 429).
    pub fn is_rate_limited(&self) -> bool {
        match self {
            Self::Api { status, code, .. } => *status == 429 || code.is_limit(),
            Self::UnexpectedResponse { status, .. } => *status == 429,
            Self::Network { status, .. } | Self::Timeout { status, .. } => *status == Some(429),
            _ => false,
        }
    }

    /// Whether the app, database, snapshot or workspace does not exist, or the key may not see it.
    /// `SNAPSHOT_FAILED` and `SNAPSHOT_RESTORE_FAILED` are failures in spite of their HTTP 404.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Api { code, .. } if code.as_str().ends_with("_NOT_FOUND") => {
                *code != ErrorCode::ROUTE_NOT_FOUND
            }
            Self::Api { status, code, .. } => *status == 404 && *code == ErrorCode::UNKNOWN,
            Self::UnexpectedResponse { status, .. } => *status == 404,
            Self::Network { status, .. } | Self::Timeout { status, .. } => *status == Some(404),
            _ => false,
        }
    }

    /// Whether the key is wrong, expired or lacks a scope. Never retried: repeated bad keys get an address
    /// blocked.
    pub fn is_unauthorized(&self) -> bool {
        match self {
            Self::Api { status: 401, .. } => true,
            Self::Api { code, .. } => *code == ErrorCode::ACCESS_DENIED || *code == ErrorCode::MISSING_SCOPE,
            Self::UnexpectedResponse { status, .. } => *status == 401,
            Self::Network { status, .. } | Self::Timeout { status, .. } => *status == Some(401),
            _ => false,
        }
    }

    /// Whether a time limit of this crate ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether the call's own callback stopped it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled { .. })
    }

    /// Whether the service accepted the work and is still at it. Never repeat the call then.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }
}

/// Whether the service said no, even if it was not heard to the end: asking again is of no use or does harm.
pub(crate) fn is_refusal(status: Option<u16>) -> bool {
    status.is_some_and(|status| (400..500).contains(&status))
}

/// For a `Read` or a [`Source`](crate::Source): the error stays whole inside, see [`io::Error::get_ref`].
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io { source, .. } => source.kind(),
            Error::Timeout { .. } => io::ErrorKind::TimedOut,
            Error::Invalid { .. } => io::ErrorKind::InvalidInput,
            Error::Refused { .. } => io::ErrorKind::InvalidData,
            Error::NoSuchEntry { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
