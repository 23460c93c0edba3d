//! I/O. The bytes of a snapshot into its part file, over one connection or several.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::fetcher::{Fetcher, Sink, Written};
use super::location::Location;
use super::options::DownloadOptions;
use super::part::Part;
use super::queue::Job;
use super::range::{Object, Range};
use super::record::piece_len;
use super::stream::{Step, Stream};
use crate::error::{Error, Result};
use crate::progress::{Progress, Throttle, pause_in};

/// What the first of several connections requests, in bytes: enough to be of use, little enough to lose nothing by waiting.
const PROBE: u64 = 1024 * 1024;
/// After how many bytes the disk is told to start writing, so that the last sync is a short one.
const SYNC_EVERY: u64 = 8 * 1024 * 1024;
/// How often a pause checks whether the download was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// One download's way of getting bytes.
pub(crate) struct Transfer<'a> {
    location: Location,
    options: &'a DownloadOptions<'a>,
    throttle: &'a Throttle<'a>,
    /// How many bytes an earlier call left.
    resumed_from: AtomicU64,
    /// The highest of all connections.
    attempt: AtomicU32,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(location: &Location, options: &'a DownloadOptions<'a>, throttle: &'a Throttle<'a>) -> Self {
        let location = Location { agent: location.agent.over(options.connections), ..location.clone() };
        Self { location, options, throttle, resumed_from: 0.into(), attempt: 1.into() }
    }

    pub(crate) fn progress(&self, bytes: u64, total: Option<u64>) -> Progress {
        Progress {
            bytes,
            total,
            attempt: self.attempt.load(Ordering::Relaxed),
            resumed_from: self.resumed_from.load(Ordering::Relaxed),
            ..Progress::default()
        }
    }

    /// Reports when it is time to. `attempt` is that of one connection.
    fn tick(&self, bytes: &AtomicU64, total: Option<u64>, attempt: u32, waiting: impl FnOnce() -> bool) -> Result<()> {
        self.attempt.fetch_max(attempt, Ordering::Relaxed);
        let progress = || Progress { waiting: waiting(), ..self.progress(bytes.load(Ordering::Relaxed), total) };
        self.throttle.report(progress)
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
            let fetcher = PartSink::fetcher(self, part, first.take());
            let Some(stream) = fetch_all(&fetcher, connections)? else {
                let status = fetcher.sink.status.into_inner();
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
                self.wait(pause, || self.tick(&none, None, stream.attempt, || true).map(|()| true))?;
            }
        }
        let cut = stream.object.total.filter(|total| stream.end.is_some_and(|end| end < *total));
        let piece = cut.map_or(0, |total| piece_len(total, connections));
        part.begin(&stream.object, piece)?;
        Ok(stream)
    }

    fn stream(&self, object: Object, range: Range) -> Stream {
        let DownloadOptions { attempts, retry_for, .. } = *self.options;
        Stream::new(self.location.clone(), object, range).limited(attempts, retry_for)
    }

    /// Pauses as long as `go_on` says so.
    fn wait(&self, pause: Duration, go_on: impl Fn() -> Result<bool>) -> Result<()> {
        pause_in(LOOK, pause, &|time| self.location.agent.sleep(time), go_on)
    }
}

/// A part file that several connections write to.
struct PartSink<'a> {
    transfer: &'a Transfer<'a>,
    part: &'a Part,
    /// Bytes received, and how many of them a sync was requested for.
    bytes: AtomicU64,
    synced: AtomicU64,
    /// Requests a sync.
    sync: Mutex<Option<SyncSender<()>>>,
    /// The last response's; 0 before one came.
    status: AtomicU16,
}

impl<'a> PartSink<'a> {
    /// What fetches the part file's pieces, of which `first` has begun the first.
    fn fetcher(transfer: &'a Transfer<'a>, part: &'a Part, mut first: Option<Stream>) -> Fetcher<Self> {
        let status = first.as_ref().and_then(|first| first.status);
        let jobs = part.pieces().iter().enumerate().filter_map(|(number, piece)| {
            let done = part.done_of(number);
            let is_open = piece.len.is_none_or(|len| done < len);
            let end = piece.len.filter(|_| part.is_cut()).map(|len| piece.start + len);
            is_open.then(|| Job { piece: number, at: piece.start + done, end, stream: first.take() })
        });
        let jobs = jobs.collect();
        let (bytes, synced, status) = (part.done().into(), part.done().into(), status.unwrap_or(0).into());
        Fetcher::new(Self { transfer, part, bytes, synced, sync: Mutex::new(None), status }, jobs)
    }

    fn sync_now_and_then(&self) {
        let (bytes, synced) = (self.bytes.load(Ordering::Relaxed), self.synced.load(Ordering::Relaxed));
        if bytes.saturating_sub(synced) >= SYNC_EVERY {
            self.synced.store(bytes, Ordering::Relaxed);
            // When one is due already, that one will do.
            let sync = self.sync.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = sync.as_ref().map(|sync| sync.try_send(()));
        }
    }
}

impl Sink for PartSink<'_> {
    fn stream(&self, range: Range) -> Stream {
        self.transfer.stream(self.part.object().clone(), range)
    }

    fn received(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn write(&self, _: &Fetcher<Self>, piece: usize, bytes: &[u8]) -> Result<Written> {
        self.part.write(piece, bytes)?;
        self.sync_now_and_then();
        Ok(Written::Taken)
    }

    fn tick(&self, fetcher: &Fetcher<Self>, stream: &Stream) -> Result<()> {
        if stream.is_open() {
            self.status.store(stream.status.unwrap_or(0), Ordering::Relaxed);
        }
        let waiting = || fetcher.queue.is_waiting();
        self.transfer.tick(&self.bytes, self.part.object().total, stream.attempt, waiting)
    }

    fn wait(&self, pause: Duration, go_on: &dyn Fn() -> Result<bool>) -> Result<()> {
        self.transfer.wait(pause, go_on)
    }
}

/// Fetches all pieces over up to `connections` connections, one of them the calling thread's. `Some`: the snapshot must be
/// fetched from its beginning, with the stream that found out.
fn fetch_all(fetcher: &Fetcher<PartSink<'_>>, connections: usize) -> Result<Option<Stream>> {
    let (sync, due) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        let _syncing = Syncing::new(&fetcher.sink, sync);
        // Where the system has no more threads, there are fewer connections and one sync at the end.
        let _ = thread::Builder::new().spawn_scoped(scope, move || sync_whenever_due(fetcher, due));
        thread::scope(|scope| {
            for _ in 1..connections.min(fetcher.queue.len()) {
                if thread::Builder::new().spawn_scoped(scope, || fetcher.work()).is_err() {
                    break;
                }
            }
            fetcher.work();
        });
    });
    fetcher.take_reason().transpose()
}

/// Lets syncs be requested, as long as it lives: a callback may panic.
struct Syncing<'a>(&'a PartSink<'a>);

impl<'a> Syncing<'a> {
    fn new(sink: &'a PartSink<'a>, sync: SyncSender<()>) -> Self {
        *sink.sync.lock().unwrap_or_else(PoisonError::into_inner) = Some(sync);
        Self(sink)
    }
}

impl Drop for Syncing<'_> {
    fn drop(&mut self) {
        *self.0.sync.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn sync_whenever_due(fetcher: &Fetcher<PartSink<'_>>, due: Receiver<()>) {
    if let Err(error) = due.into_iter().try_for_each(|()| fetcher.sink.part.sync_and_note()) {
        fetcher.stop_with(Err(error));
    }
}
