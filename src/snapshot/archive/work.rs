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

/// Jobs in the order of work.
pub(super) struct Batches<T> {
    jobs: Vec<T>,
    ranges: Vec<Range<usize>>,
}

impl<T: Sync> Batches<T> {
    /// Large ones first, then the others as they come, in small batches.
    pub(super) fn of(mut jobs: Vec<T>, size: impl Fn(&T) -> u64) -> Self {
        jobs.sort_by_key(|job| size(job) <= LARGE);
        let large = jobs.partition_point(|job| size(job) > LARGE);
        // Few entries: smaller batches, so that the threads end together.
        let batch = BATCH.min(jobs.len() / 16).max(1);
        let (mut ranges, mut start, mut bytes) = (Vec::new(), 0, 0);
        for (at, size) in jobs.iter().map(size).enumerate() {
            if at > start && (at <= large || at - start == batch || bytes + size > BATCH_BYTES) {
                ranges.push(start..at);
                (start, bytes) = (at, 0);
            }
            bytes = size.saturating_add(bytes);
        }
        ranges.push(start..jobs.len());
        Self { jobs, ranges }
    }

    /// Works through all batches. The first error stops the others at their next batch or chunk.
    pub(super) fn run<W, E: Send>(
        &self,
        threads: usize,
        worker: impl Fn() -> W + Sync,
        work: impl Fn(&mut W, &[T]) -> Result<(), E> + Sync,
        stop: &AtomicBool,
    ) -> Result<(), E> {
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let one = &|| {
            let mut state = worker();
            while !stop.load(Ordering::Relaxed) {
                let Some(range) = self.ranges.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                if let Err(e) = work(&mut state, self.jobs.get(range.clone()).unwrap_or_default()) {
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
        let batches = Batches::of((0..1000).collect(), |i: &usize| sizes[*i]);
        assert!(batches.jobs[..10].iter().all(|i| i % 100 == 7));
        assert!(batches.ranges[..10].iter().all(|range| range.len() == 1));
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
        let batches = Batches::of(vec![LARGE + 1; 100], |size| *size);
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
