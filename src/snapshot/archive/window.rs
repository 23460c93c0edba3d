//! One reader's view of the source: positioned reads through a buffer of its own, so neighbours cost one read.

use std::io;

use crate::snapshot::source::Source;

/// What one read asks for at most. A bare file read in inflate's small steps costs three times the time.
pub(super) const SPAN: usize = 256 << 10;

/// A buffered view of `source`; each worker has its own.
pub(super) struct Window<'s, S: Source + ?Sized> {
    source: &'s S,
    /// No byte at or after this offset is read: the file's end, or nearer when only a part is wanted.
    until: u64,
    buf: Vec<u8>,
    start: u64,
    len: usize,
}

impl<'s, S: Source + ?Sized> Window<'s, S> {
    pub(super) fn new(source: &'s S, until: u64) -> Self {
        Self { source, until, buf: Vec::new(), start: 0, len: 0 }
    }

    /// Sets where reading ahead ends.
    pub(super) fn until(&mut self, until: u64) {
        self.until = until;
    }

    /// Whether these bytes are in the buffer.
    pub(super) fn has(&self, at: u64, len: usize) -> bool {
        self.held(at).is_some_and(|held| held.len() >= len)
    }

    fn held(&self, at: u64) -> Option<&[u8]> {
        let skip = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.buf.get(skip..self.len).filter(|held| !held.is_empty())
    }

    /// The `len` bytes at `at`; `len` is at most the window's span.
    ///
    /// # Errors
    /// What the source says, or `UnexpectedEof`.
    pub(super) fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        if !self.has(at, len) {
            self.fill(at, len)?;
        }
        let skip = usize::try_from(at.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.buf
            .get(skip..self.len)
            .and_then(|held| held.get(..len))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Makes the window begin at `at` and hold `len` bytes if there are so many.
    fn fill(&mut self, at: u64, len: usize) -> io::Result<()> {
        let ahead = usize::try_from(self.until.saturating_sub(at)).unwrap_or(usize::MAX).min(SPAN).max(len);
        // What is held already is kept: a short read must not be asked for twice.
        let kept = self.held(at).map_or(0, <[u8]>::len);
        self.buf.copy_within(self.len - kept..self.len, 0);
        (self.start, self.len) = (at, kept);
        if self.buf.len() < ahead {
            self.buf.resize(ahead, 0);
        }
        while self.len < len {
            let Some(room) = self.buf.get_mut(self.len..ahead) else { break };
            match read_some(self.source, at + self.len as u64, room)? {
                0 => break,
                n => self.len += n,
            }
        }
        Ok(())
    }

    /// Reads what comes at `at`, at least one byte unless the end is reached.
    pub(super) fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        if self.held(at).is_none() {
            if out.len() >= SPAN / 2 {
                return read_some(self.source, at, out);
            }
            self.fill(at, 1)?;
        }
        let Some(held) = self.held(at) else { return Ok(0) };
        let n = held.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..n), held.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}

/// One positioned read, again when interrupted; a source that claims more than it was asked for is cut.
fn read_some<S: Source + ?Sized>(source: &S, at: u64, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read_at(at, out) {
            Ok(n) => return Ok(n.min(out.len())),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Fills `out` from `at`.
///
/// # Errors
/// What the source says, or `UnexpectedEof`.
pub(super) fn read_exact<S: Source + ?Sized>(source: &S, at: u64, out: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while let Some(room) = out.get_mut(done..).filter(|room| !room.is_empty()) {
        match read_some(source, at + done as u64, room)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => done += n,
        }
    }
    Ok(())
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
            let mut window = Window::new(source, data.len() as u64);
            for at in [0usize, 5, 300_000, 2, 699_990, 299_999, 300_005] {
                let len = 100.min(data.len() - at);
                assert_eq!(window.bytes(at as u64, len).unwrap(), &data[at..at + len]);
                let mut out = [0; 7];
                let n = window.read(at as u64, &mut out).unwrap();
                assert_eq!(out[..n], data[at..at + n]);
            }
            assert!(window.bytes(699_999, 2).is_err());
            assert_eq!(window.read(700_000, &mut [0; 4]).unwrap(), 0);
            assert_eq!(window.read(u64::MAX, &mut [0; 4]).unwrap(), 0);
        }
    }
}
