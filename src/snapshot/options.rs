//! What a download may be told.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::overwrite::Overwrite;
use super::stream::ATTEMPTS;
use crate::error::{Error, Result};
use crate::progress::{Callback, Progress};

/// How a download is done. [`new`](Self::new) gives the defaults.
#[derive(Clone)]
#[must_use]
#[non_exhaustive]
pub struct DownloadOptions<'a> {
    pub(crate) overwrite: Overwrite,
    pub(crate) callback: Option<Callback<'a>>,
    pub(crate) verify: bool,
    pub(crate) connections: usize,
    pub(crate) attempts: u32,
}

/// More connections to one host help nobody.
const MAX_CONNECTIONS: usize = 32;

impl<'a> DownloadOptions<'a> {
    /// Refuses to touch an existing file, one connection, five attempts, no check of the entries' CRCs.
    pub fn new() -> Self {
        Self {
            overwrite: Overwrite::Refuse,
            callback: None,
            verify: false,
            connections: 1,
            attempts: ATTEMPTS,
        }
    }

    /// What to do when the target exists; [`Overwrite::Refuse`] by default.
    ///
    /// [`Overwrite::Keep`] succeeds at once when the file is the same: its length is the snapshot's, and its
    /// name carries the snapshot's version (as [`Snapshot::file_name`](crate::Snapshot::file_name) does) or
    /// its end, which holds the archive's directory, equals the snapshot's (one request of at most 64 KiB).
    /// Any other file is left alone and the call fails with [`Error::Exists`].
    pub fn overwrite(mut self, overwrite: Overwrite) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Reports progress, and stops the download when the answer is [`ControlFlow::Break`].
    ///
    /// Called in the thread of the call, at most about 200 times a second while bytes come and once at the
    /// end. A stopped download keeps its part file and goes on from there the next time. While the host is
    /// silent it is not called by a download over one connection: the download is cancelled when bytes arrive again, or
    /// after [`ClientBuilder::stall_timeout`](crate::ClientBuilder::stall_timeout) at the latest.
    pub fn progress(mut self, callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'a) -> Self {
        self.callback = Some(Arc::new(callback));
        self
    }

    /// Checks the CRC of every entry before the file gets its name. Costs reading and inflating the file once,
    /// after the last byte came. Needs the feature `zip`. The archive's structure is checked always.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// How many connections fetch ranges of the snapshot side by side: 1 (the default) to 32. Worth it where
    /// the store caps the speed of one. Where ranges are not supported, one is used. Memory: about 2 MiB each.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How many attempts in a row may get nowhere before the download fails: 5 by default, at least 1.
    /// Progress (4 KiB, or a 64th of a small snapshot) begins the count anew.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.connections == 0 || self.connections > MAX_CONNECTIONS {
            return Err(Error::invalid(
                "the number of connections",
                format!("must be 1 to {MAX_CONNECTIONS}"),
            ));
        }
        if self.attempts == 0 {
            return Err(Error::invalid("the number of attempts", "must be at least 1"));
        }
        if self.verify && !cfg!(feature = "zip") {
            return Err(Error::invalid("verify(true)", "needs the crate's feature `zip`; switch it on"));
        }
        Ok(())
    }
}

impl Default for DownloadOptions<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DownloadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadOptions")
            .field("overwrite", &self.overwrite)
            .field("progress", &self.callback.is_some())
            .field("verify", &self.verify)
            .field("connections", &self.connections)
            .field("attempts", &self.attempts)
            .finish()
    }
}
