//! PURE. Whether bytes have the structure of a whole zip archive (APPNOTE 6.3.10, sections 4.3.7 to 4.3.16).
//!
//! Independent of the feature `zip`: every download is checked. What it finds: a cut archive, one with bytes
//! after its end, a page or an error document in an archive's place, and a directory that does not fit.

use std::io;

use super::source::Source;

/// End of central directory record, without its comment.
const END: u64 = 22;
/// Zip64 end of central directory locator.
const LOCATOR: u64 = 20;
/// Zip64 end of central directory record, as far as it is fixed.
const END64: u64 = 56;
/// Central directory header, as far as it is fixed.
const HEADER: usize = 46;
/// How much of the directory is read at once.
const WINDOW: usize = 64 * 1024;

/// Where the central directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Directory {
    offset: u64,
    size: u64,
    entries: u64,
}

/// `Ok(Err(why))` when `source` is no whole zip archive. Reads its end and its directory, in pieces of 64 KiB.
pub(crate) fn check(source: &impl Source) -> io::Result<Result<(), &'static str>> {
    let size = source.size()?;
    if size < END {
        return Ok(Err("it is shorter than the shortest zip archive"));
    }
    let tail_len = size.min(END + 0xffff) as usize;
    let mut tail = vec![0; tail_len];
    let tail_at = size - tail_len as u64;
    read_exact_at(source, tail_at, &mut tail)?;
    let Some(end) = find_end(&tail) else {
        return Ok(Err("it does not end like a zip archive"));
    };
    let end_at = tail_at + end as u64;
    let (directory, limit) = match directory(source, &tail, end, end_at)? {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    if directory.offset.checked_add(directory.size).is_none_or(|stop| stop > limit) {
        return Ok(Err("its directory is said to lie outside of it"));
    }
    if directory.entries == 0 && directory.offset + directory.size != limit {
        // The end of an archive without entries that is stored in this one, and this one is cut there.
        return Ok(Err("it has no directory"));
    }
    walk(source, directory)
}

/// How many of the last bytes [`check_end`] wants to see, if there are as many.
pub(crate) const LAST: usize = END as usize + 0xffff;

/// The same as far as the last bytes alone tell: `tail` are those of `size` in all.
pub(crate) fn check_end(tail: &[u8], size: u64) -> Result<(), &'static str> {
    let Some(end) = find_end(tail) else {
        return Err("it does not end like a zip archive");
    };
    let end_at = size - (tail.len() - end) as u64;
    let long = |at| u64::from(u32_at(tail, end + at).unwrap_or(0));
    let wide = [12, 16].iter().any(|at| long(*at) == u64::from(u32::MAX));
    if !wide && long(12) + long(16) > end_at {
        return Err("its directory is said to lie outside of it");
    }
    Ok(())
}

/// The end record whose comment reaches exactly to the end.
fn find_end(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(END as usize)?;
    (0..=last).rev().find(|&at| {
        tail.get(at..at + 4) == Some(b"PK\x05\x06")
            && u16_at(tail, at + 20)
                .is_some_and(|comment| at + END as usize + usize::from(comment) == tail.len())
    })
}

/// The directory, and where it must have ended.
fn directory(
    source: &impl Source,
    tail: &[u8],
    end: usize,
    end_at: u64,
) -> io::Result<Result<(Directory, u64), &'static str>> {
    let short = |at| u16_at(tail, end + at).unwrap_or(0);
    let long = |at| u32_at(tail, end + at).unwrap_or(0);
    let plain = Directory { offset: long(16).into(), size: long(12).into(), entries: short(10).into() };
    let saturated = short(10) == 0xffff || long(12) == u32::MAX || long(16) == u32::MAX;
    let mut locator = [0; LOCATOR as usize];
    let has_locator = match end_at.checked_sub(LOCATOR) {
        Some(at) => {
            read_exact_at(source, at, &mut locator)?;
            locator.starts_with(b"PK\x06\x07")
        }
        None => false,
    };
    if !has_locator {
        return Ok(match () {
            () if saturated && (long(12) == u32::MAX || long(16) == u32::MAX) => {
                Err("its zip64 end record is missing")
            }
            () if short(4) != 0 || short(6) != 0 || short(8) != short(10) => {
                Err("it is one part of an archive in several parts")
            }
            () => Ok((plain, end_at)),
        });
    }
    let at = u64_at(&locator, 8).unwrap_or(0);
    if at.checked_add(END64).is_none_or(|stop| stop > end_at - LOCATOR) {
        return Ok(Err("its zip64 end record is said to lie outside of it"));
    }
    let mut record = [0; END64 as usize];
    read_exact_at(source, at, &mut record)?;
    if !record.starts_with(b"PK\x06\x06") {
        return Ok(Err("its zip64 end record is damaged"));
    }
    let wide = |at| u64_at(&record, at).unwrap_or(0);
    Ok(Ok((Directory { offset: wide(48), size: wide(40), entries: wide(32) }, at)))
}

