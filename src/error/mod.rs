//! What can go wrong. An error says what was being done, and what to do next.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod again;
mod code;
mod display;
mod predicates;

pub use code::{ErrorCode, Limit, Rate};
pub(crate) use display::{base_url_advice, suffix};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A cause whose type belongs to a dependency: boxed, so that no dependency appears in a signature.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Everything a call of this crate can fail with.
///
/// `{}` prints this layer only: what was being done, what went wrong, and what to do next. The cause, if there is one, is
/// in [`source`](std::error::Error::source). `{:#}` prints both in one line, as [`report`](Error::report) returns it. None
/// of them ever contains a secret.
///
/// ```
/// use squarecloud_blocking::{Error, Limit};
///
/// fn advise(error: &Error) {
///     match error {
///         Error::Exists { path } => println!("{} is in the way", path.display()),
///         Error::Pending { next, .. } => println!("not done, and not failed: {next}"),
///         _ if error.is_not_found() => println!("no such app or snapshot, or the key may not see it"),
///         _ if error.is_unauthorized() => println!("the key is wrong or lacks a scope"),
///         _ if error.limit() == Some(Limit::Cooldown) => println!("wait {:?}", error.retry_after()),
///         _ => println!("{error:#}"),
///     }
/// }
/// # advise(&squarecloud_blocking::Client::new("key\nwith a line break").unwrap_err());
/// ```
///
/// Match variants with `..`: they may get more fields. The methods look through errors that only wrap another one, so
/// they return the same for an error that comes out of a `Read`, a [`Source`](crate::Source) or an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument was refused before anything was sent or written.
    Invalid {
        /// The argument, in words: `the app id`.
        what: Cow<'static, str>,
        /// What is wrong with it and what it should be.
        reason: Cow<'static, str>,
    },

    /// The service responded with an error.
    Api {
        /// The request's method.
        method: &'static str,
        /// The request's path, without query.
        path: String,
        /// The response's HTTP status.
        status: u16,
        /// The service's code; [`ErrorCode::UNKNOWN`] when the response has none.
        code: ErrorCode,
        /// The service's message, or an empty string.
        message: String,
        /// How long the service says to wait (`Retry-After`), when it does; see also [`Error::retry_after`].
        retry_after: Option<Duration>,
    },

    /// The response is not valid for this call: it is not JSON, has the wrong status, or lacks a field.
    UnexpectedResponse {
        /// The request's method.
        method: &'static str,
        /// The request's path, without query.
        path: String,
        /// The response's HTTP status.
        status: u16,
        /// What is wrong with the response.
        problem: Cow<'static, str>,
        /// The beginning of the response body, escaped and cut; secrets are redacted.
        excerpt: String,
        /// How long the response says to wait (`Retry-After`), when it does.
        retry_after: Option<Duration>,
    },

    /// The connection could not be made or broke off, or the response could not be read. A POST may have been
    /// carried out anyway.
    Network {
        /// The request's method.
        method: &'static str,
        /// The request's path, without query.
        path: String,
        /// What went wrong.
        failure: NetworkFailure,
        /// The other side: `host:port`, `host:port via the proxy host:port`, or `the proxy host:port`.
        peer: String,
        /// The response's HTTP status, when the status line arrived before the connection failed.
        status: Option<u16>,
        /// What went wrong with the connection.
        source: Cause,
    },

    /// The proxy refused to connect to the host. Nothing was sent to the host.
    Proxy {
        /// The request's method.
        method: &'static str,
        /// The request's path, without query.
        path: String,
        /// Where the request would have gone, as `host:port`.
        host: String,
        /// The proxy, as `host:port`.
        proxy: String,
        /// The HTTP status of the proxy's response.
        status: Option<u16>,
    },

    /// A time limit was exceeded.
    Timeout {
        /// The request's method.
        method: &'static str,
        /// The request's path, without query.
        path: String,
        /// What took too long: `connecting to host:port`, `waiting for the response from host:port`, ...
        phase: Cow<'static, str>,
        /// The limit that was exceeded.
        limit: Duration,
        /// The response's HTTP status, when the status line arrived in time.
        status: Option<u16>,
    },

    /// The service accepted the work and has not finished it yet: **not** a failure, and **not** done.
    Pending {
        /// What is not finished: `the snapshot of app ...`.
        what: String,
        /// How long this call waited.
        waited: Duration,
        /// What to do next.
        next: &'static str,
    },

    /// A restore failed at the service.
    RestoreFailed {
        /// What was being restored: `app ...`.
        what: String,
        /// The service's code; [`ErrorCode::UNKNOWN`] when it gave none.
        code: ErrorCode,
        /// The step it failed in, when known.
        step: Option<String>,
    },

    /// The state of a restore is not known: it may be running, done or failed. The service may be older than the route
    /// that tells, or may report no restore within the last hour.
    StatusUnavailable {
        /// What was being restored: `app ...`.
        what: String,
        /// The response's HTTP status, when the service refused.
        status: Option<u16>,
        /// Why the state is not known.
        reason: &'static str,
    },

    /// The callback cancelled the call.
    Cancelled {
        /// What was being done: `sending`, `extracting`, ...
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
    },

    /// The callback cancelled the wait for work at the service, which goes on with what it has accepted.
    WaitCancelled {
        /// What was waited for: `the snapshot of app ...`.
        what: String,
        /// What to do next.
        next: &'static str,
    },

    /// A file operation failed.
    Io {
        /// What was being done: `creating`, `writing`, ...
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system reported.
        source: io::Error,
    },

    /// The target already exists and may not be replaced.
    Exists {
        /// The existing file or directory.
        path: PathBuf,
    },

    /// Another run of a [`Mirror`](crate::Mirror) is at work in the same directory.
    Busy {
        /// The file that it has locked.
        path: PathBuf,
    },

    /// The service's limits leave no room for a request, so it was not sent.
    TooSoon {
        /// What was not requested: `the snapshot of app ...`.
        what: String,
        /// The limit that stands against it.
        limit: Limit,
    },

    /// A download could not be completed, or is not the snapshot that was requested. No final file was made.
    Download {
        /// The snapshot's file name.
        what: String,
        /// The HTTP status of the last response, when there was one.
        status: Option<u16>,
        /// What is wrong and what to do next.
        problem: Cow<'static, str>,
    },

    /// An archive, or one entry of it, was refused.
    Refused {
        /// The archive's file, or its link without the query; `None` when it has no name.
        archive: Option<String>,
        /// The entry's name, escaped; `None` when the archive as a whole is refused.
        entry: Option<String>,
        /// Why.
        refusal: Refusal,
        /// The details, and what to do next.
        detail: String,
    },

    /// Reading the archive's bytes failed.
    Archive {
        /// The archive's file, or its link without the query; `None` when it has no name.
        archive: Option<String>,
        /// The entry being read, escaped.
        entry: Option<String>,
        /// What went wrong.
        source: Cause,
    },

    /// The archive has no entry with that name, or none that the options of an extraction select.
    NoSuchEntry {
        /// The archive's file, or its link without the query; `None` when it has no name.
        archive: Option<String>,
        /// The name that was looked up, or the prefix that no entry lies under; empty when filter and `strip` leave no entry.
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

    /// The same error, which names the archive if it is about one.
    #[cfg(feature = "zip")]
    pub(crate) fn in_archive(mut self, name: Option<&str>) -> Self {
        match &mut self {
            Self::Refused { archive, .. } | Self::Archive { archive, .. } | Self::NoSuchEntry { archive, .. } => {
                *archive = archive.take().or(name.map(Into::into));
            }
            _ => {}
        }
        self
    }
}

