//! Where an archive's bytes come from: a file, memory, or the snapshot host.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

/// Bytes that can be read at any offset, by several threads at once.
///
/// An `Archive` can be opened from any source. Implemented for [`File`], `[u8]`, `Vec<u8>`,
/// [`Remote`](crate::Remote), and `&S`, `Arc<S>` and `Box<S>` of a source `S`.
///
/// ```
/// use std::io::{self, Read};
/// use squarecloud_blocking::{Cursor, Source};
///
/// /// A snapshot in front of which something else is stored.
/// struct Behind<S>(S, u64);
///
/// impl<S: Source> Source for Behind<S> {
///     fn size(&self) -> io::Result<u64> {
///         Ok(self.0.size()?.saturating_sub(self.1))
///     }
///
///     fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
///         self.0.read_at(offset.saturating_add(self.1), buf)
///     }
/// }
///
/// let mut text = String::new();
/// Cursor::new(Behind(b"header, zip".to_vec(), 8)).read_to_string(&mut text)?;
/// assert_eq!(text, "zip");
/// # Ok::<(), io::Error>(())
/// ```
pub trait Source: Send + Sync {
    /// Returns the number of bytes.
    ///
    /// # Errors
    /// When the size cannot be found out, such as when the system does not return a file's metadata.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `buf.len()` bytes at `offset`; fewer may come, and 0 means the end.
    ///
    /// # Errors
    /// When reading fails. Callers retry a read that fails with [`io::ErrorKind::Interrupted`].
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Says which ranges will be read, in the order of their offsets, and returns a source that fetches them before they
    /// are read; `None`, the default, where that would save nothing, as it does for a file or for bytes in memory.
    ///
    /// Nothing is fetched before the first [`claim`](Prefetch::claim).
    fn prefetch(&self, ranges: &[Range<u64>]) -> Option<Box<dyn Prefetch + '_>> {
        let _ = ranges;
        None
    }
}

/// Ranges of a [`Source`] that are fetched before they are read; made by [`Source::prefetch`].
///
/// Each range is claimed, read from its beginning to its end, and finished, by any of several threads. What is read outside
/// of a claimed range, or a second time, is fetched by itself. A range that is claimed and never finished holds up those
/// behind it. Dropping it ends the fetching.
///
/// ```no_run
/// use std::io::{Read, Seek, SeekFrom};
/// use squarecloud_blocking::{Cursor, Source};
///
/// /// Reads parts of a snapshot as fast as the network is.
/// fn parts(source: &impl Source, ranges: &[std::ops::Range<u64>]) -> std::io::Result<Vec<u8>> {
///     let mut bytes = Vec::new();
///     if let Some(fetched) = source.prefetch(ranges) {
///         while let Some(number) = fetched.claim() {
///             let (start, end) = (ranges[number].start, ranges[number].end);
///             let mut cursor = Cursor::new(&*fetched);
///             cursor.seek(SeekFrom::Start(start))?;
///             cursor.take(end - start).read_to_end(&mut bytes)?;
///             fetched.finish(number);
///         }
///     }
///     Ok(bytes)
/// }
/// ```
pub trait Prefetch: Source {
    /// Returns the number of the next range, which is the caller's until it is finished; `None` after the last one.
    fn claim(&self) -> Option<usize>;

    /// Says that no more of a claimed range will be read.
    fn finish(&self, range: usize);

    /// Ends the fetching: reads that wait for it fail with [`Error::Cancelled`](crate::Error::Cancelled).
    fn stop(&self);
}

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buf, offset)
    }
}

impl Source for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let n = buf.len().min(self.len() - start);
        if let (Some(to), Some(from)) = (buf.get_mut(..n), self.get(start..start + n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        self.as_slice().size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(offset, buf)
    }
}

/// What points to a source is one.
macro_rules! pointer {
    ($($Pointer:ty),*) => {$(
        impl<S: Source + ?Sized> Source for $Pointer {
            fn size(&self) -> io::Result<u64> {
                (**self).size()
            }

            fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
                (**self).read_at(offset, buf)
            }

            fn prefetch(&self, ranges: &[Range<u64>]) -> Option<Box<dyn Prefetch + '_>> {
                (**self).prefetch(ranges)
            }
        }
    )*};
}
pointer!(&S, Box<S>, Arc<S>);

/// Fills `buf` from `offset`, or fails with `UnexpectedEof`.
pub(crate) fn read_exact_at<S: Source + ?Sized>(source: &S, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    Cursor { source, offset }.read_exact(buf)
}

/// A reader of a [`Source`] that implements [`Read`] and [`Seek`] by reading at an offset.
///
/// It has an offset of its own, so several cursors over one file can be used at once; a file that was
/// cloned with [`File::try_clone`] shares its offset.
///
/// ```
/// use std::io::{Read, Seek, SeekFrom};
/// use squarecloud_blocking::Cursor;
///
/// let mut cursor = Cursor::new(b"a snapshot".to_vec());
/// cursor.seek(SeekFrom::End(-4))?;
/// let mut end = String::new();
/// cursor.read_to_string(&mut end)?;
/// assert_eq!(end, "shot");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor<S> {
    source: S,
    offset: u64,
}

impl<S: Source> Cursor<S> {
    /// Returns a cursor at the first byte.
    pub fn new(source: S) -> Self {
        Self { source, offset: 0 }
    }

    /// Returns the source.
    pub fn into_inner(self) -> S {
        self.source
    }
}

impl<S: Source> Read for Cursor<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read_at(self.offset, buf)?.min(buf.len());
        self.offset = self.offset.saturating_add(n as u64);
        Ok(n)
    }
}

impl<S: Source> Seek for Cursor<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.offset.checked_add_signed(by),
            SeekFrom::End(by) => self.source.size()?.checked_add_signed(by),
        };
        self.offset =
            at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a seek to a negative or too large offset"))?;
        Ok(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_seeks_like_a_file() {
        let mut cursor = Cursor::new(b"0123456789".to_vec());
        let mut two = [0; 2];
        for (to, want) in [(SeekFrom::Start(3), b"34"), (SeekFrom::Current(-1), b"45"), (SeekFrom::End(-2), b"89")] {
            cursor.seek(to).unwrap();
            cursor.read_exact(&mut two).unwrap();
            assert_eq!(&two, want);
        }
        assert!(cursor.seek(SeekFrom::Current(-11)).is_err());
        assert_eq!(cursor.seek(SeekFrom::End(5)).unwrap(), 15);
        assert_eq!(cursor.read(&mut two).unwrap(), 0);
    }
}
