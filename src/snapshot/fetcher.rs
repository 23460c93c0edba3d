//! I/O. Pieces of a snapshot, fetched over several connections into a sink: a part file, or memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::queue::{Connection, Job, Queue};
use super::range::Range;
use super::spans::BUFFER;
use super::stream::{Step, Stream};
use crate::api::retry::{backoff, jitter};
use crate::error::{Error, Result};

/// Where the pieces go: makes their streams, takes their bytes, and knows how to pause.
pub(super) trait Sink: Sized {
    /// The bytes of `range`.
    fn stream(&self, range: Range) -> Stream;

    /// This many bytes were received, which are still to be written.
    fn received(&self, _count: usize) {}

    /// Takes the next bytes of a piece, or has no room for them.
    fn write(&self, fetcher: &Fetcher<Self>, piece: usize, bytes: &[u8]) -> Result<Written>;

    /// Called after every step of a connection; an error ends all of them.
    fn tick(&self, _fetcher: &Fetcher<Self>, _stream: &Stream) -> Result<()> {
        Ok(())
    }

    /// Pauses as long as `go_on` says so.
    fn wait(&self, pause: Duration, go_on: &dyn Fn() -> Result<bool>) -> Result<()>;

    /// Called when the connections are told to stop: whoever waits should look.
    fn stopped(&self) {}
}

/// What became of the bytes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// They are no longer the connection's.
    Taken,
    /// A piece in front of this one is wanted first.
    NoRoom,
}

/// What the connections share.
pub(super) struct Fetcher<S> {
    pub(super) sink: S,
    pub(super) queue: Queue,
    /// What stopped the connections before all pieces were there.
    reason: Mutex<Option<Result<Stream>>>,
    stop: AtomicBool,
}

/// What came of a piece.
enum Outcome {
    /// Everything, or another connection is to fetch the rest.
    Done,
    /// Another connection is to fetch the rest, and this one may come back after a pause.
    GivenBack(Duration),
    /// The same, for good: what this one was told does not pass.
    Left,
    /// The snapshot must be fetched from its beginning, with the stream that found out.
    StartOver(Box<Stream>),
}

impl<S: Sink> Fetcher<S> {
    pub(super) fn new(sink: S, jobs: Vec<Job>) -> Self {
        Self { sink, queue: Queue::new(jobs), reason: Mutex::new(None), stop: AtomicBool::new(false) }
    }

    /// One connection: piece after piece until none is left.
    pub(super) fn work(&self) {
        let (mut connection, mut refused) = (Connection::AtWork, 0);
        self.queue.join();
        let mut buffer = vec![0; BUFFER];
        while let Some(job) = self.queue.next(connection) {
            match self.fetch(job, &mut buffer, &mut connection) {
                Ok(Outcome::Done) => refused = 0,
                Ok(Outcome::GivenBack(asked)) => {
                    let go_on = || Ok(!self.is_stopped() && self.queue.is_at_work());
                    let _ = self.sink.wait(backoff(refused, jitter()).max(asked), &go_on);
                    refused += 1;
                }
                Ok(Outcome::Left) => return,
                // Once stopped, the pieces that are left come to nothing.
                Ok(Outcome::StartOver(stream)) => self.stop_with(Ok(*stream)),
                Err(error) => self.stop_with(Err(error)),
            }
        }
    }

    /// Stops all connections. `Ok`: the snapshot must be fetched from its beginning, with the stream that found out.
    pub(super) fn stop_with(&self, why: Result<Stream>) {
        guard(&self.reason).get_or_insert(why);
        self.stop();
    }

    /// Stops all connections: nobody wants their bytes any more.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.sink.stopped();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What stopped the connections; once.
    pub(super) fn take_reason(&self) -> Option<Result<Stream>> {
        guard(&self.reason).take()
    }

    fn fetch(&self, job: Job, buffer: &mut [u8], connection: &mut Connection) -> Result<Outcome> {
        let Job { piece, at, end, stream } = job;
        let from = |at| self.sink.stream(end.map_or(Range::From(at), |end| Range::Span(at, end)));
        let mut stream = stream.unwrap_or_else(|| from(at));
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
                if self.sink.write(self, piece, buffer.get(..filled).unwrap_or_default())? == Written::NoRoom {
                    self.queue.put_back(rest(stream.at - filled as u64));
                    return Ok(Outcome::Done);
                }
                filled = 0;
            }
            if is_full || is_progress(&step) {
                self.queue.served(connection);
            }
            if brought_nothing(&step) && self.queue.give_back(rest(stream.at), connection) {
                // The pause is what the host asks for, if it does.
                return Ok(if let Ok(Step::Retry(pause)) = step { Outcome::GivenBack(pause) } else { Outcome::Left });
            }
            match step? {
                Step::Opened | Step::Bytes(_) => {}
                Step::Retry(pause) => {
                    let go_on = || self.tick(&stream).map(|()| !self.is_stopped());
                    self.queue.pausing(|| self.sink.wait(pause, &go_on))?;
                }
                Step::StartOver => return Ok(Outcome::StartOver(Box::new(stream))),
                // The first request of a download is for less than a piece.
                Step::End if end.is_some_and(|end| stream.at < end) => stream = from(stream.at),
                Step::End => return Ok(Outcome::Done),
            }
        }
        Ok(Outcome::Done)
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