/// What went wrong with a connection: to be matched, not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetworkFailure {
    /// The name could not be resolved. Nothing was sent.
    Lookup,
    /// The connection was refused, or there is no route to the host. Nothing was sent.
    Connect,
    /// The server's certificate is not valid. Nothing was sent, and trying again does not help.
    Certificate,
    /// The connection broke off, or the response could not be read.
    Broken,
}

/// Why an archive or an entry was refused: to be matched, not parsed.
///
/// ```
/// # #[cfg(feature = "zip")] {
/// use squarecloud_blocking::{Archive, Refusal};
/// let error = Archive::new(b"not a zip".to_vec()).unwrap_err();
/// assert_eq!(error.refusal(), Some(Refusal::Corrupt));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A name climbs out of the target with `..`.
    #[error("the name climbs out of the target directory")]
    ClimbsOut,
    /// A name is absolute, or names a drive, a share or a device.
    #[error("the name is absolute or names a drive, a share or a device")]
    Absolute,
    /// A name is empty, too long, or contains what no file name may contain, or none on the target's file system.
    #[error("the name cannot be used as a file name")]
    Name,
    /// A symbolic link leads out of the target, or an entry would be written through a link.
    #[error("a symbolic link points outside the target directory, or an entry would be written through it")]
    Link,
    /// Two entries would become the same file, or one is a file and the other a directory.
    #[error("two entries claim the same path")]
    Collision,
    /// A limit on bytes is exceeded.
    #[error("it is larger than the limit allows")]
    TooLarge,
    /// A limit on the number of entries, the depth or the path length is exceeded.
    #[error("it has more entries, or a deeper or longer path, than the limit allows")]
    TooMany,
    /// An entry, or the archive as a whole, has a higher compression ratio than `Limits::ratio` allows, if that is set.
    #[error("its compression ratio is higher than the limit allows")]
    Ratio,
    /// Two entries share bytes of the archive.
    #[error("entries overlap")]
    Overlap,
    /// Structure, sizes, headers or a checksum contradict each other.
    #[error("the archive is damaged or contradicts itself")]
    Corrupt,
    /// An entry is encrypted.
    #[error("the entry is encrypted")]
    Encrypted,
    /// An entry's compression method is neither stored nor deflate, the archive spans several files, or it has links and the
    /// target's file system has none.
    #[error("the archive uses a feature that this crate or the target's file system does not support")]
    Unsupported,
    /// An entry is a device, a fifo or a socket.
    #[error("the entry is a device, a fifo or a socket")]
    Special,
}
