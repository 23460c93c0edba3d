//! I/O. The bytes of a snapshot into its part file, over one connection or several.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::location::Location;
use super::options::DownloadOptions;
use super::part::Part;
use super::queue::{Connection, Job, Queue};
use super::range::{Object, Range};
use super::record::piece_len;
use super::stream::{Step, Stream};
use crate::api::retry::{backoff, jitter};
use crate::error::{Error, Result};
use crate::progress::{Progress, Throttle, pause_in};

/// What the first of several connections requests, in bytes: enough to be of use, little enough to lose nothing by waiting.
const PROBE: u64 = 1024 * 1024;
/// How much is written at once, in bytes. TLS returns at most 16 KiB per read.
const BUFFER: usize = 256 * 1024;
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

/// What came of a piece.
enum Fetched {
    Done,
    /// Another connection is to fetch the rest, and this one may come back after a pause.
    GivenBack(Duration),
    /// The same, for good: what this one was told does not pass.
    Left,
    /// The snapshot must be fetched from its beginning, with the stream that found out.
    StartOver(Box<Stream>),
}

/// The pieces of a part file, shared by the connections that fetch them.
struct Pieces<'a> {
    transfer: &'a Transfer<'a>,
    part: &'a Part,
    queue: Queue,
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
        Self {
            transfer,
            part,
            queue: Queue::new(jobs.collect()),
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
            for _ in 1..connections.min(self.queue.len()) {
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

    /// One connection: piece after piece until none is left.
    fn work(&self, sync: &SyncSender<()>) {
        let (mut connection, mut refused) = (Connection::AtWork, 0);
        self.queue.join();
        let mut buffer = vec![0; BUFFER];
        while let Some(job) = self.queue.next(connection) {
            match self.fetch(job, &mut buffer, sync, &mut connection) {
                Ok(Fetched::Done) => refused = 0,
                Ok(Fetched::GivenBack(asked)) => {
                    let go_on = || Ok(!self.is_stopped() && self.queue.is_at_work());
                    let _ = self.transfer.wait(backoff(refused, jitter()).max(asked), go_on);
                    refused += 1;
                }
                Ok(Fetched::Left) => return,
                Ok(Fetched::StartOver(stream)) => self.end(Ok(*stream)),
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

    fn fetch(
        &self,
        job: Job,
        buffer: &mut [u8],
        sync: &SyncSender<()>,
        connection: &mut Connection,
    ) -> Result<Fetched> {
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
            let is_full = filled == buffer.len();
            if is_full || self.is_stopped() || !matches!(step, Ok(Step::Opened | Step::Bytes(_))) {
                self.part.write(piece, buffer.get(..filled).unwrap_or_default())?;
                filled = 0;
                self.sync_now_and_then(sync);
            }
            if is_full || is_progress(&step) {
                self.queue.served(connection);
            }
            if brought_nothing(&step) {
                let rest = Job { piece, at: stream.at, end, stream: None };
                if self.queue.give_back(rest, connection) {
                    // The pause is what the host asks for, if it does.
                    return Ok(if let Ok(Step::Retry(pause)) = step {
                        Fetched::GivenBack(pause)
                    } else {
                        Fetched::Left
                    });
                }
            }
            match step? {
                Step::Bytes(_) => {}
                Step::Opened => self.status.store(stream.status.unwrap_or(0), Ordering::Relaxed),
                Step::Retry(pause) => self.pause(pause, &stream)?,
                Step::StartOver => return Ok(Fetched::StartOver(Box::new(stream))),
                // The first request of all is for less than a piece.
                Step::End if end.is_some_and(|end| stream.at < end) => stream = continued(stream.at),
                Step::End => return Ok(Fetched::Done),
            }
        }
        Ok(Fetched::Done)
    }

    /// Pauses before the next attempt of one connection.
    fn pause(&self, pause: Duration, stream: &Stream) -> Result<()> {
        let go_on = || self.tick(stream).map(|()| !self.is_stopped());
        self.queue.pausing(|| self.transfer.wait(pause, go_on))
    }

    fn tick(&self, stream: &Stream) -> Result<()> {
        if self.is_stopped() {
            return Ok(());
        }
        let waiting = || self.queue.is_waiting();
        self.transfer.tick(&self.bytes, self.part.object().total, stream.attempt, waiting)
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

/// Whether an attempt ended that brought something.
fn is_progress(step: &Result<Step>) -> bool {
    matches!(step, Ok(Step::End | Step::Retry(Duration::ZERO)))
}

/// Whether an attempt ended that brought nothing, and another connection to the host may fare better.
fn brought_nothing(step: &Result<Step>) -> bool {
    use Error::{Network, Proxy, Timeout, UnexpectedResponse};
    match step {
        Ok(Step::Retry(pause)) => !pause.is_zero(),
        Ok(_) => false,
        Err(error) => matches!(error, Network { .. } | Timeout { .. } | UnexpectedResponse { .. } | Proxy { .. }),
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
