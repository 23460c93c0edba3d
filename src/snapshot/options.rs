//! The options of a download, and what an extraction shares with it.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::progress::{Callback, Progress};

/// What a download or an extraction does with a file or directory that already exists at its target.
///
/// ```no_run
/// use squarecloud_blocking::{Client, DownloadOptions, Overwrite};
/// let options = DownloadOptions::new().overwrite(Overwrite::Keep);
/// let client = Client::from_env()?;
/// for info in client.all_app_snapshots("0123456789abcdef0123456789abcdef")? {
///     client.open(&info)?.download_with("backups", &options)?; // what is there already costs no request
/// }
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overwrite {
    /// Fail with [`Error::Exists`](crate::Error::Exists) and leave everything as it is. The default.
    #[default]
    Refuse,
    /// Put the new file in place of the old one, in one step: there is never a moment without a whole file.
    Replace,
    /// Leave what exists. An extraction writes only what is missing; a download succeeds at once when the file is
    /// the same snapshot, and otherwise fails as with [`Refuse`](Self::Refuse).
    Keep,
}

/// The options of a download. [`new`](Self::new) returns the defaults.
///
/// ```
/// use std::ops::ControlFlow;
/// use squarecloud_blocking::DownloadOptions;
///
/// let options = DownloadOptions::new().connections(4).verify(true).progress(|now| {
///     eprint!("\r{} of {:?} bytes", now.bytes, now.total);
///     ControlFlow::Continue(()) // or `Break(())` to cancel
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[non_exhaustive]
pub struct DownloadOptions<'a> {
    pub(crate) overwrite: Overwrite,
    pub(crate) callback: Option<Callback<'a>>,
    pub(crate) verify: bool,
    pub(crate) connections: usize,
    pub(crate) attempts: u32,
    /// `None`: the client's.
    pub(crate) retry_for: Option<Duration>,
}

/// More connections to one host gain nothing.
const MAX_CONNECTIONS: usize = 32;

impl<'a> DownloadOptions<'a> {
    /// Returns the defaults: an existing file is left alone, one connection, no check of the CRCs, and the
    /// client's [`retry_for`](crate::ClientBuilder::retry_for).
    pub fn new() -> Self {
        Self {
            overwrite: Overwrite::Refuse,
            callback: None,
            verify: false,
            connections: 1,
            attempts: u32::MAX,
            retry_for: None,
        }
    }

    crate::setters! {
        /// Sets what to do when the target exists; [`Overwrite::Refuse`] by default.
        ///
        /// [`Overwrite::Keep`] succeeds at once when the file is the same: its length is the snapshot's, and its
        /// name is [`Snapshot::file_name`](crate::Snapshot::file_name) with a time or a version, or
        /// its end, which holds the archive's central directory, equals the snapshot's (one request of at most 64 KiB).
        /// Any other file is left alone and the call fails with [`Error::Exists`].
        overwrite(s, overwrite: Overwrite) { s.overwrite = overwrite }

        /// Reports progress, and cancels the download when the callback returns [`ControlFlow::Break`].
        ///
        /// Called at most about 200 times a second while bytes arrive and once at the end, never from two threads at
        /// once; with several connections not always from the calling thread. A cancelled download keeps its part file,
        /// and a later call continues it. While the host sends nothing, the callback is not called: the download is then
        /// cancelled when bytes arrive again, or at the limit for connecting, for the first byte or for a stall (30 s:
        /// [`ClientBuilder`](crate::ClientBuilder)). While it pauses before another attempt ([`Progress::waiting`]), the
        /// callback is called every 20 ms.
        progress(s, callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'a) { s.callback = Some(Callback::new(callback)) }

        /// Sets whether the CRC-32 of every entry is checked before the file gets its name; `false` by default. Reads and
        /// inflates the file once more, after the last byte arrived. Needs the feature `zip`. The archive's structure is
        /// always checked.
        verify(s, verify: bool) { s.verify = verify }

        /// Sets how many connections fetch ranges of the snapshot at the same time: 1 (the default) to 32. Useful when the
        /// host limits the speed of each. When the host does not support ranges, one is used; when it refuses additional
        /// connections, as many as it serves, and the others try again now and then. Each takes about 1 MiB of memory.
        connections(s, connections: usize) { s.connections = connections }

        /// Sets how many attempts in a row may bring nothing new before the download fails, at least 1; not limited by
        /// default. Progress (4 KiB, or a 64th of a small snapshot, at the minimum speed) starts the count again.
        attempts(s, attempts: u32) { s.attempts = attempts }

        /// Sets how long the download goes on trying without progress; by default
        /// [`ClientBuilder::retry_for`](crate::ClientBuilder::retry_for), which is 2 min.
        retry_for(s, limit: Duration) { s.retry_for = Some(limit) }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.connections == 0 || self.connections > MAX_CONNECTIONS {
            return Err(Error::invalid("the number of connections", format!("must be from 1 to {MAX_CONNECTIONS}")));
        }
        if self.attempts == 0 {
            return Err(Error::invalid("the number of attempts", "must be at least 1"));
        }
        if self.verify && !cfg!(feature = "zip") {
            return Err(Error::invalid("verify(true)", "needs the crate's feature `zip`; enable it"));
        }
        Ok(())
    }
}

impl Default for DownloadOptions<'_> {
    fn default() -> Self {
        Self::new()
    }
}
