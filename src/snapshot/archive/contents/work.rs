//! Work shared out to threads: no queue and no lock, one counter over batches made beforehand.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use super::Archive;
use super::data::Out;
use super::local::Reader;
use crate::error::{Error, Result};
use crate::progress::{Progress, Throttle};
use crate::snapshot::source::Source;

/// Entries above this are begun first, one at a time, so that none is begun last.
const LARGE: u64 = 1 << 20;

/// Neighbours that one worker takes together: their data comes in one read and their files are one folder's.
const BATCH: usize = 32;
const BATCH_BYTES: u64 = 4 << 20;

/// Reads the entries of all jobs, each a pair of index and what `read` does with it, in the order of their data. The
/// first error stops the others at their next entry.
pub(super) fn read_entries<S: Source, T: Copy + Send + Sync>(
    archive: &Archive<S>,
    mut jobs: Vec<(u32, T)>,
    threads: usize,
    stop: &AtomicBool,
    read: impl Fn(&mut Reader<'_, S>, u32, T) -> Result<()> + Sync,
) -> Result<()> {
    let (directory, stopped) = (&archive.directory, || stop.load(Ordering::Relaxed));
    jobs.sort_by_key(|(index, _)| directory.record(*index).offset);
    let batches = batches(jobs, |(index, _)| directory.record(*index).size);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let work = &|| {
        let mut reader = Reader::of_all(archive);
        while !stopped() {
            let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let ends = batch.iter().map(|(index, _)| directory.next(*index));
            reader.read_ahead_to(ends.max().unwrap_or(0));
            let mut going = batch.iter().take_while(|_| !stopped());
            if let Err(e) = going.try_for_each(|(index, what)| read(&mut reader, *index, *what)) {
                // Stored before the others stop: what they then say is not the reason.
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    let workers = threads.min(batches.len());
    thread::scope(|scope| {
        let spawn = |_: &usize| thread::Builder::new().spawn_scoped(scope, work).is_ok();
        // One worker needs no thread; and a system that gives none still gets the work done.
        if workers < 2 || (0..workers).filter(spawn).count() == 0 {
            work();
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Large jobs first, one at a time, then the others as they come.
fn batches<T>(jobs: Vec<T>, size: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    // Few entries: smaller batches, so that the threads end together.
    let most = BATCH.min(jobs.len() / 16).max(1);
    let (large, small): (Vec<T>, Vec<T>) = jobs.into_iter().partition(|job| size(job) > LARGE);
    let mut batches: Vec<Vec<T>> = large.into_iter().map(|job| vec![job]).collect();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for job in small {
        if batch.len() == most || bytes + size(&job) > BATCH_BYTES {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size(&job);
        batch.push(job);
    }
    batches.push(batch);
    batches
}

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

/// How many threads work when nobody says.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

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
        self.report()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_in_one_batch_and_large_ones_come_first() {
        let sizes: Vec<u64> = (0..1000).map(|i| if i % 100 == 7 { LARGE + 1 } else { i % 50 }).collect();
        let batches = batches((0..1000).collect(), |i: &usize| sizes[*i]);
        assert!(batches[..10].iter().all(|batch| batch.len() == 1 && batch[0] % 100 == 7));
        let mut all = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
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
            let read = |_: &mut Reader<'_, _>, index, ()| {
                seen.lock().unwrap().push(index);
                Ok(())
            };
            read_entries(&archive, jobs(), threads, &AtomicBool::new(false), read).unwrap();
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            assert_eq!(seen, (0..1000).collect::<Vec<u32>>());
        }
        let count = AtomicUsize::new(0);
        let fail = |_: &mut Reader<'_, _>, _, ()| {
            count.fetch_add(1, Ordering::Relaxed);
            Err(Error::invalid("it", "is wrong"))
        };
        assert!(read_entries(&archive, jobs(), 1, &AtomicBool::new(false), fail).is_err());
        assert_eq!(count.into_inner(), 1);
    }
}
