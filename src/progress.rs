//! How a long call reports its progress, and how its caller cancels it.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The progress of a transfer, an extraction or a wait.
///
/// Passed by value to the callback of a long call; the callback returns [`ControlFlow::Continue`] to
/// continue or [`ControlFlow::Break`] to cancel, which ends the call with
/// [`Error::Cancelled`](crate::Error::Cancelled). It is called often enough for a smooth progress bar,
/// at most about 200 times a second, and once more at the end.
///
/// A call that waits for a snapshot or a restore reports the number of its poll as `attempt` about every 100 ms;
/// cancelling it is an [`Error::WaitCancelled`](crate::Error::WaitCancelled), since the work goes on.
///
/// ```
/// use std::ops::ControlFlow;
/// use squarecloud_blocking::Progress;
///
/// fn show(now: Progress) -> ControlFlow<()> {
///     match now.total {
///         _ if now.waiting => eprint!("\rwaiting to try again (attempt {})", now.attempt),
///         Some(total) => eprint!("\r{} of {total} bytes", now.bytes),
///         None => eprint!("\r{} bytes", now.bytes),
///     }
///     ControlFlow::Continue(())
/// }
/// # assert!(show(Progress::default()).is_continue());
/// // snapshot.download_with("backups", &DownloadOptions::new().progress(show))
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes done, including those of an earlier run that is being continued.
    pub bytes: u64,
    /// Bytes in total, when known.
    pub total: Option<u64>,
    /// Bytes that an earlier run had downloaded, when this call continues it; otherwise 0.
    pub resumed_from: u64,
    /// The number of the current attempt, counted from 1. When a connection breaks off, the next attempt begins. For a
    /// call that waits for a snapshot or a restore, the number of the poll: 0 before the first one.
    pub attempt: u32,
    /// Whether the call is pausing: before its next attempt, because the last one failed, or before its next poll.
    pub waiting: bool,
    /// Archive entries done (extraction and verification); 0 for transfers.
    pub entries: u64,
    /// Archive entries in total (extraction and verification); 0 for transfers.
    pub total_entries: u64,
}

/// The callback of one call, as options carry it.
#[derive(Clone)]
pub(crate) struct Callback<'a>(Arc<dyn Fn(Progress) -> ControlFlow<()> + Send + Sync + 'a>);

impl<'a> Callback<'a> {
    pub(crate) fn new(callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'a) -> Self {
        Self(Arc::new(callback))
    }
}

impl fmt::Debug for Callback<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}

/// Pauses in slices, before each of which `go_on` decides whether to.
pub(crate) fn pause_in(
    slice: Duration,
    pause: Duration,
    sleep: &dyn Fn(Duration),
    go_on: impl Fn() -> Result<bool>,
) -> Result<()> {
    let mut left = pause;
    while go_on()? && !left.is_zero() {
        let time = left.min(slice);
        sleep(time);
        left -= time;
    }
    Ok(())
}

/// The shortest time between two reports.
const INTERVAL: Duration = Duration::from_millis(5);

/// Calls a callback no more often than a progress bar can be redrawn, and never from two threads at once. When it
/// cancels, the error says what was being done and to which file or directory.
pub(crate) struct Throttle<'a> {
    callback: Option<Callback<'a>>,
    action: &'static str,
    path: &'a Path,
    reported: Mutex<Option<Instant>>,
}

impl<'a> Throttle<'a> {
    pub(crate) fn new(callback: Option<Callback<'a>>, action: &'static str, path: &'a Path) -> Self {
        Self { callback, action, path, reported: Mutex::new(None) }
    }

    /// Reports unless the last report is too recent or another thread is reporting.
    pub(crate) fn report(&self, progress: impl FnOnce() -> Progress) -> Result<()> {
        let Some(callback) = &self.callback else { return Ok(()) };
        let Ok(mut reported) = self.reported.try_lock() else { return Ok(()) };
        if reported.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(());
        }
        *reported = Some(Instant::now());
        self.call(callback, progress())
    }

    /// Reports in any case: the last report of a call.
    pub(crate) fn report_now(&self, progress: Progress) -> Result<()> {
        let Some(callback) = &self.callback else { return Ok(()) };
        let _reporting = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        self.call(callback, progress)
    }

    fn call(&self, callback: &Callback<'a>, progress: Progress) -> Result<()> {
        if (callback.0)(progress).is_break() { Err(self.cancelled()) } else { Ok(()) }
    }

    /// The error of the call when it is cancelled.
    pub(crate) fn cancelled(&self) -> Error {
        Error::Cancelled { action: self.action, path: self.path.to_owned() }
    }
}

/// The progress of a [`Mirror::run_with`](crate::Mirror::run_with) as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MirrorProgress {
    /// Bytes downloaded, with those that earlier runs left in part files.
    pub bytes: u64,
    /// Bytes to download, as far as the listing says.
    pub total: u64,
    /// Snapshots downloaded or failed.
    pub snapshots: u64,
    /// Snapshots to download.
    pub total_snapshots: u64,
    /// What is being done: the names of the files that are being downloaded or checked, and of the apps and databases
    /// whose snapshots are being created.
    pub names: Vec<String>,
    /// Whether the run is pausing, as far as was reported last: the host is away, or the service's limits are waited
    /// for.
    pub waiting: bool,
}

type MirrorCallback<'a> = &'a (dyn Fn(MirrorProgress) -> ControlFlow<()> + Send + Sync);

/// Counts what is done, and tells the callback of it; nothing more once that has cancelled the run.
pub(crate) struct MirrorMeter<'a> {
    callback: MirrorCallback<'a>,
    dir: &'a Path,
    state: Mutex<(MirrorProgress, Option<Instant>, ControlFlow<()>)>,
}

impl<'a> MirrorMeter<'a> {
    pub(crate) fn new(dir: &'a Path, callback: MirrorCallback<'a>) -> Self {
        Self { callback, dir, state: Mutex::new((MirrorProgress::default(), None, ControlFlow::Continue(()))) }
    }

    /// Changes the progress, and reports it unless the last report is too recent.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn update(&self, change: impl FnOnce(&mut MirrorProgress)) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (progress, reported, go_on) = &mut *state;
        change(progress);
        if go_on.is_continue() && reported.is_none_or(|at| at.elapsed() >= INTERVAL) {
            *go_on = (self.callback)(progress.clone());
            *reported = Some(Instant::now());
        }
        if go_on.is_break() {
            return Err(Error::Cancelled { action: "mirroring to", path: self.dir.to_owned() });
        }
        Ok(())
    }

    /// Reports that the work goes on, or pauses.
    pub(crate) fn tick(&self, waiting: bool) -> Result<()> {
        self.update(|progress| progress.waiting = waiting)
    }

    /// Reports in any case: the last report. It is too late to cancel.
    pub(crate) fn finish(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = None;
        let _ = self.tick(false);
    }

    /// Reports that the work goes on, to a callback.
    pub(crate) fn go_on(&self) -> ControlFlow<()> {
        self.update(|_| {}).map_or(ControlFlow::Break(()), ControlFlow::Continue)
    }

    /// Does `work`, of whose name it tells meanwhile.
    pub(crate) fn naming<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let _ = self.update(|progress| progress.names.push(name.to_owned()));
        let result = work();
        let _ = self.update(|progress| {
            let at = progress.names.iter().position(|other| other == name);
            at.map(|at| progress.names.remove(at));
        });
        result
    }
}
