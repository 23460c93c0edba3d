//! One entry's data: read through a buffer, decoded and checked by the `zip` crate, counted and bounded here.
//!
//! The `zip` crate gets a local file header that says nothing but the method, and the sizes and the checksum of the
//! central directory as its documented overrides. The archive's own header was judged before and stays outside: what the
//! crate makes of extra fields and names changes with its releases.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};

use zip::read::{ZipReadOptions, read_zipfile_from_stream_with_options};

use crate::error::Result;
use crate::snapshot::archive::directory::Record;
use crate::snapshot::archive::fault::{Failure, Fault};
use crate::snapshot::archive::format::DEFLATE;
use crate::snapshot::source::Source;

/// What one read asks for at most. A bare file read in inflate's small steps costs three times the time.
const SPAN: usize = 256 << 10;

/// What takes an entry's content, piece by piece.
pub(super) type Out<'o> = &'o mut dyn FnMut(&[u8]) -> Result<()>;

/// Positioned reads through a buffer, so that neighbours cost one read; each worker has its own.
pub(super) struct Window<'s> {
    buffered: BufReader<Bounded<'s>>,
    /// The piece of content in the making.
    piece: Vec<u8>,
}

struct Bounded<'s> {
    source: &'s dyn Source,
    at: u64,
    until: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room = self.until.saturating_sub(self.at).min(out.len() as u64) as usize;
        let Some(out) = out.get_mut(..room).filter(|out| !out.is_empty()) else { return Ok(0) };
        loop {
            match self.source.read_at(self.at, out) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    let n = result?.min(room);
                    self.at += n as u64;
                    return Ok(n);
                }
            }
        }
    }
}

impl<'s> Window<'s> {
    pub(super) fn new(source: &'s dyn Source) -> Self {
        let buffered = BufReader::with_capacity(SPAN, Bounded { source, at: 0, until: 0 });
        Self { buffered, piece: vec![0; SPAN] }
    }

    /// Sets where reading ahead ends.
    pub(super) fn read_ahead_to(&mut self, until: u64) {
        self.buffered.get_mut().until = until;
    }

    /// Goes to `at`, where `len` bytes at least are wanted; what is in the buffer ahead is not read again.
    fn seek(&mut self, at: u64, len: u64) {
        let held = self.buffered.buffer().len();
        let bounded = self.buffered.get_mut();
        bounded.until = at.saturating_add(len).max(bounded.until);
        match at.checked_sub(bounded.at - held as u64).filter(|skip| *skip <= held as u64) {
            Some(skip) => self.buffered.consume(skip as usize),
            None => {
                bounded.at = at;
                self.buffered.consume(held);
            }
        }
    }

    /// Fills `buf` with the bytes at `at`.
    pub(super) fn read_exact(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.seek(at, buf.len() as u64);
        self.buffered.read_exact(buf)
    }

    /// Decodes an entry's data at `at` into `out`, in pieces of 256 KiB and a last, shorter one, which is given after everything
    /// has been checked: so is all of a small entry.
    ///
    /// # Errors
    /// What the source or `out` fails with, and whatever is wrong with the data.
    pub(super) fn unpack(&mut self, at: u64, record: &Record, out: Out<'_>) -> Result<(), Failure> {
        let Record { compressed, size, crc, method, .. } = *record;
        if compressed == 0 && size == 0 {
            return match crc {
                0 => Ok(()),
                _ => Err(Fault::corrupt("it is empty and its checksum is not that of nothing").into()),
            };
        }
        // A local file header that says the method and, by its flags, that sizes and checksum follow the data.
        let method_bytes = method.to_le_bytes();
        let header = [&b"PK\x03\x04\x14\0\x08\0"[..], &method_bytes, b"\0\0\x21\0", &[0; 16]].concat();
        // The crate's inflater reads from a buffer, asks for more only when that is empty, and ends without a word about
        // bytes behind its stream. Promised one byte more than there is, it asks for it exactly when it used all the others.
        let deflated = method == DEFLATE;
        let options = ZipReadOptions::new()
            .override_compressed_size(compressed.saturating_add(deflated.into()))
            .override_uncompressed_size(size)
            .override_crc(crc);
        self.seek(at, compressed);
        let state = State { left: compressed.into(), past_end: false.into(), error: None.into() };
        let mut feed = header.as_slice().chain(Feed { source: &mut self.buffered, state: &state });
        let result = match read_zipfile_from_stream_with_options(&mut feed, options) {
            Ok(Some(mut file)) => {
                let mut result = drain(&mut file, size, &mut self.piece, out);
                // The stream may have ended with the last byte of content: one more question shows that none are left.
                if result.is_ok() && deflated {
                    let _ = file.read(&mut [0; 1]);
                    if !state.past_end.get() {
                        result = Err(Fault::corrupt("bytes are left over after its data").into());
                    }
                }
                state.left.set(0);
                result
            }
            Ok(None) => Err(Fault::corrupt("its data cannot be read").into()),
            Err(e) => Err(damaged(&e)),
        };
        state.error.take().map_or(result, |e| Err(e.into()))
    }
}

