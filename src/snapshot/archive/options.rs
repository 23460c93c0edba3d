//! How an archive is extracted.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::entry::Entry;
use super::limits::Limits;
use crate::progress::{Callback, Progress};
use crate::snapshot::overwrite::Overwrite;

type Filter = Arc<dyn Fn(&Entry<'_>) -> bool + Send + Sync>;

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Links {
    /// Make those that stay inside the target, and refuse the archive for any that does not. The default.
    #[default]
    Keep,
    /// Leave links out.
    Skip,
    /// Refuse an archive that has any.
    Refuse,
}

/// How [`Archive::extract_with`](crate::Archive::extract_with) works. Everything is extracted, with all cores,
/// times and permission bits kept, into a target that does not exist or is empty, unless said otherwise.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ExtractOptions {
    pub(super) threads: Option<usize>,
    pub(super) filter: Option<Filter>,
    pub(super) prefixes: Vec<String>,
    pub(super) strip: usize,
    pub(super) overwrite: Overwrite,
    pub(super) limits: Limits,
    pub(super) links: Links,
    pub(super) drop_times: bool,
    pub(super) drop_modes: bool,
    pub(super) verify: bool,
    pub(super) callback: Option<Callback<'static>>,
}

impl ExtractOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Works with `n` threads, at least 1; all cores by default. Each takes half a MiB of memory.
    #[must_use]
    pub fn threads(mut self, n: usize) -> Self {
        self.threads = Some(n.max(1));
        self
    }

    /// Extracts only entries for which `pick` is true. The others are not looked at: what is wrong with
    /// them refuses nothing.
    #[must_use]
    pub fn filter(mut self, pick: impl Fn(&Entry<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(pick));
        self
    }

    /// Extracts only what lies at or under this path; given several times, under any of them.
    #[must_use]
    pub fn prefix(mut self, path: impl Into<String>) -> Self {
        let path: String = path.into();
        self.prefixes.push(path.trim_end_matches('/').to_owned());
        self
    }

    /// Leaves out the first `n` components of every path, and entries that have no more than those.
    #[must_use]
    pub fn strip(mut self, n: usize) -> Self {
        self.strip = n;
        self
    }

    /// What to do when the target is a directory that is not empty. Files are then put into it one by one
    /// after all of them have been extracted and checked; a failure while doing so is undone.
    #[must_use]
    pub fn overwrite(mut self, policy: Overwrite) -> Self {
        self.overwrite = policy;
        self
    }

    /// How much the archive may ask for.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What becomes of symbolic links.
    #[must_use]
    pub fn links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Whether files and directories get the archive's modification times: yes by default. DOS times, which
    /// have no time zone, are taken as UTC.
    #[must_use]
    pub fn keep_times(mut self, keep: bool) -> Self {
        self.drop_times = !keep;
        self
    }

    /// Whether files and directories get the archive's permission bits, less those of the umask: yes by
    /// default. Set-id and sticky bits are never set, and no permission bits at all count as none given.
    #[must_use]
    pub fn keep_modes(mut self, keep: bool) -> Self {
        self.drop_modes = !keep;
        self
    }

    /// Whether every file is read back and its checksum compared before the target appears: no by default.
    /// Costs one more reading of all files.
    #[must_use]
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Reports how far the extraction is, and cancels it on [`ControlFlow::Break`]. Called from the working
    /// threads, never twice at once.
    #[must_use]
    pub fn progress(
        mut self,
        callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.callback = Some(Arc::new(callback));
        self
    }
}

impl fmt::Debug for ExtractOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractOptions")
            .field("threads", &self.threads)
            .field("filter", &self.filter.is_some())
            .field("prefixes", &self.prefixes)
            .field("strip", &self.strip)
            .field("overwrite", &self.overwrite)
            .field("limits", &self.limits)
            .field("links", &self.links)
            .field("keep_times", &!self.drop_times)
            .field("keep_modes", &!self.drop_modes)
            .field("verify", &self.verify)
            .field("progress", &self.callback.is_some())
            .finish()
    }
}
