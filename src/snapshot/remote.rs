//! I/O. A snapshot's bytes at any offset, without a file.

use std::fmt;
use std::io;
use std::ops;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::archive::{LAST, check_end};
use super::location::Location;
use super::prefetch::{CHANGED, CONNECTIONS, Fetched};
use super::range::{Object, Range};
use super::source::{Prefetch, Source};
use super::spans::pieces;
use super::stream::{Step, Stream};
use crate::error::Result;

/// The largest snapshot that is taken into memory where ranges do not work.
const SMALL: u64 = 8 * 1024 * 1024;
/// How much more is fetched than a read asks for, since small files have neighbours, and how much at most.
const MORE: u64 = 14 * 1024;
const WINDOW: u64 = 1024 * 1024;
/// A range of up to so many bytes is one read of an archive, and nothing is gained by fetching it ahead.
const ONE_READ: u64 = 256 * 1024;
/// How many windows are kept.
const WINDOWS: usize = 4;

/// A snapshot's bytes at any offset, fetched when they are read, or before.
///
/// Opening it sends one request, for the length, the version and the last 66 KiB. After that, each read that earlier
/// ones do not cover sends one request (for 14 KiB more, or up to 1 MiB when reads follow each other; a larger read is one
/// request, too). Every response is checked to come from the same version. It takes at most about 6 MiB of memory. Reads
/// from several threads use a connection each.
///
/// Who knows what will be read says so with [`prefetch`](Source::prefetch), as an `Archive` does: the ranges
/// are fetched in requests of up to 8 MiB, over up to four connections, at most 24 MiB ahead of the reads. Gaps of up to
/// 256 KiB between them are fetched, too, as long as they are few.
///
/// When the snapshot host does not serve ranges, a snapshot of up to 8 MiB is held in memory.
pub struct Remote {
    location: Location,
    object: Object,
    /// The last bytes: the end of central directory record and most central directories lie there.
    end: Window,
    /// What was fetched last, the newest at the end.
    windows: Mutex<Vec<Window>>,
}

struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn copy(&self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        let skip = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(skip..).filter(|bytes| !bytes.is_empty())?;
        let count = bytes.len().min(buf.len());
        buf.get_mut(..count)?.copy_from_slice(bytes.get(..count)?);
        Some(count)
    }
}

impl Remote {
    pub(crate) fn open(location: Location) -> Result<Self> {
        // One agent for all requests, so that they find each other's connections.
        let agent = location.agent.over(CONNECTIONS);
        let location = Location { agent, traffic: Arc::default(), ..location };
        let range = Range::Last(LAST as u64);
        let mut stream = Stream::new(location.clone(), Object::default(), range);
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            match stream.step_or_sleep(&mut buffer)? {
                Step::Bytes(count) => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Step::StartOver => bytes.clear(),
                Step::End => break,
                Step::Opened | Step::Retry(_) => {}
            }
            let whole = stream.at == bytes.len() as u64;
            if whole && stream.object.total.unwrap_or(0).max(stream.at) > SMALL {
                return Err(stream.error(
                    "the snapshot host does not serve ranges, or does not say which version they belong to, and the \
                     snapshot is too large to be read as a whole; download it instead",
                ));
            }
        }
        let end = Window { start: stream.at - bytes.len() as u64, bytes };
        let first = if end.start == 0 { &end.bytes } else { &b"PK"[..] };
        check_end(&[], &end.bytes, stream.at).map_err(|why| location.not_an_archive(first, why, stream.status))?;
        Ok(Self { location, object: stream.object, end, windows: Mutex::new(Vec::new()) })
    }

    /// Returns what this source has cost so far, the opening included.
    ///
    /// ```no_run
    /// # let snapshot = squarecloud_blocking::Client::from_env()?.snapshot("0123456789abcdef0123456789abcdef")?;
    /// # #[cfg(feature = "zip")] {
    /// let archive = snapshot.archive()?;
    /// let config = archive.read("squarecloud.app")?;
    /// let stats = archive.source().stats();
    /// println!("{} bytes in {} requests", stats.bytes, stats.requests);
    /// # }
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    pub fn stats(&self) -> RemoteStats {
        let traffic = &self.location.traffic;
        let (requests, bytes) = (traffic.requests.load(Ordering::Relaxed), traffic.bytes.load(Ordering::Relaxed));
        RemoteStats { requests, bytes }
    }

    /// Fills `bytes` from `start`, over a connection of its own.
    fn fetch(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        let range = Range::Span(start, start + bytes.len() as u64);
        let mut stream = Stream::new(self.location.clone(), self.object.clone(), range);
        // A byte more, so that the stream can see its end.
        let mut more = [0; 1];
        loop {
            let filled = usize::try_from(stream.at - start).unwrap_or(usize::MAX);
            let room = bytes.get_mut(filled..).filter(|room| !room.is_empty()).unwrap_or(&mut more);
            match stream.step_or_sleep(room)? {
                Step::End => return Ok(()),
                Step::StartOver => return Err(stream.error(CHANGED)),
                Step::Opened | Step::Bytes(_) | Step::Retry(_) => {}
            }
        }
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, Vec<Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the window for a read at `offset` is: four times as long as the one that it continues.
    fn window_len(&self, offset: u64, wanted: u64) -> u64 {
        let windows = self.windows();
        let before = windows.iter().rev().find(|w| w.end() == offset).map_or(0, |w| w.bytes.len() as u64);
        (before * 4).max(wanted + MORE).min(WINDOW).min(self.end.start - offset)
    }
}

impl Source for Remote {
    fn size(&self) -> io::Result<u64> {
        Ok(self.end.end())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || offset >= self.end.end() {
            return Ok(0);
        }
        let cached = self.windows().iter().rev().find_map(|window| window.copy(offset, buf));
        if let Some(count) = cached.or_else(|| self.end.copy(offset, buf)) {
            return Ok(count);
        }
        let room = usize::try_from(self.end.start - offset).unwrap_or(usize::MAX).min(buf.len());
        if let Some(large) = buf.get_mut(..room).filter(|room| room.len() as u64 >= WINDOW) {
            return Ok(self.fetch(offset, large).map(|()| room)?);
        }
        let length = usize::try_from(self.window_len(offset, room as u64)).unwrap_or(0);
        let mut window = Window { start: offset, bytes: vec![0; length] };
        self.fetch(offset, &mut window.bytes)?;
        let count = window.copy(offset, buf).unwrap_or(0);
        let mut windows = self.windows();
        // The window that this one continues is no longer needed.
        windows.retain(|w| w.end() != offset);
        if windows.len() >= WINDOWS {
            windows.remove(0);
        }
        windows.push(window);
        Ok(count)
    }

    fn prefetch(&self, ranges: &[ops::Range<u64>]) -> Option<Box<dyn Prefetch + '_>> {
        let pieces = pieces(ranges, self.end.start);
        let bytes: u64 = pieces.iter().map(|piece| piece.end - piece.start).sum();
        if bytes == 0 || (ranges.len() == 1 && bytes <= ONE_READ) {
            return None;
        }
        Some(Box::new(Fetched::new(self, &self.location, &self.object, ranges, pieces)))
    }
}

/// What a [`Remote`] has cost: [`Remote::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteStats {
    /// Requests sent, those that failed included; one with all its redirects counts once.
    pub requests: u64,
    /// Bytes received of response bodies.
    pub bytes: u64,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("size", &self.end.end()).finish_non_exhaustive()
    }
}
