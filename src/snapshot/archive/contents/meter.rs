//! Progress of an extraction or a verification: counts, reports and cancels.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::error::Result;
use crate::progress::{Progress, Throttle};

/// Counts what is done, reports it, and ends the work when it is cancelled or has failed elsewhere.
pub(super) struct Meter<'a> {
    throttle: Throttle<'a>,
    /// The totals, with nothing done.
    start: Progress,
    bytes: AtomicU64,
    entries: AtomicU64,
    pub(super) stop: AtomicBool,
}

impl<'a> Meter<'a> {
    pub(super) fn new(throttle: Throttle<'a>, total: u64, total_entries: u64) -> Self {
        let start = Progress { total: Some(total), attempt: 1, total_entries, ..Progress::default() };
        Self { throttle, start, bytes: 0.into(), entries: 0.into(), stop: false.into() }
    }

    pub(super) fn add(&self, bytes: u64, entries: u64) -> Result<()> {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.entries.fetch_add(entries, Ordering::Relaxed);
        if self.stop.load(Ordering::Relaxed) {
            return Err(self.throttle.cancelled());
        }
        // Also those that wait for the network are to stop.
        self.report().inspect_err(|_| self.stop.store(true, Ordering::Relaxed))
    }

    fn report(&self) -> Result<()> {
        self.throttle.report(|| self.progress())
    }

    pub(super) fn report_now(&self) -> Result<()> {
        self.throttle.report_now(self.progress())
    }

    fn progress(&self) -> Progress {
        let done = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Progress { bytes: done(&self.bytes), entries: done(&self.entries), ..self.start }
    }
}

/// How often a callback is called at least.
const TICK: Duration = Duration::from_millis(100);

/// Runs `work` in a thread of its own while this one reports, since a read may take minutes; in the calling thread where the
/// system has no more threads.
pub(super) fn run_reporting<T: Send>(meter: &Meter<'_>, work: impl Fn() -> Result<T> + Sync) -> Result<T> {
    let work = &work;
    thread::scope(|scope| {
        let (running, ended) = channel::<()>();
        let job = move || {
            let _running = running;
            work()
        };
        let Ok(thread) = thread::Builder::new().spawn_scoped(scope, job) else { return work() };
        let stopped = || meter.stop.load(Ordering::Relaxed);
        let _stop = StopOnPanic(&meter.stop);
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TICK)
            && !stopped()
        {
            if let Err(cancelled) = meter.report() {
                meter.stop.store(true, Ordering::Relaxed);
                let _ = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
                return Err(cancelled);
            }
        }
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// A callback may panic: then nobody wants the work any more.
pub(super) struct StopOnPanic<'a>(pub(super) &'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
