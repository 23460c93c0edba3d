//! I/O. The connections that fetch the pieces of a snapshot, into whatever takes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::queue::{Connection, Job, Queue};
use super::spans::BUFFER;
use super::stream::{Step, Stream};
use crate::api::retry::{backoff, jitter};
use crate::error::{Error, Result};

/// What takes the pieces.
pub(super) trait Sink: Sized {
    /// The bytes from `at` to `end`, or to the object's end.
    fn stream(&self, at: u64, end: Option<u64>) -> Stream;

    /// This many bytes were received, which are still to be written.
    fn received(&self, _count: usize) {}

    /// Takes the next bytes of a piece. `false`: there is no room for them, and another piece is wanted first.
    fn write(&self, connections: &Connections<Self>, piece: usize, bytes: &[u8]) -> Result<bool>;

    /// Called after every step of a connection; an error ends all of them.
    fn tick(&self, _connections: &Connections<Self>, _stream: &Stream) -> Result<()> {
        Ok(())
    }

    /// Pauses as long as `go_on` says so.
    fn wait(&self, pause: Duration, go_on: &dyn Fn() -> Result<bool>) -> Result<()>;

    /// The connections have ended before all pieces were there.
    fn ended(&self) {}
}

/// The connections and what they share.
pub(super) struct Connections<S> {
    pub(super) sink: S,
    pub(super) queue: Queue,
    /// What ended one connection before all pieces were there; the others end, too.
    ended: Mutex<Option<Result<Stream>>>,
    stop: AtomicBool,
}

/// What came of a piece.
enum Fetched {
    /// Everything, or another connection is to fetch the rest.
    Done,
    /// Another connection is to fetch the rest, and this one may come back after a pause.
    GivenBack(Duration),
    /// The same, for good: what this one was told does not pass.
    Left,
    /// The snapshot must be fetched from its beginning, with the stream that found out.
    StartOver(Box<Stream>),
}

impl<S: Sink> Connections<S> {
    pub(super) fn new(sink: S, jobs: Vec<Job>) -> Self {
        Self { sink, queue: Queue::new(jobs), ended: Mutex::new(None), stop: AtomicBool::new(false) }
    }

    /// One connection: piece after piece until none is left.
    pub(super) fn work(&self) {
        let (mut connection, mut refused) = (Connection::AtWork, 0);
        self.queue.join();
        let mut buffer = vec![0; BUFFER];
        while let Some(job) = self.queue.next(connection) {
            match self.fetch(job, &mut buffer, &mut connection) {
                Ok(Fetched::Done) => refused = 0,
                Ok(Fetched::GivenBack(asked)) => {
                    let go_on = || Ok(!self.is_stopped() && self.queue.is_at_work());
                    let _ = self.sink.wait(backoff(refused, jitter()).max(asked), &go_on);
                    refused += 1;
                }
                Ok(Fetched::Left) => return,
                Ok(Fetched::StartOver(stream)) => self.end(Ok(*stream)),
                Err(error) => self.end(Err(error)),
            }
        }
    }

    /// Ends all connections. `Ok`: the snapshot must be fetched from its beginning, with the stream that found out.
    pub(super) fn end(&self, why: Result<Stream>) {
        guard(&self.ended).get_or_insert(why);
        self.stop();
    }

    /// Ends all connections: nobody wants their bytes any more.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.sink.ended();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What ended the connections; once.
    pub(super) fn take_end(&self) -> Option<Result<Stream>> {
        guard(&self.ended).take()
    }

    fn fetch(&self, job: Job, buffer: &mut [u8], connection: &mut Connection) -> Result<Fetched> {
        let Job { piece, at, end, stream } = job;
        let mut stream = stream.unwrap_or_else(|| self.sink.stream(at, end));
        let rest = |at| Job { piece, at, end, stream: None };
        let mut filled = 0;
        while !self.is_stopped() {
            let step = stream.step(buffer.get_mut(filled..).unwrap_or_default());
            if let Ok(Step::Bytes(count)) = step {
                filled += count;
                self.sink.received(count);
            }
            let step = self.tick(&stream).and(step);
            // What came is kept, whatever ends the transfer.
            let is_full = filled == buffer.len();
            if is_full || self.is_stopped() || !matches!(step, Ok(Step::Opened | Step::Bytes(_))) {
                if !self.sink.write(self, piece, buffer.get(..filled).unwrap_or_default())? {
                    self.queue.put_back(rest(stream.at - filled as u64));
                    return Ok(Fetched::Done);
                }
                filled = 0;
            }
            if is_full || is_progress(&step) {
                self.queue.served(connection);
            }
            if brought_nothing(&step) && self.queue.give_back(rest(stream.at), connection) {
                // The pause is what the host asks for, if it does.
                return Ok(if let Ok(Step::Retry(pause)) = step { Fetched::GivenBack(pause) } else { Fetched::Left });
            }
            match step? {
                Step::Opened | Step::Bytes(_) => {}
                Step::Retry(pause) => {
                    let go_on = || self.tick(&stream).map(|()| !self.is_stopped());
                    self.queue.pausing(|| self.sink.wait(pause, &go_on))?;
                }
                Step::StartOver => return Ok(Fetched::StartOver(Box::new(stream))),
                // The first request of all is for less than a piece.
                Step::End if end.is_some_and(|end| stream.at < end) => stream = self.sink.stream(stream.at, end),
                Step::End => return Ok(Fetched::Done),
            }
        }
        Ok(Fetched::Done)
    }

    fn tick(&self, stream: &Stream) -> Result<()> {
        if self.is_stopped() { Ok(()) } else { self.sink.tick(self, stream) }
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
