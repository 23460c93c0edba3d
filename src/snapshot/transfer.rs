//! I/O. The bytes of a snapshot into its part file, over one connection or several.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::location::Location;
use super::options::DownloadOptions;
use super::part::Part;
use super::range::{Object, Range};
use super::record::MAX_PIECES;
use super::stream::{Step, Stream};
use crate::error::{Error, Result};
use crate::progress::{Progress, Throttle};

const MIB: u64 = 1024 * 1024;
/// What the first of several connections requests: enough to be of use, little enough to lose nothing by waiting.
const PROBE: u64 = MIB;
/// The shortest and longest piece, in bytes; those of a very large snapshot are longer.
const SHORTEST: u64 = MIB;
const LONGEST: u64 = 8 * MIB;
/// How much is written at once, in bytes. TLS returns at most 16 KiB per read.
const BUFFER: usize = 512 * 1024;
/// After how many bytes the disk is told to start writing, so that the last sync is a short one.
const SYNC_EVERY: u64 = 8 * MIB;
/// How often a pause checks whether the download was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// One download's way of getting bytes.
pub(crate) struct Transfer<'a> {
    location: &'a Location,
    options: &'a DownloadOptions<'a>,
    throttle: &'a Throttle<'a>,
    /// How many bytes an earlier call left.
    resumed_from: AtomicU64,
    /// The highest of all connections.
    attempt: AtomicU32,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(location: &'a Location, options: &'a DownloadOptions<'a>, throttle: &'a Throttle<'a>) -> Self {
        Self { location, options, throttle, resumed_from: 0.into(), attempt: 1.into() }
    }

    pub(crate) fn progress(&self, bytes: u64, total: Option<u64>) -> Progress {
        let (attempt, resumed_from) = (&self.attempt, &self.resumed_from);
        let (attempt, resumed_from) = (attempt.load(Ordering::Relaxed), resumed_from.load(Ordering::Relaxed));
        Progress { bytes, total, attempt, resumed_from, ..Progress::default() }
    }

    /// Reports when it is time to. `attempt` is that of one connection.
    fn tick(&self, bytes: &AtomicU64, total: Option<u64>, attempt: u32) -> Result<()> {
        self.attempt.fetch_max(attempt, Ordering::Relaxed);
        self.throttle.report(|| self.progress(bytes.load(Ordering::Relaxed), total))
    }

    /// Fetches all bytes into the part file; returns the last response's status.
    pub(crate) fn run(&self, part: &mut Part) -> Result<Option<u16>> {
        let mut connections = self.options.connections;
        if let Some(total) = part.object().total.filter(|_| connections > 1 && !part.is_cut()) {
            let object = part.object().clone();
            part.begin(&object, piece_len(total, connections))?;
        }
        self.resumed_from.store(part.done(), Ordering::Relaxed);
        let mut first = None;
        loop {
            if part.pieces().is_empty() {
                first = Some(self.begin(part, first.take(), connections)?);
            }
            let pieces = Pieces::new(self, part, first.take());
            let Some(stream) = pieces.fetch_all(connections)? else {
                let status = pieces.status.into_inner();
                part.file.set_len(part.done()).map_err(|e| Error::io("writing", &part.path, e))?;
                return Ok(Some(status).filter(|status| *status > 0));
            };
            // The object changed, or the host stopped serving ranges: start again, in one piece.
            (first, connections) = (Some(stream), 1);
            part.clear()?;
            self.resumed_from.store(0, Ordering::Relaxed);
        }
    }

    /// Opens the first stream and cuts the part file into pieces, as far as its response allows.
    fn begin(&self, part: &mut Part, first: Option<Stream>, connections: usize) -> Result<Stream> {
        let range = if connections > 1 { Range::Span(0, PROBE) } else { Range::Whole };
        let mut stream = first.unwrap_or_else(|| self.stream(Object::default(), range));
        let none = AtomicU64::new(0);
        while !stream.is_open() {
            if let Step::Retry(pause) = stream.step(&mut [])? {
                wait(pause, || self.tick(&none, None, stream.attempt).map(|()| true))?;
            }
        }
        let cut = stream.object.total.filter(|total| stream.end.is_some_and(|end| end < *total));
        let piece = cut.map_or(0, |total| piece_len(total, connections));
        part.begin(&stream.object, piece)?;
        Ok(stream)
    }

    fn stream(&self, object: Object, range: Range) -> Stream {
        Stream::new(self.location.clone(), object, range, self.options.attempts)
    }
}

fn piece_len(total: u64, connections: usize) -> u64 {
    (total / (4 * connections as u64).max(1)).clamp(SHORTEST, LONGEST).max(total.div_ceil(MAX_PIECES))
}

/// Sleeps for `pause`, as long as `go_on` says so.
fn wait(pause: Duration, go_on: impl Fn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while go_on()? && begun.elapsed() < pause {
        thread::sleep(pause.saturating_sub(begun.elapsed()).min(LOOK));
    }
    Ok(())
}

/// The missing rest of a piece.
struct Job {
    piece: usize,
    at: u64,
    /// `None` for a part file in one piece: to the end, wherever that is.
    end: Option<u64>,
    /// The stream that has already begun it.
    stream: Option<Stream>,
}

