//! Entries read in the order of their data: all of them by worker threads, or a few in the calling thread. What will be read
//! is claimed from the source, which may fetch it ahead.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{io, slice, thread};

use super::Archive;
use super::data::{Out, READ_SIZE};
use super::local::Reader;
use super::meter::StopOnPanic;
use crate::error::{Error, Result};
use crate::snapshot::source::{Prefetch, Source};

/// Entries above this are begun one at a time; where nothing is fetched ahead, before the others, so that none is begun last.
const LARGE: u64 = 1 << 20;

/// Neighbours that one worker takes together: their data comes in one read and their files are one folder's.
const BATCH: usize = 32;
const BATCH_BYTES: u64 = 4 << 20;

/// Reads the entries of `jobs` in so many threads, and judges the gaps behind them. `read` gets an entry's index and what the
/// job carries. The first error stops the other threads at their next entry.
pub(super) fn read_entries<S: Source, T: Copy + Send + Sync>(
    archive: &Archive<S>,
    mut jobs: Vec<(u32, T)>,
    threads: usize,
    stop: &AtomicBool,
    read: impl Fn(&mut Reader<'_>, u32, T) -> Result<()> + Sync,
) -> Result<()> {
    let (directory, source, stopped) = (&archive.directory, &*archive.source, || stop.load(Ordering::Relaxed));
    let (record, next) = (|job: &(u32, T)| directory.record(job.0), |job: &(u32, T)| directory.next(job.0));
    let is_ahead = is_fetched_ahead(archive);
    jobs.sort_by_key(|job| (!is_ahead && record(job).size <= LARGE, record(job).offset));
    let batches = batches(&jobs, |job| record(job).size, |a, b| !is_ahead || next(a) >= record(b).offset);
    let range = |batch: &&[(u32, T)]| {
        batch.first().map_or(0, |job| record(job).offset)..batch.iter().map(next).max().unwrap_or(0)
    };
    let mut ranges: Vec<_> = batches.iter().map(range).collect();
    if is_ahead {
        make_disjoint(&mut ranges);
    }
    let fetched = source.prefetch(&ranges).unwrap_or_else(|| Box::new(Direct::new(source, ranges.len())));
    let failed = Mutex::new(None);
    let work = &|| {
        let mut reader = Reader::of_all(archive, &*fetched);
        while !stopped()
            && let Some(number) = fetched.claim()
        {
            let (Some(batch), Some(range)) = (batches.get(number), ranges.get(number)) else { break };
            let (_stop, _claim) = (StopOnPanic(stop), Claim { fetched: &*fetched, number });
            reader.read_ahead_to(range.end);
            let mut going = batch.iter().take_while(|_| !stopped());
            if let Err(e) = going.try_for_each(|(index, what)| read(&mut reader, *index, *what)) {
                // Stored before the others stop: what they then say is not the reason.
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    run_workers(threads.min(batches.len()), work, is_ahead.then_some((&*fetched, stop)));
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// A range that a worker has claimed, finished whatever becomes of it: a callback may panic.
struct Claim<'a> {
    fetched: &'a dyn Prefetch,
    number: usize,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.fetched.finish(self.number);
    }
}

/// Runs `work` in so many threads. Those that wait for what is fetched ahead cannot notice that they are to stop: it is
/// stopped, too.
fn run_workers(count: usize, work: &(dyn Fn() + Sync), ahead: Option<(&dyn Prefetch, &AtomicBool)>) {
    thread::scope(|scope| {
        let (running, ended) = channel::<()>();
        let spawn = |_: &usize| {
            let running = running.clone();
            let job = move || {
                let _running = running;
                work();
            };
            thread::Builder::new().spawn_scoped(scope, job).is_ok()
        };
        // One worker needs no thread; and a system that gives none still gets the work done.
        if (count < 2 && ahead.is_none()) || (0..count).filter(spawn).count() == 0 {
            return work();
        }
        drop(running);
        let Some((fetched, stop)) = ahead else { return };
        let stopped = || stop.load(Ordering::Relaxed);
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) && !stopped() {}
        if stopped() {
            fetched.stop();
        }
    });
}

/// Gives bytes that several ranges have to the one that begins last, or to the first of those that begin there.
fn make_disjoint(ranges: &mut [Range<u64>]) {
    let starts: Vec<u64> = ranges.iter().skip(1).map(|range| range.start).collect();
    for (range, next) in ranges.iter_mut().zip(starts).filter(|(range, next)| range.start < *next) {
        range.end = range.end.min(next);
    }
    let mut before = 0;
    for range in ranges {
        range.start = range.start.max(before);
        range.end = range.end.max(range.start);
        before = range.end;
    }
}

/// The jobs in pieces for one worker each, in their order: large ones by themselves, small ones together if they `adjoin`.
fn batches<T>(jobs: &[T], size: impl Fn(&T) -> u64, adjoin: impl Fn(&T, &T) -> bool) -> Vec<&[T]> {
    // Few entries: smaller batches, so that the threads end together.
    let most = BATCH.min(jobs.len() / 16).max(1);
    let (mut count, mut bytes) = (0, 0);
    let together = |a: &T, b: &T| {
        (count, bytes) = (count + 1, bytes + size(a));
        let fits = count < most && bytes + size(b) <= BATCH_BYTES && size(a).max(size(b)) <= LARGE && adjoin(a, b);
        if !fits {
            (count, bytes) = (0, 0);
        }
        fits
    };
    jobs.chunk_by(together).collect()
}

/// Reads single entries in the order of their data, in the calling thread; with `gaps`, what lies behind them is judged, too.
pub(super) fn read_some<S: Source, E>(
    archive: &Archive<S>,
    mut indices: Vec<u32>,
    gaps: bool,
    mut read: impl FnMut(&mut Reader<'_>, u32) -> Result<(), E>,
) -> Result<(), E> {
    let directory = &archive.directory;
    indices.sort_by_key(|index| directory.record(*index).offset);
    let range = |index: &u32| match gaps {
        true => directory.record(*index).offset..directory.next(*index),
        false => directory.span(*index),
    };
    let mut ranges: Vec<_> = indices.iter().map(range).collect();
    make_disjoint(&mut ranges);
    let fetched = prefetch_or_direct(&*archive.source, &ranges);
    let mut reader = match gaps {
        true => Reader::of_all(archive, &*fetched),
        false => Reader::of_some(archive, &*fetched),
    };
    while let Some(number) = fetched.claim() {
        let (Some(index), Some(range)) = (indices.get(number), ranges.get(number)) else { break };
        reader.read_ahead_to(range.end);
        read(&mut reader, *index)?;
        fetched.finish(number);
    }
    Ok(())
}

/// Whether the source fetches ahead what it is told to.
pub(super) fn is_fetched_ahead<S: Source>(archive: &Archive<S>) -> bool {
    let everything = 0..archive.directory.start;
    archive.source.prefetch(slice::from_ref(&everything)).is_some()
}

/// Looks for unlisted entries in front of the first listed one, until it is to stop.
pub(super) fn judge_prefix<S: Source>(archive: &Archive<S>, stop: &AtomicBool) -> Result<()> {
    let prefix = 0..archive.directory.first();
    if prefix.is_empty() {
        return Ok(());
    }
    let fetched = prefetch_or_direct(&*archive.source, slice::from_ref(&prefix));
    let judged = Mutex::new(Ok(()));
    let work = || {
        fetched.claim();
        *judged.lock().unwrap_or_else(PoisonError::into_inner) = Reader::of_all(archive, &*fetched).judge_prefix();
    };
    run_workers(1, &work, Some((&*fetched, stop)));
    judged.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The ranges, fetched ahead where that gains anything: what is a single read anyway is not.
fn prefetch_or_direct<'s>(source: &'s dyn Source, ranges: &[Range<u64>]) -> Box<dyn Prefetch + 's> {
    let is_one_read = matches!(ranges, [range] if range.end - range.start <= READ_SIZE as u64);
    let fetched = if is_one_read { None } else { source.prefetch(ranges) };
    fetched.unwrap_or_else(|| Box::new(Direct::new(source, ranges.len())))
}

/// Claims ranges of a source that fetches nothing ahead.
struct Direct<'a> {
    source: &'a dyn Source,
    ranges: usize,
    claimed: AtomicUsize,
}

impl<'a> Direct<'a> {
    fn new(source: &'a dyn Source, ranges: usize) -> Self {
        Self { source, ranges, claimed: AtomicUsize::new(0) }
    }
}

impl Source for Direct<'_> {
    fn size(&self) -> io::Result<u64> {
        self.source.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.source.read_at(offset, buf)
    }
}

