//! Writing an answer to the connection, well or badly.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::fault::{BadChunk, End};
use super::http::{Answer, Stream, reason};

/// The size of one write of a large body.
const PIECE: usize = 256 << 10;
/// Below this head and body go out in one write.
const SMALL: usize = 64 << 10;

/// Wakes everything that waits when the sandbox stops.
#[derive(Debug, Default)]
pub struct Stop {
    stopped: Mutex<bool>,
    bell: Condvar,
}

impl Stop {
    pub fn set(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    pub fn is_set(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps; an error when the sandbox stops meanwhile.
    pub fn sleep(&self, time: Duration) -> io::Result<()> {
        if time.is_zero() {
            return Ok(());
        }
        let guard = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.bell.wait_timeout_while(guard, time, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *stopped { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// How the end of the body is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    Length,
    /// `Content-Length` is off by so much.
    Off(i64),
    LengthText(&'static str),
    TwoLengths,
    Chunked(usize),
    BadChunks(BadChunk),
    UntilClose,
}

/// What happens to the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Keep,
    /// `Connection: close`.
    Close,
    /// Closed in silence.
    Stale,
    /// To be closed with RST.
    Reset,
}

/// An answer and the way it is to be written.
#[derive(Debug)]
pub struct Output {
    pub answer: Answer,
    /// The answer to a HEAD: no body.
    pub head_only: bool,
    pub version: &'static str,
    /// Before the head: 1xx answers.
    pub preface: Vec<u8>,
    /// Raw header lines.
    pub lines: Vec<u8>,
    pub framing: Framing,
    /// After the body.
    pub extra: Vec<u8>,
    /// Repeated after the body without end.
    pub endless: Option<&'static [u8]>,
    /// Instead of everything.
    pub garbage: Option<Vec<u8>>,
    pub delay: Duration,
    pub slow_head: Option<Duration>,
    pub pieces: Option<(usize, Duration)>,
    pub bandwidth: Option<u64>,
    pub before: Option<End>,
    pub in_head: Option<(usize, End)>,
    pub in_body: Option<(u64, End)>,
    pub after: After,
}

impl Output {
    pub fn new(answer: Answer, head_only: bool, keep: bool) -> Self {
        Self {
            answer,
            head_only,
            version: "HTTP/1.1",
            preface: Vec::new(),
            lines: Vec::new(),
            framing: Framing::Length,
            extra: Vec::new(),
            endless: None,
            garbage: None,
            delay: Duration::ZERO,
            slow_head: None,
            pieces: None,
            bandwidth: None,
            before: None,
            in_head: None,
            in_body: None,
            after: if keep { After::Keep } else { After::Close },
        }
    }

    fn bodyless(&self) -> bool {
        self.head_only || matches!(self.answer.status, 100..=199 | 204 | 304)
    }

    /// The head's bytes, with what came before it.
    fn head(&self) -> Vec<u8> {
        let mut out = self.preface.clone();
        let status = self.answer.status;
        out.extend_from_slice(format!("{} {status} {}\r\n", self.version, reason(status)).as_bytes());
        for (name, value) in &self.answer.headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let length = self.answer.body.len() as i64;
        let framing = match &self.framing {
            _ if self.bodyless() && !self.head_only => String::new(),
            Framing::Length => format!("Content-Length: {length}\r\n"),
            Framing::Off(by) => format!("Content-Length: {}\r\n", length + by),
            Framing::LengthText(text) => format!("Content-Length: {text}\r\n"),
            Framing::TwoLengths => format!("Content-Length: {length}\r\nContent-Length: {}\r\n", length + 7),
            Framing::Chunked(_) | Framing::BadChunks(_) => "Transfer-Encoding: chunked\r\n".into(),
            Framing::UntilClose => String::new(),
        };
        out.extend_from_slice(framing.as_bytes());
        out.extend_from_slice(&self.lines);
        let connection: &[u8] = if self.after == After::Close { b"Connection: close\r\n\r\n" } else { b"\r\n" };
        out.extend_from_slice(connection);
        out
    }

    /// The body as framed; `None` when the answer's own bytes go out as they are.
    fn framed(&self) -> Option<Vec<u8>> {
        let body = self.answer.body.bytes();
        let size = match self.framing {
            Framing::Chunked(size) => size.max(1),
            Framing::BadChunks(_) => body.len().div_ceil(2).max(1),
            _ => return None,
        };
        let bad = if let Framing::BadChunks(bad) = self.framing { Some(bad) } else { None };
        let mut out = Vec::with_capacity(body.len() + 64);
        for (i, chunk) in body.chunks(size).enumerate() {
            let line = match bad {
                Some(BadChunk::Size) if i == 1 => "zz\r\n".to_string(),
                Some(BadChunk::Huge) if i == 1 => "1ffffffffffffffff0\r\n".to_string(),
                _ => format!("{:x}\r\n", chunk.len()),
            };
            out.extend_from_slice(line.as_bytes());
            if bad == Some(BadChunk::Cut) && i == 1 {
                out.extend_from_slice(&chunk[..chunk.len() / 2]);
                return Some(out);
            }
            out.extend_from_slice(chunk);
            if bad != Some(BadChunk::NoCrlf) {
                out.extend_from_slice(b"\r\n");
            }
        }
        if bad != Some(BadChunk::NoEnd) {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        Some(out)
    }

    /// Whether the connection cannot be used after this answer, whatever was said.
    fn breaks_off(&self) -> bool {
        let framing = match self.framing {
            Framing::Off(by) => by > 0,
            Framing::UntilClose | Framing::BadChunks(_) => true,
            Framing::LengthText(_) | Framing::TwoLengths => true,
            Framing::Length | Framing::Chunked(_) => false,
        };
        framing || !self.extra.is_empty()
    }

    /// Writes it all; says what becomes of the connection.
    pub fn write(self, stream: &mut Stream, stop: &Stop) -> io::Result<After> {
        stop.sleep(self.delay)?;
        if let Some(end) = self.before {
            return Ok(finish(end, stream, stop));
        }
        if let Some(garbage) = &self.garbage {
            stream.write_all(garbage)?;
            stream.flush()?;
            return Ok(After::Close);
        }
        let mut head = self.head();
        if let Some((at, end)) = self.in_head {
            head.truncate(at);
            stream.write_all(&head)?;
            stream.flush()?;
            return Ok(finish(end, stream, stop));
        }
        if let Some(pause) = self.slow_head {
            for byte in head.drain(..) {
                stream.write_all(&[byte])?;
                stream.flush()?;
                stop.sleep(pause)?;
            }
        }
        let framed = self.framed();
        let body: &[u8] = match &framed {
            _ if self.bodyless() => &[],
            Some(bytes) => bytes,
            None => self.answer.body.bytes(),
        };
        let plain = self.pieces.is_none() && self.bandwidth.is_none() && self.in_body.is_none();
        if plain && body.len() + self.extra.len() <= SMALL {
            head.extend_from_slice(body);
            head.extend_from_slice(&self.extra);
            stream.write_all(&head)?;
        } else {
            stream.write_all(&head)?;
            let cut = self.in_body.map_or(body.len(), |(at, _)| body.len().min(at as usize));
            self.pour(stream, stop, &body[..cut])?;
            if let Some((_, end)) = self.in_body {
                stream.flush()?;
                return Ok(finish(end, stream, stop));
            }
            stream.write_all(&self.extra)?;
        }
        stream.flush()?;
        if let Some(text) = self.endless {
            let block = text.repeat(PIECE / text.len());
            loop {
                stream.write_all(&block)?;
                stop.sleep(Duration::ZERO)?;
            }
        }
        Ok(if self.breaks_off() && self.after == After::Keep { After::Stale } else { self.after })
    }

    /// Writes `body` at the pace asked for.
    fn pour(&self, stream: &mut Stream, stop: &Stop, body: &[u8]) -> io::Result<()> {
        let (size, pause) = match (self.pieces, self.bandwidth) {
            (Some((size, pause)), _) => (size.max(1), pause),
            // About fifty pieces a second: even, and cheap.
            (None, Some(rate)) => ((rate as usize / 50).clamp(1, PIECE), Duration::ZERO),
            (None, None) => (PIECE, Duration::ZERO),
        };
        let (start, mut sent) = (Instant::now(), 0u64);
        for piece in body.chunks(size) {
            sent += piece.len() as u64;
            if let Some(rate) = self.bandwidth {
                // Before the write: the last byte is due last.
                let due = Duration::from_secs_f64(sent as f64 / rate.max(1) as f64);
                stop.sleep(due.saturating_sub(start.elapsed()))?;
            }
            stream.write_all(piece)?;
            if self.pieces.is_some() {
                stream.flush()?;
                stop.sleep(pause)?;
            }
        }
        Ok(())
    }
}

/// Ends the connection so.
pub fn finish(end: End, stream: &mut Stream, stop: &Stop) -> After {
    match end {
        End::Close => {
            // Below TLS: a cut line says no goodbye.
            let _ = stream.socket().shutdown(std::net::Shutdown::Both);
            After::Stale
        }
        End::Reset => After::Reset,
        End::Stall => {
            stall(stream, stop);
            After::Stale
        }
    }
}

/// Says nothing more until the client hangs up or the sandbox stops.
fn stall(stream: &Stream, stop: &Stop) {
    let socket = stream.socket();
    let _ = socket.set_nonblocking(true);
    let mut byte = [0];
    while stop.sleep(Duration::from_millis(5)).is_ok() {
        match socket.peek(&mut byte) {
            Ok(0) => break,
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => break,
            // Bytes that wait hide the close behind them; what is not read holds nobody up.
            Ok(_) | Err(_) => {}
        }
    }
    let _ = socket.set_nonblocking(false);
}
