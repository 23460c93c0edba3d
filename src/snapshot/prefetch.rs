//! I/O. Ranges of a remote snapshot, fetched over several connections before they are read.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use super::ahead::{Ahead, Lookup};
use super::fetcher::{Fetcher, Sink, Written};
use super::location::Location;
use super::queue::Job;
use super::range::{Object, Range as Requested};
use super::source::{Prefetch, Source};
use super::spans::Piece;
use super::stream::Stream;
use crate::error::{Error, Result};
use crate::progress::pause_in;

/// How many connections fetch. Several help where the host limits the speed of each, or is far away.
pub(super) const CONNECTIONS: usize = 4;

/// How often a connection that has to wait checks whether it may go on.
const LOOK: Duration = Duration::from_millis(20);

/// What is wrong when a response is not the one that was requested, of the same snapshot.
pub(super) const CHANGED: &str =
    "the snapshot changed while it was being read, or the host stopped serving ranges; open it again";

/// The ranges, as their readers see them.
pub(super) struct RemotePrefetch<'a> {
    /// Reads what was not fetched ahead.
    source: &'a dyn Source,
    fetcher: Arc<Fetcher<Shared>>,
    /// Starts the connections.
    start: Once,
}

/// What the connections and the readers share.
struct Shared {
    location: Location,
    object: Object,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ahead: Ahead,
    /// How many connections there are.
    connections: usize,
    /// How many readers wait for what may not be fetched yet.
    far: usize,
    /// Why no more bytes come.
    failure: Option<Error>,
}

impl<'a> RemotePrefetch<'a> {
    pub(super) fn new(
        source: &'a dyn Source,
        location: &Location,
        object: &Object,
        ranges: &[Range<u64>],
        pieces: Vec<Piece>,
    ) -> Self {
        let job = |(piece, span): (usize, &Piece)| Job { piece, at: span.start, end: Some(span.end), stream: None };
        let jobs = pieces.iter().enumerate().map(job).collect();
        let state = State { ahead: Ahead::new(ranges, pieces), connections: 0, far: 0, failure: None };
        let (location, object) = (location.clone(), object.clone());
        let shared = Shared { location, object, state: Mutex::new(state), changed: Condvar::new() };
        Self { source, fetcher: Arc::new(Fetcher::new(shared, jobs)), start: Once::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.fetcher.sink.state()
    }

    fn start(&self) {
        for _ in 0..CONNECTIONS.min(self.fetcher.queue.len()) {
            // Counted before its thread runs, or a reader could think that all connections have ended.
            let connection = ConnectionGuard::new(&self.fetcher);
            // Where the system has no more threads, there are fewer connections; without any, each read is a request.
            let work = move || connection.0.work();
            if thread::Builder::new().name("snapshot-fetch".into()).spawn(work).is_err() {
                break;
            }
        }
    }

    /// The block with the byte at `offset`, once it has come; `None` if it will not.
    fn wait_for(&self, offset: u64) -> Result<Option<(Arc<Vec<u8>>, usize)>> {
        let (mut state, mut is_far) = (self.state(), false);
        let result = loop {
            match state.ahead.advance(offset) {
                Lookup::Here(block, skip) => break Ok(Some((block, skip))),
                Lookup::Pending if self.fetcher.is_stopped() => break Err(self.failure(&mut state)),
                Lookup::Pending if state.connections > 0 => {}
                Lookup::Pending | Lookup::NotPrefetched => break Ok(None),
            }
            if state.ahead.is_far(offset) != is_far {
                is_far = !is_far;
                state.far = if is_far { state.far + 1 } else { state.far - 1 };
                self.fetcher.sink.changed.notify_all();
            }
            // Whoever reads out of turn waits for nobody, or all of them would wait for ever.
            if is_far && state.far >= state.ahead.readers() {
                break Ok(None);
            }
            state = self.fetcher.sink.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.far -= usize::from(is_far);
        drop(state);
        self.fetcher.sink.changed.notify_all();
        result
    }

    /// Why no more bytes come.
    fn failure(&self, state: &mut State) -> Error {
        let location = &self.fetcher.sink.location;
        let why = || match self.fetcher.take_reason() {
            Some(Err(error)) => error,
            Some(Ok(stream)) => stream.error(CHANGED),
            None => Error::Cancelled { action: "reading", path: location.file_name.as_ref().into() },
        };
        match state.failure.get_or_insert_with(why) {
            Error::Cancelled { action, path } => Error::Cancelled { action, path: path.clone() },
            error => error.again(),
        }
    }
}

impl Source for RemotePrefetch<'_> {
    fn size(&self) -> io::Result<u64> {
        self.source.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self.wait_for(offset)? {
            Some((block, skip)) => io::Read::read(&mut block.get(skip..).unwrap_or_default(), buf),
            None => self.source.read_at(offset, buf),
        }
    }
}

impl Prefetch for RemotePrefetch<'_> {
    fn claim(&self) -> Option<usize> {
        self.start.call_once(|| self.start());
        self.state().ahead.claim()
    }

    fn finish(&self, range: usize) {
        self.state().ahead.finish(range);
        self.fetcher.sink.changed.notify_all();
    }

    fn stop(&self) {
        self.fetcher.stop();
    }
}

impl Drop for RemotePrefetch<'_> {
    fn drop(&mut self) {
        self.fetcher.stop();
        // A connection to a silent host may live a little longer.
        self.state().ahead.clear();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Shared {
    fn stream(&self, range: Requested) -> Stream {
        Stream::new(self.location.clone(), self.object.clone(), range)
    }

    fn write(&self, fetcher: &Fetcher<Self>, piece: usize, bytes: &[u8]) -> Result<Written> {
        if bytes.is_empty() {
            return Ok(Written::Taken);
        }
        let mut state = self.state();
        while !fetcher.is_stopped() && !state.ahead.has_room(piece, bytes.len()) {
            // A piece that the readers need first was given back.
            if fetcher.queue.has_before(piece) {
                return Ok(Written::NoRoom);
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut block = state.ahead.block(bytes.len());
        drop(state);
        block.extend_from_slice(bytes);
        let mut state = self.state();
        if !fetcher.is_stopped() {
            state.ahead.put(piece, block);
        }
        drop(state);
        self.changed.notify_all();
        Ok(Written::Taken)
    }

    fn wait(&self, pause: Duration, go_on: &dyn Fn() -> Result<bool>) -> Result<()> {
        pause_in(LOOK, pause, &|time| self.location.agent.sleep(time), go_on)
    }

    fn stopped(&self) {
        // A reader that has just looked must be waiting before it is told.
        drop(self.state());
        self.changed.notify_all();
    }
}

/// A connection, counted as long as it lives.
struct ConnectionGuard(Arc<Fetcher<Shared>>);

impl ConnectionGuard {
    fn new(fetcher: &Arc<Fetcher<Shared>>) -> Self {
        fetcher.sink.state().connections += 1;
        Self(Arc::clone(fetcher))
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            // Nobody else has its piece.
            self.0.stop();
        }
        self.0.sink.state().connections -= 1;
        self.0.sink.changed.notify_all();
    }
}
