//! I/O. A snapshot's bytes without a file: in order, or at any offset.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use super::ends::Ends;
use super::range::{Ask, Verdict, Version};
use super::source::Source;
use super::stream::{Step, Stream};
use super::tries::ATTEMPTS;
use super::wire::{Opened, Wire};
use super::zipcheck::LAST;
use crate::error::Result;

/// What the first request of a [`Remote`] asks for: the end record and most directories lie in it.
const TAIL: u64 = 64 * 1024;
/// The largest snapshot that is taken into memory where ranges do not work.
const SMALL: u64 = 8 * 1024 * 1024;
/// How much is fetched for a read that does not go on where another one ended, and at most.
const WINDOW: (u64, u64) = (128 * 1024, 1024 * 1024);
/// How many windows are kept.
const WINDOWS: usize = 4;

/// A snapshot's bytes from the first to the last, as they come.
///
/// A broken connection is continued where it broke off, on the same object only. What does not begin like a zip
/// file (behind a program or a script, too) is an error at once, and what does not end like one is an error at its
/// end; nothing else is checked. Dropping it ends the transfer. Memory: about 1 MiB; pass buffers of 64 KiB and more.
///
/// Its errors carry an [`Error`](crate::Error) inside: [`io::Error::get_ref`] gives it.
pub struct RemoteReader {
    stream: Stream,
    ends: Ends,
    failed: bool,
}

impl RemoteReader {
    pub(crate) fn open(wire: Wire) -> Result<Self> {
        let mut stream = Stream::new(wire, Version::default(), 0, None, ATTEMPTS);
        while !matches!(stream.step(&mut [])?, Step::Opened | Step::End) {}
        Ok(Self { stream, ends: Ends::default(), failed: false })
    }

    /// The snapshot's length in bytes, when the snapshot host said it.
    pub fn total(&self) -> Option<u64> {
        self.stream.total()
    }

    fn step(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        let before = self.stream.at;
        match self.stream.step(buf)? {
            Step::Bytes(count) if count > 0 => {
                self.ends.add(buf.get(..count).unwrap_or_default());
                self.ends.begin().map_err(|why| self.stream.unfit(self.ends.first(), why))?;
                Ok(Some(count))
            }
            Step::End => {
                self.ends.end().map_err(|why| self.stream.unfit(self.ends.first(), why))?;
                Ok(Some(0))
            }
            Step::StartOver if before > 0 => {
                if let Some(why) = self.stream.why.take() {
                    return Err(why);
                }
                let problem = "the snapshot changed or cannot be continued, and a part of it has been read already; \
                               begin again";
                Err(self.stream.download_error(problem))
            }
            _ => Ok(None),
        }
    }
}

impl Read for RemoteReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("the transfer has failed before"));
        }
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match self.step(buf) {
                Ok(Some(count)) => return Ok(count),
                Ok(None) => {}
                Err(error) => {
                    self.failed = true;
                    return Err(io::Error::other(error));
                }
            }
        }
    }
}

impl fmt::Debug for RemoteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteReader").field("at", &self.stream.at).finish_non_exhaustive()
    }
}

/// A snapshot's bytes at any offset, fetched as they are asked for.
///
/// One request when it is made, which brings the length, the version and the last 64 KiB; then one for each
/// read that is not covered by what came before (128 KiB are fetched at least, up to 1 MiB when reads follow
/// each other). Every answer is checked to come from the same version. Memory: at most about 6 MiB. Reads
/// from several threads go over connections of their own.
///
/// Where the snapshot host does not serve ranges, a snapshot of up to 8 MiB is taken into memory.
pub struct Remote {
    wire: Wire,
    version: Version,
    size: u64,
    /// The last bytes, from `tail_at`.
    tail: Vec<u8>,
    tail_at: u64,
    /// What was fetched last, newest at the end.
    windows: Mutex<Vec<Arc<Window>>>,
}

struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn copy(&self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        copy_from(&self.bytes, self.start, offset, buf)
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Remote {
    pub(crate) fn open(wire: Wire) -> Result<Self> {
        let remote = |version, size, tail, tail_at| Self {
            wire: wire.clone(),
            version,
            size,
            tail,
            tail_at,
            windows: Mutex::new(Vec::new()),
        };
        let mut stream = Stream::new(wire.clone(), Version::default(), 0, None, ATTEMPTS);
        let opened = stream.ask_first(Ask::Tail(TAIL))?;
        let Opened { verdict, answer } = opened;
        let status = answer.status;
        let refuse = |problem: &'static str| wire.download_error(problem, Some(status));
        match verdict {
            Verdict::Part { start, end, version } if version.is_provable() => {
                stream.begin_span(start, end);
                stream.adopt(answer, version.clone(), Some(end - start));
                let tail = read_span(&mut stream, start, end)?;
                let remote = remote(version, end, tail, start);
                if whole(&stream, &remote.tail, start).is_err() {
                    // A comment may reach further back than the end that was fetched.
                    let from = end.saturating_sub(LAST as u64).min(start);
                    let mut last = if from < start { remote.fetch(from, start)? } else { Vec::new() };
                    last.extend_from_slice(&remote.tail);
                    whole(&stream, &last, from)?;
                }
                Ok(remote)
            }
            Verdict::Part { version, .. } if version.total.is_some_and(|total| total <= SMALL) => {
                let mut stream = Stream::new(wire.clone(), Version::default(), 0, None, ATTEMPTS);
                let bytes = read_all(&mut stream)?;
                whole(&stream, &bytes, 0)?;
                Ok(remote(Version::default(), bytes.len() as u64, bytes, 0))
            }
            Verdict::Part { .. } => Err(refuse(
                "the snapshot host does not say which version its answers belong to, so that reads at different \
                 offsets might mix two; download it instead",
            )),
            Verdict::Whole(version) if version.total.is_none_or(|total| total <= SMALL) => {
                let left = version.total;
                stream.adopt(answer, version, left);
                let bytes = read_all(&mut stream)?;
                whole(&stream, &bytes, 0)?;
                Ok(remote(Version::default(), bytes.len() as u64, bytes, 0))
            }
            Verdict::Whole(_) => Err(refuse(
                "the snapshot host does not serve ranges, and the snapshot is too large to be read as a whole; \
                 download it instead",
            )),
            Verdict::Empty(None | Some(0)) => Err(wire.wrong(answer, "the snapshot is empty".into())),
            Verdict::Wrong(problem) => Err(wire.wrong(answer, problem)),
            Verdict::StartOver(problem) => Err(wire.wrong(answer, problem.into())),
            Verdict::Empty(_) | Verdict::Busy => {
                Err(wire
                    .wrong(answer, "the snapshot host could not serve the snapshot's end; try again".into()))
            }
        }
    }

    /// Bytes `start..end`, over a connection of its own.
    fn fetch(&self, start: u64, end: u64) -> Result<Vec<u8>> {
        let mut stream = Stream::new(self.wire.clone(), self.version.clone(), start, Some(end), ATTEMPTS);
        read_span(&mut stream, start, end)
    }

    fn cached(&self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        if let Some(count) = copy_from(&self.tail, self.tail_at, offset, buf) {
            return Some(count);
        }
        let windows = self.windows.lock().ok()?;
        windows.iter().rev().find_map(|window| window.copy(offset, buf))
    }

    /// Where the window for a read at `offset` ends.
    fn window_end(&self, offset: u64, wanted: u64) -> u64 {
        let before = self.windows.lock().ok().and_then(|windows| {
            windows.iter().rev().find(|w| w.end() == offset).map(|w| w.bytes.len() as u64)
        });
        let length = before
            .map_or(WINDOW.0, |length| (length * 2).clamp(WINDOW.0, WINDOW.1))
            .max(wanted.min(WINDOW.1));
        offset.saturating_add(length).min(self.tail_at.max(offset + 1)).min(self.size)
    }
}

impl Source for Remote {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || offset >= self.size {
            return Ok(0);
        }
        if let Some(count) = self.cached(offset, buf) {
            return Ok(count);
        }
        let end = self.window_end(offset, buf.len() as u64);
        let bytes = self.fetch(offset, end).map_err(io::Error::other)?;
        let window = Window { start: offset, bytes };
        let count = window.copy(offset, buf).unwrap_or(0);
        if let Ok(mut windows) = self.windows.lock() {
            // The window this one continues has served its time.
            windows.retain(|w| w.end() != offset);
            if windows.len() >= WINDOWS {
                windows.remove(0);
            }
            windows.push(Arc::new(window));
        }
        Ok(count)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("url", &self.wire.url)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

fn copy_from(bytes: &[u8], start: u64, offset: u64, buf: &mut [u8]) -> Option<usize> {
    let skip = usize::try_from(offset.checked_sub(start)?).ok()?;
    let there = bytes.get(skip..).filter(|rest| !rest.is_empty())?;
    let count = there.len().min(buf.len());
    buf.get_mut(..count)?.copy_from_slice(there.get(..count)?);
    Some(count)
}

fn read_span(stream: &mut Stream, start: u64, end: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(end - start).unwrap_or(0);
    let mut bytes = vec![0; length];
    let mut filled = 0;
    loop {
        // One byte of room at the end lets the stream see its end.
        let mut spare = [0; 1];
        let room = match bytes.get_mut(filled..) {
            Some(room) if !room.is_empty() => room,
            _ => &mut spare,
        };
        match stream.step(room)? {
            Step::Bytes(count) => filled += count,
            Step::StartOver => {
                return Err(stream.download_error(
                    "the snapshot changed while it was being read, or the host stopped serving ranges; open it again",
                ));
            }
            Step::End => return Ok(bytes),
            Step::Opened | Step::Broke => {}
        }
    }
}

/// Refuses what does not end like a snapshot; `tail` begins at `start`.
fn whole(stream: &Stream, tail: &[u8], start: u64) -> Result<()> {
    let ends = Ends::of(tail, start);
    ends.end().map_err(|why| stream.unfit(ends.first(), why))
}

fn read_all(stream: &mut Stream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.step(&mut buffer)? {
            Step::Bytes(count) => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Step::StartOver => bytes.clear(),
            Step::End => return Ok(bytes),
            Step::Opened | Step::Broke => {}
        }
        if bytes.len() as u64 > SMALL {
            return Err(stream.download_error(
                "the snapshot host does not serve ranges, and the snapshot is too large to be read as a whole; \
                 download it instead",
            ));
        }
    }
}
