//! I/O. A TCP connection as ureq sees it, with fewer system calls around each answer.
//!
//! ureq's own sets both time limits anew for every call and asks twice whether an idle connection is still open:
//! eight system calls around a small answer, where these are three.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// The least time an address gets before the next one is tried.
const LEAST: Duration = Duration::from_millis(10);

/// Opens TCP connections, where nothing before it in the chain has.
#[derive(Debug)]
pub(super) struct Tcp;

impl<In: Transport> Connector<In> for Tcp {
    type Out = Either<In, Connection>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // A proxy's tunnel, for example.
        if let Some(chained) = chained {
            return Ok(Some(Either::A(chained)));
        }
        let stream = connect(details)?;
        stream.set_nodelay(true)?;
        let config = details.config;
        Ok(Some(Either::B(Connection {
            stream,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            read_limit: None,
            write_limit: None,
            answered: false,
        })))
    }
}

/// The first address that answers. Each gets half of what is left of the time, the last one all of it.
fn connect(details: &ConnectionDetails<'_>) -> Result<TcpStream, Error> {
    let start = Instant::now();
    let all = details.timeout.not_zero().map(|limit| *limit);
    let mut last = Error::ConnectionFailed;
    for (n, address) in details.addrs.iter().enumerate() {
        let tried = match all {
            None => TcpStream::connect(address),
            Some(all) => {
                let left = all.saturating_sub(start.elapsed());
                if left.is_zero() {
                    return Err(Error::Timeout(details.timeout.reason));
                }
                let share = if n + 1 < details.addrs.len() { left / 2 } else { left };
                TcpStream::connect_timeout(address, share.max(LEAST))
            }
        };
        match tried {
            Ok(stream) => return Ok(stream),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => last = Error::Timeout(details.timeout.reason),
            Err(e) => last = e.into(),
        }
    }
    Err(last)
}

/// A TCP connection.
pub(super) struct Connection {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// What the socket's own limits are set to.
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
    /// Something was read since the last look whether the connection is open.
    answered: bool,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let mut rest = self.buffers.output().get(..amount).unwrap_or_default();
        while !rest.is_empty() {
            let set = |limit| self.stream.set_write_timeout(limit);
            let count = within(timeout, &mut self.write_limit, set, || (&self.stream).write(rest))?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let room = self.buffers.input_append_buf();
        let set = |limit| self.stream.set_read_timeout(limit);
        let count = within(timeout, &mut self.read_limit, set, || (&self.stream).read(room))?;
        self.buffers.input_appended(count);
        self.answered = true;
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        // Asked once when an answer was read to its end, and once more before the next request: the second
        // time is what counts.
        if std::mem::take(&mut self.answered) {
            return true;
        }
        self.silent().unwrap_or(false)
    }
}

impl Connection {
    /// Whether there is nothing to read, not even an end: bytes nobody asked for would be taken for an answer.
    fn silent(&self) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let nothing = self.stream.peek(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false)?;
        Ok(nothing)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.stream.peer_addr().ok()).finish_non_exhaustive()
    }
}

/// Runs one system call within `timeout`; gives its count.
///
/// The socket's limit is left alone while it lies within the limit of this call: when it strikes too early, the
/// call is made again for the rest of the time.
fn within(
    timeout: NextTimeout,
    set: &mut Option<Duration>,
    set_limit: impl Fn(Option<Duration>) -> io::Result<()>,
    mut call: impl FnMut() -> io::Result<usize>,
) -> Result<usize, Error> {
    let start = Instant::now();
    // "Not happening" is a time no clock reaches.
    let limit = (!timeout.after.is_not_happening()).then_some(*timeout.after);
    let mut adjust = |wanted: Option<Duration>| {
        let fits = match (*set, wanted) {
            (None, None) => true,
            (Some(now), Some(wanted)) => now <= wanted && now >= wanted / 2,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        // Nearly all of it, so that the next call, which has a little less time, can keep it.
        let rough = wanted.map(|wanted| (wanted - wanted / 8).max(Duration::from_millis(1)));
        match set_limit(rough) {
            Ok(()) => *set = rough,
            // macOS refuses once the peer has closed; what it sent before can still be read.
            Err(e) if cfg!(target_os = "macos") && e.kind() == io::ErrorKind::InvalidInput => {}
            Err(e) => return Err(e),
        }
        Ok(())
    };
    loop {
        let elapsed = start.elapsed();
        let left = limit.map(|limit| limit.saturating_sub(elapsed));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Error::Timeout(timeout.reason));
        }
        adjust(left)?;
        match call() {
            Ok(count) => return Ok(count),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e)
                if limit.is_some()
                    && matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