/// An entry's data, as the `zip` crate reads it.
struct Feed<'f, R> {
    source: &'f mut R,
    state: &'f State,
}

/// What is learnt and told while the `zip` crate holds the feed.
struct State {
    /// Bytes that may still be read: none once the result is known, since dropping the `zip` crate's reader drains the feed.
    left: Cell<u64>,
    /// A byte after the last one was asked for.
    past_end: Cell<bool>,
    /// What the source failed with.
    error: Cell<Option<io::Error>>,
}

impl<R: Read> Read for Feed<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.state.left.get();
        if left == 0 {
            self.state.past_end.set(true);
            return Ok(0);
        }
        let room = left.min(out.len() as u64) as usize;
        let n = match self.source.read(out.get_mut(..room).unwrap_or_default()) {
            Ok(n) if n > 0 || room == 0 => n,
            ended => {
                let error = ended.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                self.state.error.set(Some(error));
                self.state.left.set(0);
                return Err(io::Error::other("the source failed"));
            }
        };
        self.state.left.set(left - n as u64);
        Ok(n)
    }
}

fn drain(file: &mut impl Read, size: u64, piece: &mut [u8], out: Out<'_>) -> Result<(), Failure> {
    let (mut total, mut ended) = (0, false);
    while !ended {
        let mut held = 0;
        while held < piece.len() && !ended {
            let n = file.read(piece.get_mut(held..).unwrap_or_default()).map_err(|e| damaged(&e))?;
            (held, ended) = (held + n, n == 0);
        }
        total += held as u64;
        if total > size {
            return Err(Fault::corrupt("it inflates to more than its size").into());
        }
        if ended && total < size {
            return Err(Fault::corrupt(format!("it has {total} bytes and should have {size}")).into());
        }
        out(piece.get(..held).unwrap_or_default()).map_err(Failure::Output)?;
    }
    Ok(())
}

fn damaged(e: &dyn std::error::Error) -> Failure {
    Fault::corrupt(format!("its data is damaged ({e})")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dribble(Vec<u8>);

    impl Source for Dribble {
        fn size(&self) -> io::Result<u64> {
            self.0.size()
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            let n = buf.len().min(1);
            self.0.read_at(offset, &mut buf[..n])
        }
    }

    #[test]
    fn a_window_gives_the_source_s_bytes_in_any_order() {
        let data: Vec<u8> = (0..=255).cycle().take(700_000).collect();
        let sources: [&dyn Source; 2] = [&data, &Dribble(data.clone())];
        for source in sources {
            let mut window = Window::new(source);
            for at in [0usize, 5, 300_000, 2, 699_990, 299_999, 300_005] {
                let len = 100.min(data.len() - at);
                let mut out = vec![0; len];
                window.read_ahead_to(at as u64 % 3 * 400_000);
                window.read_exact(at as u64, &mut out).unwrap();
                assert_eq!(out, &data[at..at + len]);
            }
            for at in [699_999, 800_000, u64::MAX] {
                assert!(window.read_exact(at, &mut [0; 2]).is_err());
            }
        }
    }

    fn unpacked(bytes: Vec<u8>, size: usize, crc: u32) -> Result<(), Failure> {
        let (compressed, size) = (bytes.len() as u64, size as u64);
        let record = Record { compressed, size, crc, method: DEFLATE, ..Record::default() };
        Window::new(&bytes).unpack(0, &record, &mut |_| Ok(()))
    }

    /// Holds the `zip` crate to what [`Window::unpack`] relies on: a byte behind a deflate stream is seen, wherever it ends.
    #[test]
    fn bytes_behind_a_deflate_stream_are_found() {
        // Stored blocks, so that the stream can end at any place in the crate's buffer of 8 KiB.
        for len in [1usize, 5, 8180, 8186, 8187, 8188, 20_000] {
            let content = vec![7; len];
            let mut stream = vec![1];
            stream.extend((len as u16).to_le_bytes());
            stream.extend((!(len as u16)).to_le_bytes());
            stream.extend(&content);
            let crc = crate::snapshot::archive::format::crc32_of_name(&content);
            for (more, fine) in [(0, true), (1, false), (10_000, false)] {
                let mut bytes = stream.clone();
                bytes.resize(stream.len() + more, 0);
                let result = unpacked(bytes, len, crc);
                assert_eq!(result.is_ok(), fine, "{len} {more}: {result:?}");
            }
            assert!(unpacked(stream, len, crc ^ 1).is_err());
        }
    }
}
