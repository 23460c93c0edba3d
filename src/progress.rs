//! How a long call reports how far it is, and how its caller stops it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How far a transfer or an extraction has come.
///
/// Given by value to the one callback of a long call; the callback answers [`ControlFlow::Continue`] to
/// go on and [`ControlFlow::Break`] to cancel, which ends the call with
/// [`Error::Cancelled`](crate::Error::Cancelled). It is called often enough for a smooth bar, at most a
/// few hundred times a second, and always once at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes done, those of an earlier, continued run included.
    pub bytes: u64,
    /// Bytes in all, when known.
    pub total: Option<u64>,
    /// Bytes that were there before this call began (a continued download); else 0.
    pub resumed_from: u64,
    /// Which attempt this is, from 1. A connection that breaks off makes the next one.
    pub attempt: u32,
    /// Archive entries done (extraction and verification); 0 for transfers.
    pub entries: u64,
    /// Archive entries in all (extraction and verification); 0 for transfers.
    pub total_entries: u64,
}

/// The observer of one call, borrowed: what the options of a call carry.
pub(crate) type Observer<'a> = Box<dyn FnMut(Progress) -> ControlFlow<()> + 'a>;

/// The shortest time between two reports.
const BETWEEN: Duration = Duration::from_millis(10);

/// An observer that is not called more often than a bar can be redrawn.
pub(crate) struct Throttle<'a> {
    observer: Observer<'a>,
    last: Option<Instant>,
}

impl<'a> Throttle<'a> {
    pub(crate) fn new(observer: Observer<'a>) -> Self {
        Self { observer, last: None }
    }

    /// Reports unless the last report is too fresh; a `final` one is always made.
    pub(crate) fn report(&mut self, progress: Progress, last_one: bool) -> ControlFlow<()> {
        let now = Instant::now();
        if !last_one && self.last.is_some_and(|last| now.duration_since(last) < BETWEEN) {
            return ControlFlow::Continue(());
        }
        self.last = Some(now);
        (self.observer)(progress)
    }
}
