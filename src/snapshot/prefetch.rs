//! I/O. Ranges of a remote snapshot, fetched over several connections before they are read.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use super::ahead::{Ahead, Found};
use super::connections::{Connections, Sink};
use super::location::Location;
use super::queue::Job;
use super::range::{Object, Range as Requested};
use super::source::{Prefetch, Source};
use super::spans::Piece;
use super::stream::Stream;
use crate::error::{Error, Result};
use crate::progress::pause_in;

/// Over how many connections ranges are fetched: with a limit a connection, or a long way, each adds its share.
pub(super) const CONNECTIONS: usize = 4;

/// How often a connection that has to wait looks whether it still has to.
const LOOK: Duration = Duration::from_millis(20);

/// What is wrong when a response is not the one that was requested, of the same snapshot.
pub(super) const CHANGED: &str =
    "the snapshot changed while it was being read, or the host stopped serving ranges; open it again";

/// The ranges, as their readers see them.
pub(super) struct Fetched<'a> {
    /// For what is read outside of them, or again.
    source: &'a dyn Source,
    connections: Arc<Connections<Fetching>>,
    /// Starts the connections.
    start: Once,
}

/// What the connections and the readers share.
struct Fetching {
    location: Location,
    object: Object,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ahead: Ahead,
    /// How many connections there are.
    connections: usize,
}

impl<'a> Fetched<'a> {
    pub(super) fn new(
        source: &'a dyn Source,
        location: &Location,
        object: &Object,
        ranges: &[Range<u64>],
        pieces: Vec<Piece>,
    ) -> Self {
        let job = |(piece, span): (usize, &Piece)| Job { piece, at: span.start, end: Some(span.end), stream: None };
        let jobs = pieces.iter().enumerate().map(job).collect();
        let state = State { ahead: Ahead::new(ranges, pieces), connections: 0 };
        let (location, object) = (location.clone(), object.clone());
        let fetching = Fetching { location, object, state: Mutex::new(state), changed: Condvar::new() };
        Self { source, connections: Arc::new(Connections::new(fetching, jobs)), start: Once::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.connections.sink.state()
    }

    fn start(&self) {
        for _ in 0..CONNECTIONS.min(self.connections.queue.len()) {
            // Counted at once, so that no reader takes it for one that has ended.
            let connection = Connected::new(&self.connections);
            // Where the system has no more threads, there are fewer connections; without any, each read is a request.
            let work = move || connection.0.work();
            if thread::Builder::new().name("snapshot-fetch".into()).spawn(work).is_err() {
                break;
            }
        }
    }

    /// Why no more bytes come. The first reader gets the reason.
    fn failure(&self) -> Error {
        let location = &self.connections.sink.location;
        match self.connections.take_end() {
            Some(Err(error)) => error,
            Some(Ok(stream)) => stream.error(CHANGED),
            None => Error::Cancelled { action: "reading", path: location.file_name.as_ref().into() },
        }
    }
}

impl Source for Fetched<'_> {
    fn size(&self) -> io::Result<u64> {
        self.source.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        loop {
            match state.ahead.look(offset) {
                Found::Here(block, skip) => {
                    drop(state);
                    self.connections.sink.changed.notify_all();
                    return io::Read::read(&mut block.get(skip..).unwrap_or_default(), buf);
                }
                Found::Awaited if self.connections.is_stopped() => return Err(self.failure().into()),
                Found::Awaited if state.connections > 0 => {
                    state = self.connections.sink.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Found::Awaited | Found::Elsewhere => break,
            }
        }
        drop(state);
        self.source.read_at(offset, buf)
    }
}

impl Prefetch for Fetched<'_> {
    fn claim(&self) -> Option<usize> {
        self.start.call_once(|| self.start());
        self.state().ahead.claim()
    }

    fn finish(&self, range: usize) {
        self.state().ahead.finish(range);
        self.connections.sink.changed.notify_all();
    }

    fn stop(&self) {
        self.connections.stop();
    }
}

impl Drop for Fetched<'_> {
    fn drop(&mut self) {
        self.connections.stop();
    }
}

impl Fetching {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Fetching {
    fn stream(&self, at: u64, end: Option<u64>) -> Stream {
        let range = end.map_or(Requested::From(at), |end| Requested::Span(at, end));
        Stream::new(self.location.clone(), self.object.clone(), range)
    }

    fn write(&self, connections: &Connections<Self>, piece: usize, bytes: &[u8]) -> Result<bool> {
        if bytes.is_empty() {
            return Ok(true);
        }
        let mut state = self.state();
        while !state.ahead.has_room(piece, bytes.len()) {
            if connections.is_stopped() {
                return Ok(true);
            }
            if connections.queue.has_before(piece) {
                return Ok(false);
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut block = state.ahead.block(bytes.len());
        drop(state);
        block.extend_from_slice(bytes);
        self.state().ahead.put(piece, block);
        self.changed.notify_all();
        Ok(true)
    }

    fn wait(&self, pause: Duration, go_on: &dyn Fn() -> Result<bool>) -> Result<()> {
        pause_in(LOOK, pause, &|time| self.location.agent.sleep(time), go_on)
    }

    fn ended(&self) {
        // A reader that has just looked must be waiting before it is told.
        drop(self.state());
        self.changed.notify_all();
    }
}

/// A connection, counted as long as it lives.
struct Connected(Arc<Connections<Fetching>>);

impl Connected {
    fn new(connections: &Arc<Connections<Fetching>>) -> Self {
        connections.sink.state().connections += 1;
        Self(Arc::clone(connections))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.sink.state().connections -= 1;
        self.0.sink.changed.notify_all();
    }
}
