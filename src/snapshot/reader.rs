//! I/O. A snapshot's bytes in order, without a file.

use std::fmt;
use std::io::{self, Read};

use super::archive::{LAST, check_end};
use super::location::{EXCERPT, Location};
use super::range::{Object, Range};
use super::stream::{Step, Stream};
use crate::error::Result;

/// A reader of a snapshot's bytes in order, as they arrive.
///
/// When the connection breaks off, the reader continues where it was, provided that the host still has the same
/// snapshot. At the end, it checks what the first and the last bytes tell of a zip archive: that it is whole and not
/// another's part. Dropping it ends the transfer. It takes about 1 MiB of memory; read into buffers of at least 64 KiB.
///
/// Its errors contain an [`Error`](crate::Error): `io_error.downcast::<Error>()` returns it.
pub struct RemoteReader {
    stream: Stream,
    /// The first bytes: [`EXCERPT`].
    first: Vec<u8>,
    /// The last bytes: [`LAST`], and at times some more.
    last: Vec<u8>,
    failed: bool,
}

impl RemoteReader {
    pub(crate) fn open(location: Location) -> Result<Self> {
        let mut stream = Stream::new(location, Object::default(), Range::Whole);
        while !stream.is_open() {
            stream.step_or_sleep(&mut [])?;
        }
        Ok(Self { stream, first: Vec::new(), last: Vec::new(), failed: false })
    }

    /// Returns the snapshot's length in bytes, if the snapshot host sent it.
    pub fn total(&self) -> Option<u64> {
        self.stream.object.total
    }

    fn step(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        let before = self.stream.at;
        match self.stream.step_or_sleep(buf)? {
            Step::Bytes(count) if count > 0 => {
                self.note(buf.get(..count).unwrap_or_default());
                Ok(Some(count))
            }
            Step::End => {
                check_end(&self.first, &self.last, self.stream.at)
                    .map_err(|why| self.stream.location.not_an_archive(&self.first, why, self.stream.status))?;
                Ok(Some(0))
            }
            Step::StartOver if before > 0 => Err(self.stream.failure.take().unwrap_or_else(|| {
                self.stream.error(
                    "the snapshot changed or cannot be continued, and part of it has already been read; start again",
                )
            })),
            _ => Ok(None),
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let room = EXCERPT.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if self.last.len() + bytes.len() > 2 * LAST {
            self.last.drain(..self.last.len().saturating_sub(LAST.saturating_sub(bytes.len())));
        }
        self.last.extend_from_slice(bytes.get(bytes.len().saturating_sub(LAST)..).unwrap_or_default());
    }
}

impl Read for RemoteReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("the transfer has already failed"));
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
                    return Err(error.into());
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