/// The pieces of a part file, shared by the connections that fetch them.
struct Pieces<'a> {
    transfer: &'a Transfer<'a>,
    part: &'a Part,
    /// What no connection has taken yet, the last one first.
    waiting: Mutex<Vec<Job>>,
    /// Bytes received, and how many of them a sync was requested for.
    bytes: AtomicU64,
    synced: AtomicU64,
    /// The last response's; 0 before one came.
    status: AtomicU16,
    /// What ended one connection before all pieces were there; the others end, too.
    ended: Mutex<Option<Result<Stream>>>,
    stop: AtomicBool,
}

impl<'a> Pieces<'a> {
    /// `first` has begun the first piece.
    fn new(transfer: &'a Transfer<'a>, part: &'a Part, mut first: Option<Stream>) -> Self {
        let status = first.as_ref().and_then(|first| first.status);
        let jobs = part.pieces().iter().enumerate().filter_map(|(number, piece)| {
            let done = part.done_of(number);
            let is_open = piece.len.is_none_or(|len| done < len);
            let end = piece.len.filter(|_| part.is_cut()).map(|len| piece.start + len);
            is_open.then(|| Job { piece: number, at: piece.start + done, end, stream: first.take() })
        });
        let mut waiting: Vec<Job> = jobs.collect();
        waiting.reverse();
        Self {
            transfer,
            part,
            waiting: Mutex::new(waiting),
            bytes: part.done().into(),
            synced: part.done().into(),
            status: status.unwrap_or(0).into(),
            ended: Mutex::new(None),
            stop: AtomicBool::new(false),
        }
    }

    /// Fetches all pieces over up to `connections` connections, one of them the calling thread's. `Some`: the
    /// snapshot must be fetched from its beginning, with the stream that found out.
    fn fetch_all(&self, connections: usize) -> Result<Option<Stream>> {
        let (sync, due) = mpsc::sync_channel(1);
        thread::scope(|scope| {
            // Where the system has no more threads, there are fewer connections and one sync at the end.
            let _ = thread::Builder::new().spawn_scoped(scope, move || self.sync(due));
            let pieces = guard(&self.waiting).len();
            for _ in 1..connections.min(pieces) {
                let sync = sync.clone();
                if thread::Builder::new().spawn_scoped(scope, move || self.work(&sync)).is_err() {
                    break;
                }
            }
            self.work(&sync);
            drop(sync);
        });
        guard(&self.ended).take().transpose()
    }

    /// Syncs whenever it is due.
    fn sync(&self, due: Receiver<()>) {
        if let Err(error) = due.into_iter().try_for_each(|()| self.part.sync_and_note()) {
            self.end(Err(error));
        }
    }

    /// One connection: piece after piece until none is waiting.
    fn work(&self, sync: &SyncSender<()>) {
        let mut buffer = vec![0; BUFFER];
        while !self.is_stopped() {
            let Some(job) = guard(&self.waiting).pop() else { break };
            match self.fetch(job, &mut buffer, sync) {
                Ok(None) => {}
                Ok(Some(stream)) => self.end(Ok(stream)),
                Err(error) => self.end(Err(error)),
            }
        }
    }

    fn end(&self, why: Result<Stream>) {
        guard(&self.ended).get_or_insert(why);
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn fetch(&self, job: Job, buffer: &mut [u8], sync: &SyncSender<()>) -> Result<Option<Stream>> {
        let Job { piece, at, end, stream } = job;
        let continued = |at| {
            let range = end.map_or(Range::From(at), |end| Range::Span(at, end));
            self.transfer.stream(self.part.object().clone(), range)
        };
        let mut stream = stream.unwrap_or_else(|| continued(at));
        let mut filled = 0;
        while !self.is_stopped() {
            let step = stream.step(buffer.get_mut(filled..).unwrap_or_default());
            if let Ok(Step::Bytes(count)) = step {
                filled += count;
                self.bytes.fetch_add(count as u64, Ordering::Relaxed);
            }
            let step = self.tick(&stream).and(step);
            // What came is kept, whatever ends the transfer.
            if filled == buffer.len() || self.is_stopped() || !matches!(step, Ok(Step::Opened | Step::Bytes(_))) {
                self.part.write(piece, buffer.get(..filled).unwrap_or_default())?;
                filled = 0;
                self.sync_now_and_then(sync);
            }
            match step? {
                Step::Bytes(_) => {}
                Step::Opened => self.status.store(stream.status.unwrap_or(0), Ordering::Relaxed),
                Step::Retry(pause) => wait(pause, || self.tick(&stream).map(|()| !self.is_stopped()))?,
                Step::StartOver => return Ok(Some(stream)),
                // The first request of all is for less than a piece.
                Step::End if end.is_some_and(|end| stream.at < end) => stream = continued(stream.at),
                Step::End => return Ok(None),
            }
        }
        Ok(None)
    }

    fn tick(&self, stream: &Stream) -> Result<()> {
        self.transfer.tick(&self.bytes, self.part.object().total, stream.attempt)
    }

    fn sync_now_and_then(&self, sync: &SyncSender<()>) {
        let (bytes, synced) = (self.bytes.load(Ordering::Relaxed), self.synced.load(Ordering::Relaxed));
        if bytes.saturating_sub(synced) >= SYNC_EVERY {
            self.synced.store(bytes, Ordering::Relaxed);
            // When one is due already, that one will do.
            let _ = sync.try_send(());
        }
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
