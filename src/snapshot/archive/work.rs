//! Work shared out to threads: no queue and no lock, one counter over batches made beforehand.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use super::options::ExtractOptions;
use crate::progress::{Progress, Throttle};

/// Entries above this are begun first, one at a time, so that none is begun last.
const LARGE: u64 = 1 << 20;

/// Neighbours that one worker takes together: their data comes in one read and their files are one folder's.
const BATCH: usize = 32;
const BATCH_BYTES: u64 = 4 << 20;

/// The order of work.
pub(super) struct Batches {
    order: Vec<u32>,
    ranges: Vec<Range<usize>>,
}

impl Batches {
    /// Large ones first, then the others as they come, in small batches.
    pub(super) fn of(sizes: &[u64]) -> Self {
        let mut order = Vec::with_capacity(sizes.len());
        let mut ranges = Vec::new();
        let numbered = || (0u32..).zip(sizes.iter().copied());
        for (i, _) in numbered().filter(|(_, size)| *size > LARGE) {
            ranges.push(order.len()..order.len() + 1);
            order.push(i);
        }
        // Few entries: smaller batches, so that the threads end together.
        let batch = BATCH.min(sizes.len() / 16).max(1);
        let (mut start, mut bytes) = (order.len(), 0);
        for (i, size) in numbered().filter(|(_, size)| *size <= LARGE) {
            if order.len() - start == batch || bytes + size > BATCH_BYTES {
                ranges.push(start..order.len());
                (start, bytes) = (order.len(), 0);
            }
            order.push(i);
            bytes += size;
        }
        if start < order.len() {
            ranges.push(start..order.len());
        }
        Self { order, ranges }
    }

    /// Works through all batches. The first error stops the others at their next batch or chunk.
    pub(super) fn run<W, E: Send>(
        &self,
        threads: usize,
        worker: impl Fn() -> W + Sync,
        work: impl Fn(&mut W, &[u32]) -> Result<(), E> + Sync,
        stop: &AtomicBool,
    ) -> Result<(), E> {
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let one = &|| {
            let mut state = worker();
            while !stop.load(Ordering::Relaxed) {
                let Some(range) = self.ranges.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                if let Err(e) = work(&mut state, self.order.get(range.clone()).unwrap_or_default()) {
                    // Stored before the others stop: what they then say is not the reason.
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                    stop.store(true, Ordering::Relaxed);
                }
            }
        };
        let more = threads.min(self.ranges.len()).saturating_sub(1);
        thread::scope(|scope| {
            let (started, starts) = mpsc::channel();
            for _ in 0..more {
                let started = started.clone();
                let work = move || {
                    let _ = started.send(());
                    drop(started);
                    one();
                };
                // A system that gives no more threads still gets the work done.
                if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            drop(started);
            // Linux may start a thread on the processor of the one that made it, where it waits for its turn. A thread
            // that sleeps until the others run is woken on an idle one.
            starts.iter().for_each(drop);
            one();
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// How many threads work when nobody says.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Counts what is done and reports it.
pub(super) struct Meter<'a> {
    throttle: Throttle<'a>,
    total: u64,
    total_entries: u64,
    bytes: AtomicU64,
    entries: AtomicU64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(options: &'a ExtractOptions, total: u64, total_entries: u64) -> Self {
        let (bytes, entries) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { throttle: Throttle::new(options.callback.clone()), total, total_entries, bytes, entries }
    }

    pub(super) fn add(&self, bytes: u64, entries: u64) -> ControlFlow<()> {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.throttle.report(|| self.progress())
    }

    /// Reports now.
    pub(super) fn report_now(&self) -> ControlFlow<()> {
        self.throttle.report_now(self.progress())
    }

    fn progress(&self) -> Progress {
        Progress {
            bytes: self.bytes.load(Ordering::Relaxed),
            total: Some(self.total),
            attempt: 1,
            entries: self.entries.load(Ordering::Relaxed),
            total_entries: self.total_entries,
            ..Progress::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_and_large_ones_first() {
        let sizes: Vec<u64> = (0..1000).map(|i| if i % 100 == 7 { LARGE + 1 } else { i % 50 }).collect();
        let batches = Batches::of(&sizes);
        assert!(batches.order[..10].iter().all(|i| i % 100 == 7));
        for threads in [1, 4] {
            let seen = Mutex::new(Vec::new());
            let stop = AtomicBool::new(false);
            let done: Result<(), ()> = batches.run(
                threads,
                || (),
                |_, items| {
                    seen.lock().unwrap().extend_from_slice(items);
                    Ok(())
                },
                &stop,
            );
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            assert_eq!((done, seen), (Ok(()), (0..1000).collect()));
        }
    }

    #[test]
    fn an_error_stops_the_work() {
        let batches = Batches::of(&[LARGE + 1; 100]);
        let count = AtomicUsize::new(0);
        let result = batches.run(
            1,
            || (),
            |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
                Err("no")
            },
            &AtomicBool::new(false),
        );
        assert_eq!((result, count.into_inner()), (Err("no"), 1));
    }
}
