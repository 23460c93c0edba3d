//! I/O. A transport around ureq's that watches what it carries.
//!
//! ureq forgets an answer whose head it cannot read: here its status is noted when its first line comes. It takes
//! no 100 that has a header: here the heads of every 1xx are passed over. ureq
//! bounds each read of the socket, not what it takes to get one byte of a body: here that has an end, too. And
//! ureq fails when a request cannot be sent to its end: here the answer that says why is still read.
//!
//! A call and the reads of its body block the thread they are made on, so what is known of the call is kept
//! with the thread.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Error, Timeout};

thread_local! {
    /// The status of the running call's answer.
    static STATUS: Cell<Option<u16>> = const { Cell::new(None) };
    /// When the running read has to be over.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// How long is looked for an answer on a connection that takes no more of the request.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// A new call begins on this thread.
pub(super) fn begin() {
    STATUS.set(None);
}

/// The status of the call's answer, as soon as its first line came; of a failed call, too.
pub(super) fn status() -> Option<u16> {
    STATUS.get()
}

/// Runs `read`, which may wait for bytes at most for `limit` in all, however many reads of the socket it makes.
pub(super) fn within<T>(limit: Duration, read: impl FnOnce() -> T) -> T {
    let before = DEADLINE.replace(Instant::now().checked_add(limit));
    let read = read();
    DEADLINE.set(before);
    read
}

/// Makes the transports of another connector watched.
#[derive(Debug)]
pub(super) struct Watching<C>(pub(super) C);

impl<C: Connector> Connector for Watching<C> {
    type Out = Watched<C::Out>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        let made = self.0.connect(details, chained);
        // A proxy's answer is not the service's.
        begin();
        Ok(made?.map(|inner| Watched { inner, looking: false, refused: false, unread: false }))
    }
}

/// A connection that is watched.
#[derive(Debug)]
pub(super) struct Watched<T> {
    inner: T,
    /// Whether the first line of an answer is still to come.
    looking: bool,
    /// The answer came before the request was sent, and no more of it is.
    refused: bool,
    /// Its first bytes are there, and ureq does not know yet.
    unread: bool,
}

impl<T: Transport> Watched<T> {
    fn look(&mut self) {
        let (passed, line) = first_line(self.inner.buffers().input());
        if passed > 0 {
            self.inner.buffers().input_consume(passed);
        }
        match line {
            Line::Status(status) => {
                STATUS.set(Some(status));
                self.looking = false;
            }
            Line::Other => self.looking = false,
            Line::Unfinished => {}
        }
    }

    /// What a request that could not be sent to its end comes to: a refusal is read like any other answer.
    fn unsent(&mut self, error: Error) -> Result<(), Error> {
        let soon = NextTimeout { after: LAST_LOOK.into(), ..NextTimeout::default() };
        let came = self.inner.await_input(soon);
        self.look();
        if status().is_some_and(|status| status >= 400) {
            (self.refused, self.unread) = (true, true);
            return Ok(());
        }
        // It was not slow: nobody is there any more.
        Err(if matches!(came, Ok(false)) { io::Error::from(io::ErrorKind::BrokenPipe).into() } else { error })
    }
}

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.refused {
            return Ok(());
        }
        self.looking = true;
        self.inner.transmit_output(amount, timeout).or_else(|error| self.unsent(error))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if std::mem::take(&mut self.unread) {
            return Ok(true);
        }
        let came = self.inner.await_input(bounded(timeout)?)?;
        if self.looking {
            self.look();
        }
        // Nothing came for want of room, which is no end: the head is longer than is read of one.
        let buffers = self.inner.buffers();
        if !came && buffers.input_append_buf().is_empty() {
            let length = buffers.input().len();
            return Err(Error::LargeResponseHeader(length, length));
        }
        Ok(came)
    }

    fn is_open(&mut self) -> bool {
        !self.refused && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

fn bounded(mut timeout: NextTimeout) -> Result<NextTimeout, Error> {
    if let Some(deadline) = DEADLINE.get() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Timeout(Timeout::PerRead));
        }
        if timeout.after > left.into() {
            (timeout.after, timeout.reason) = (left.into(), Timeout::PerRead);
        }
    }
    Ok(timeout)
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// That of an answer, with its status.
    Status(u16),
    /// More has to come.
    Unfinished,
    /// No answer of HTTP.
    Other,
}

/// What the first line of the answer says, and how many bytes of heads with a 1xx come before it.
fn first_line(all: &[u8]) -> (usize, Line) {
    let mut input = all;
    loop {
        let passed = all.len() - input.len();
        let (line, rest) = one_line(input);
        match rest {
            Some(rest) => input = rest,
            None => return (passed, line),
        }
    }
}

/// The same for the first head alone; for a whole one with a 1xx, what comes after it.
fn one_line(mut input: &[u8]) -> (Line, Option<&[u8]>) {
    while let [b'\r' | b'\n', rest @ ..] = input {
        input = rest;
    }
    let start = b"HTTP/";
    if !input.starts_with(&start[..start.len().min(input.len())]) {
        return (Line::Other, None);
    }
    let Some(space) = input.iter().position(|b| b.is_ascii_whitespace()) else {
        return (if input.len() > 16 { Line::Other } else { Line::Unfinished }, None);
    };
    let status = match input.get(space + 1..space + 5) {
        None => return (Line::Unfinished, None),
        Some([a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ' | b'\r' | b'\n']) => {
            [a, b, c].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0'))
        }
        Some(_) => return (Line::Other, None),
    };
    if status >= 200 || status == 101 {
        return (Line::Status(status), None);
    }
    let end = input.windows(3).position(|w| w.ends_with(b"\n\n") || w == b"\n\r\n");
    (Line::Unfinished, end.and_then(|end| input.get(end + 3..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_off_the_first_line() {
        use Line::{Other, Status, Unfinished};
        let cases: [(&str, Line); 22] = [
            ("", Unfinished),
            ("\r\n\r\n", Unfinished),
            ("HT", Unfinished),
            ("HTTP/1.1", Unfinished),
            ("HTTP/1.1 2", Unfinished),
            ("HTTP/1.1 200", Unfinished),
            ("HTTP/1.1 200 ", Status(200)),
            ("HTTP/1.1 429\r\n", Status(429)),
            ("HTTP/1.0 503\n", Status(503)),
            ("HTTP/2 999 x", Status(999)),
            ("\r\nHTTP/1.1 200 OK", Status(200)),
            ("HTTP/1.1 101 Switching", Status(101)),
            ("HTTP/1.1 103 Early\r\n", Unfinished),
            ("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 404 N", Status(404)),
            ("HTTP/1.1 100 C\n\nHTTP/1.1 403 N", Status(403)),
            ("HTTP/1.1 100 C\r\n\r\n", Unfinished),
            ("HTTP/1.1 2000 OK", Other),
            ("HTTP/1.1 099 OK", Other),
            ("HTTP/1.1 20x OK", Other),
            ("HTTP/1.1  200 OK", Other),
            ("SSH-2.0-OpenSSH", Other),
            ("HTTP/1.1.1.1.1.1.1.1.1", Other),
        ];
        for (text, line) in cases {
            let (passed, found) = first_line(text.as_bytes());
            assert_eq!(found, line, "{text:?}");
            assert_eq!(
                passed > 0,
                text.contains("\n\nHTTP") || text.ends_with("C\r\n\r\n") || text.contains("E\r\n")
            );
            assert!(!text[passed..].contains(" 10") || passed == 0, "{text:?}");
        }
    }
}