/// Follows the directory from header to header.
fn walk(source: &impl Source, directory: Directory) -> io::Result<Result<(), &'static str>> {
    let mut window = Window { source, at: 0, bytes: Vec::new() };
    let stop = directory.offset + directory.size;
    let mut at = directory.offset;
    let mut entries = 0u64;
    while at < stop {
        let Some(header) = window.header(at, stop)? else {
            return Ok(Err("its directory is damaged"));
        };
        let lengths = [28, 30, 32].map(|field| u64::from(u16_at(header, field).unwrap_or(0)));
        let local = u32_at(header, 42).unwrap_or(0);
        if local != u32::MAX && u64::from(local) >= directory.offset {
            return Ok(Err("its directory names entries outside of it"));
        }
        at += HEADER as u64 + lengths.iter().sum::<u64>();
        entries += 1;
    }
    Ok(if at != stop || entries != directory.entries {
        Err("its directory holds another number of entries than its end record says")
    } else {
        Ok(())
    })
}

struct Window<'a, S> {
    source: &'a S,
    at: u64,
    bytes: Vec<u8>,
}

impl<S: Source> Window<'_, S> {
    /// The fixed part of the directory header at `at`.
    fn header(&mut self, at: u64, stop: u64) -> io::Result<Option<&[u8]>> {
        if at + HEADER as u64 > stop {
            return Ok(None);
        }
        let inside = at >= self.at && at + HEADER as u64 <= self.at + self.bytes.len() as u64;
        if !inside {
            self.bytes.resize((stop - at).min(WINDOW as u64) as usize, 0);
            self.at = at;
            read_exact_at(self.source, at, &mut self.bytes)?;
        }
        let from = (at - self.at) as usize;
        Ok(self.bytes.get(from..from + HEADER).filter(|h| h.starts_with(b"PK\x01\x02")))
    }
}

/// Fills `buf` from `offset`, or fails with `UnexpectedEof`.
pub(crate) fn read_exact_at(source: &impl Source, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
    while !buf.is_empty() {
        match source.read_at(offset, buf) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                offset += count as u64;
                buf = buf.get_mut(count..).unwrap_or_default();
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes_at(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn archive(files: usize, comment: &str, zip64: bool) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().large_file(zip64);
        for n in 0..files {
            zip.start_file(format!("dir/file-{n}.txt"), options).unwrap();
            zip.write_all(format!("content {n}").repeat(n % 7).as_bytes()).unwrap();
        }
        zip.set_comment(comment).unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn whole_archives_pass() {
        for (files, comment) in [(0, ""), (1, ""), (3, "a comment"), (2000, ""), (70_000, "zip64 by number")]
        {
            assert_eq!(check(&archive(files, comment, false)).unwrap(), Ok(()), "{files} files");
        }
        assert_eq!(check(&archive(5, "", true)).unwrap(), Ok(()));
    }

    #[test]
    fn every_cut_is_found() {
        let whole = archive(3, "", false);
        for cut in 0..whole.len() {
            assert!(check(&whole[..cut].to_vec()).unwrap().is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn bytes_after_the_end_and_a_missing_middle_are_found() {
        let whole = archive(30, "", false);
        let mut longer = whole.clone();
        longer.push(0);
        assert!(check(&longer).unwrap().is_err());
        for gap in [1, 10, 100] {
            let mut shorter = whole.clone();
            shorter.drain(40..40 + gap);
            assert!(check(&shorter).unwrap().is_err(), "{gap} bytes missing");
        }
        let mut zeros = whole.clone();
        let at = whole.len() - 1000;
        zeros[at..at + 900].fill(0);
        assert!(check(&zeros).unwrap().is_err());
    }

    #[test]
    fn an_empty_archive_inside_is_not_the_end_of_the_outer_one() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file("empty.zip", stored).unwrap();
        zip.write_all(&archive(0, "", false)).unwrap();
        zip.start_file("more", stored).unwrap();
        let whole = zip.finish().unwrap().into_inner();
        let inner = whole.windows(4).position(|w| w == b"PK\x05\x06").unwrap() + END as usize;
        assert!(check(&whole[..inner].to_vec()).unwrap().is_err());
        assert_eq!(check(&whole).unwrap(), Ok(()));
    }

    #[test]
    fn other_documents_are_refused() {
        for text in
            ["", "<html>please log in to go on, dear visitor</html>", "{\"status\":\"error\",\"code\":\"X\"}"]
        {
            assert!(check(&text.as_bytes().to_vec()).unwrap().is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn damage_to_the_end_never_panics(at in 0usize..400, value: u8, at2 in 0usize..400, value2: u8) {
            let mut bytes = archive(3, "c", true);
            let len = bytes.len();
            bytes[len - 1 - at % len] = value;
            bytes[len - 1 - at2 % len] = value2;
            let _ = check(&bytes).unwrap_or(Err("unreadable"));
        }
    }
}
