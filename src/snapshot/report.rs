//! The progress of one download, reported by whichever thread has something to say.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::progress::{Callback, Progress, Throttle};

/// Reports one call's progress to its callback, at a limited rate.
pub(crate) struct Report<'a> {
    throttle: Throttle<'a>,
    target: &'a Path,
    resumed_from: AtomicU64,
    attempt: AtomicU32,
}

impl<'a> Report<'a> {
    pub(crate) fn new(callback: Option<Callback<'a>>, target: &'a Path) -> Self {
        let throttle = Throttle::new(callback);
        Self { throttle, target, resumed_from: AtomicU64::new(0), attempt: AtomicU32::new(1) }
    }

    /// Notes how many bytes an earlier call left.
    pub(crate) fn resumed(&self, bytes: u64) {
        self.resumed_from.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn resumed_from(&self) -> u64 {
        self.resumed_from.load(Ordering::Relaxed)
    }

    /// Reports when it is time to. `attempt` is that of one connection; the highest of all counts.
    pub(crate) fn tick(&self, bytes: &AtomicU64, total: Option<u64>, attempt: u32) -> Result<()> {
        self.attempt.fetch_max(attempt, Ordering::Relaxed);
        let progress = || self.progress(bytes.load(Ordering::Relaxed), total);
        self.or_cancelled(self.throttle.report(progress))
    }

    /// Reports now that all `bytes` are there.
    pub(crate) fn finish(&self, bytes: u64) -> Result<()> {
        self.or_cancelled(self.throttle.report_now(self.progress(bytes, Some(bytes))))
    }

    fn progress(&self, bytes: u64, total: Option<u64>) -> Progress {
        let attempt = self.attempt.load(Ordering::Relaxed);
        Progress { bytes, total, attempt, resumed_from: self.resumed_from(), ..Progress::default() }
    }

    fn or_cancelled(&self, flow: ControlFlow<()>) -> Result<()> {
        match flow {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled { action: "downloading to", path: self.target.to_owned() }),
        }
    }
}