impl Prefetch for Direct<'_> {
    fn claim(&self) -> Option<usize> {
        Some(self.claimed.fetch_add(1, Ordering::Relaxed)).filter(|range| *range < self.ranges)
    }

    fn finish(&self, _: usize) {}

    fn stop(&self) {}
}

/// How often it is looked whether the work has been stopped.
const LOOK: Duration = Duration::from_millis(20);

/// How many pieces of content may wait to be written.
const AHEAD: usize = 2;

/// Runs `write` in a thread of its own for every piece that `read` gives out, so that a large file is written while it is
/// inflated; in the calling thread where the system has no more threads.
pub(super) fn read_and_write(
    read: impl FnOnce(Out<'_>) -> Result<()>,
    write: impl FnMut(&[u8]) -> Result<()> + Send,
) -> Result<()> {
    let write = Mutex::new(write);
    let write = |piece: &[u8]| write.lock().unwrap_or_else(PoisonError::into_inner)(piece);
    thread::scope(|scope| {
        let (sender, pieces) = sync_channel::<Vec<u8>>(AHEAD);
        let writing = move || pieces.iter().try_for_each(|piece| write(&piece));
        let Ok(writer) = thread::Builder::new().spawn_scoped(scope, writing) else {
            return read(&mut |piece| write(piece));
        };
        // The receiver is gone only when writing failed, and then that error is returned.
        let gone = |_| Error::io("writing", "a file", io::ErrorKind::BrokenPipe.into());
        let result = read(&mut |piece| sender.send(piece.to_vec()).map_err(gone));
        drop(sender);
        writer.join().unwrap_or_else(|panic| resume_unwind(panic)).and(result)
    })
}

/// How many threads work when nobody says.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_in_one_batch_and_large_ones_are_alone() {
        let jobs: Vec<u64> = (0..1000).map(|i| if i % 100 == 7 { LARGE + 1 } else { i }).collect();
        for adjoining in [true, false] {
            let batches = batches(&jobs, |size| *size, |a, b| !adjoining || b - a == 1);
            assert_eq!(batches.concat(), jobs);
            assert!(
                batches.iter().all(|batch| batch.len() <= BATCH && (batch.len() == 1 || !batch.contains(&(LARGE + 1))))
            );
            assert!(batches.len() < 60, "{} batches", batches.len());
        }
        let apart = batches(&jobs[..50], |_| BATCH_BYTES, |_, _| true);
        assert_eq!(apart.len(), 50);
        assert_eq!(batches(&[1, 2, 3], |_| 1, |_, _| true).len(), 3);
    }

    #[test]
    fn each_byte_is_in_one_range() {
        let mut ranges = [0..10, 8..20, 8..20, 15..30, 30..40].to_vec();
        make_disjoint(&mut ranges);
        assert_eq!(ranges, [0..8, 8..20, 20..20, 20..30, 30..40]);
    }

    #[test]
    fn each_entry_is_read_once_and_an_error_stops_the_work() {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for n in 0..1000 {
            writer.start_file(format!("{n}"), zip::write::SimpleFileOptions::default()).unwrap();
        }
        let archive = Archive::new(writer.finish().unwrap().into_inner()).unwrap();
        let jobs = || (0..1000).map(|index| (index, ())).collect::<Vec<_>>();
        for threads in [1, 4] {
            let seen = Mutex::new(Vec::new());
            let read = |_: &mut Reader<'_>, index, ()| {
                seen.lock().unwrap().push(index);
                Ok(())
            };
            read_entries(&archive, jobs(), threads, &AtomicBool::new(false), read).unwrap();
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            assert_eq!(seen, (0..1000).collect::<Vec<u32>>());
        }
        let count = AtomicUsize::new(0);
        let fail = |_: &mut Reader<'_>, _, ()| {
            count.fetch_add(1, Ordering::Relaxed);
            Err(Error::invalid("it", "is wrong"))
        };
        assert!(read_entries(&archive, jobs(), 1, &AtomicBool::new(false), fail).is_err());
        assert_eq!(count.into_inner(), 1);
    }
}
