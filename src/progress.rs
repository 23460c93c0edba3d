//! How a long call reports its progress, and how its caller cancels it.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The progress of a transfer or an extraction.
///
/// Passed by value to the callback of a long call; the callback returns [`ControlFlow::Continue`] to
/// continue or [`ControlFlow::Break`] to cancel, which ends the call with
/// [`Error::Cancelled`](crate::Error::Cancelled). It is called often enough for a smooth progress bar,
/// at most about 200 times a second, and always once at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes done, including those of an earlier run that is being continued.
    pub bytes: u64,
    /// Bytes in total, when known.
    pub total: Option<u64>,
    /// Bytes that an earlier run had downloaded, when this call continues it; otherwise 0.
    pub resumed_from: u64,
    /// The number of the current attempt, counted from 1. When a connection breaks off, the next attempt begins.
    pub attempt: u32,
    /// Archive entries done (extraction and verification); 0 for transfers.
    pub entries: u64,
    /// Archive entries in total (extraction and verification); 0 for transfers.
    pub total_entries: u64,
}

/// The callback of one call, as options carry it.
pub(crate) type Callback<'a> = Arc<dyn Fn(Progress) -> ControlFlow<()> + Send + Sync + 'a>;

/// The shortest time between two reports.
const INTERVAL: Duration = Duration::from_millis(5);

/// Calls a callback no more often than a progress bar can be redrawn, and never from two threads at once.
pub(crate) struct Throttle<'a> {
    callback: Option<Callback<'a>>,
    reported: Mutex<Option<Instant>>,
}

impl<'a> Throttle<'a> {
    pub(crate) fn new(callback: Option<Callback<'a>>) -> Self {
        Self { callback, reported: Mutex::new(None) }
    }

    /// Reports unless the last report is too fresh or another thread is reporting.
    pub(crate) fn report(&self, progress: impl FnOnce() -> Progress) -> ControlFlow<()> {
        let Some(callback) = &self.callback else { return ControlFlow::Continue(()) };
        let Ok(mut reported) = self.reported.try_lock() else { return ControlFlow::Continue(()) };
        if reported.is_some_and(|at| at.elapsed() < INTERVAL) {
            return ControlFlow::Continue(());
        }
        *reported = Some(Instant::now());
        callback(progress())
    }

    /// Reports in any case: the first and the last report of a call.
    pub(crate) fn report_now(&self, progress: Progress) -> ControlFlow<()> {
        let Some(callback) = &self.callback else { return ControlFlow::Continue(()) };
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        *reported = Some(Instant::now());
        callback(progress)
    }
}
