//! Where the central directory is: the EOCD records of APPNOTE 4.3.14 to 4.3.16, found and compared with each other.
//!
//! Readers that disagree about which record counts see different archives in one file. So: the last EOCD record in the file
//! counts, with its comment whole, the central directory right before it, and no other that a reader could take for this
//! archive's; and whatever is said twice agrees. Behind the comment there may be zeros that fill a block, or other bytes
//! without a signature of the format (a line break), as far as a comment could reach. A prefix (a self-extractor, a script) is
//! fine, with offsets from its end or from the file's start.

use super::fault::{Failure, Fault, Judged};
use super::format::{CENTRAL_LEN, EOCD, EOCD_LEN, has_signature, u16_at, u32_at, u64_at};
use crate::error::Refusal;
use crate::snapshot::source::{Source, read_exact_at};

const EOCD64: [u8; 4] = *b"PK\x06\x06";
const EOCD64_LEN: usize = 56;
const LOCATOR: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_LEN: usize = 20;

/// The EOCD record, the longest comment, and room for the ZIP64 records before it.
pub(crate) const TAIL: usize = EOCD_LEN + 0xFFFF + LOCATOR_LEN + EOCD64_LEN + 1024;

/// Where the central directory lies and what it should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first byte, from the start of the file.
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) entries: u64,
    /// What is added to every offset in the archive: the length of a prefix that offsets do not count.
    pub(super) prefix: u64,
    zip64: bool,
}

impl Place {
    /// Whether the records count so many entries. Without ZIP64, macOS counts them modulo 65,536.
    pub(super) fn counts(&self, entries: u64) -> bool {
        self.entries == if self.zip64 { entries } else { entries & 0xFFFF }
    }
}

/// The numbers of an EOCD record, 32-bit or 64-bit, in its order: this disk, the disk of the central directory, the entries
/// on this disk, all entries, and the central directory's length and offset.
type Numbers = [u64; 6];

/// Finds the central directory: one read of the last 66 KiB.
///
/// # Errors
/// What the source fails with, or what is wrong with the archive.
pub(super) fn find<S: Source + ?Sized>(source: &S, size: u64) -> Result<Place, Failure> {
    let from = size.saturating_sub(TAIL as u64);
    let mut tail = vec![0; usize::try_from(size - from).unwrap_or(0)];
    read_exact_at(source, from, &mut tail)?;
    Ok(in_tail(&tail, from)?)
}

/// What the last bytes of a file tell, of which `tail` begins at `from`.
fn in_tail(tail: &[u8], from: u64) -> Judged<Place> {
    let (at, narrow) = record(tail)?;
    let place = described(tail, from, at, narrow)?;
    // A record in a file's data is of an archive that begins behind the first byte of this one.
    let begins = |at: usize| {
        let [.., len, offset] = numbers(tail.get(at..)?)?;
        (from + at as u64).checked_sub(len + offset)
    };
    if signatures(tail).skip(1).any(|at| begins(at).is_some_and(|start| start <= place.prefix)) {
        return Err(several());
    }
    if place.len == 0 && place.prefix > 0 {
        return Err(Fault::corrupt("it lists nothing of what is in it"));
    }
    Ok(place)
}

/// The place that the records tell of which the last is at `at`.
fn described(tail: &[u8], from: u64, at: usize, narrow: Numbers) -> Judged<Place> {
    let before = from + at as u64;
    let locator = at.checked_sub(LOCATOR_LEN).and_then(|at| tail.get(at..));
    let Some(locator) = locator.filter(|b| b.starts_with(&LOCATOR)) else {
        return place(narrow, before, None);
    };
    if u32_at(locator, 4) != Some(0) || u32_at(locator, 16).is_none_or(|disks| disks > 1) {
        return Err(spans());
    }
    let said = u64_at(locator, 8).unwrap_or(u64::MAX);
    let before = before - LOCATOR_LEN as u64;
    // As said, or, behind a prefix that the offsets do not count, right before the locator.
    for at in [said, before.saturating_sub(EOCD64_LEN as u64)] {
        let start = at.checked_sub(from).and_then(|start| usize::try_from(start).ok());
        let Some(record) = start.and_then(|start| tail.get(start..)) else { continue };
        let end = u64_at(record, 4).and_then(|len| at.checked_add(12)?.checked_add(len));
        if record.starts_with(&EOCD64) && end == Some(before) {
            return place(merge(narrow, record)?, at, Some(said));
        }
    }
    Err(Fault::corrupt("its ZIP64 end of central directory record is not where it is said to be"))
}

/// The ZIP64 record's numbers, if the 32-bit record says the same or leaves them open.
fn merge(narrow: Numbers, record: &[u8]) -> Judged<Numbers> {
    let short = |at| u64::from(u32_at(record, at).unwrap_or(0));
    let long = |at| u64_at(record, at).unwrap_or(0);
    let wide = [short(16), short(20), long(24), long(32), long(40), long(48)];
    let (open16, open32) = (u64::from(u16::MAX), u64::from(u32::MAX));
    let open = [open16, open16, open16, open16, open32, open32];
    if (0..6).all(|i| narrow.get(i) == open.get(i) || narrow.get(i) == wide.get(i)) {
        Ok(wide)
    } else {
        Err(Fault::corrupt("its two end of central directory records contradict each other"))
    }
}

pub(super) fn spans() -> Fault {
    Fault::new(Refusal::Unsupported, "it is one part of an archive in several files; join the parts first")
}

/// The EOCD record and its place in the file's tail: the last one, which readers that look for it from the end take.
fn record(tail: &[u8]) -> Judged<(usize, Numbers)> {
    let mut all = signatures(tail);
    let found = all.next().filter(|at| tail.len() - at <= EOCD_LEN + usize::from(u16::MAX));
    let Some(at) = found else {
        return Err(Fault::corrupt(
            "it has no end of central directory record: it is not a ZIP archive or it is cut off",
        ));
    };
    // Some readers take the one whose comment ends with the file.
    if all.any(|at| behind(tail, at).is_some_and(<[u8]>::is_empty)) {
        return Err(several());
    }
    // Written to a pipe, bsdtar fills its last block with zeros; others add a line break or a signature of their own.
    match (tail.get(at..).and_then(numbers), behind(tail, at)) {
        (Some(numbers), Some(behind)) if !has_signature(behind) => Ok((at, numbers)),
        _ => Err(Fault::corrupt(
            "its end of central directory record does not end with the file: it is cut off or something was appended",
        )),
    }
}

fn several() -> Fault {
    Fault::corrupt("it has several end of central directory records and readers would disagree on which counts")
}

/// Where the signatures of EOCD records are in the file's tail, the last one first.
fn signatures(tail: &[u8]) -> impl Iterator<Item = usize> {
    (0..tail.len()).rev().filter(|at| tail.get(*at..).is_some_and(|b| b.starts_with(&EOCD)))
}

/// What follows the comment of the record at `at`, if it is all there.
fn behind(tail: &[u8], at: usize) -> Option<&[u8]> {
    let comment = u16_at(tail, at + 20)?;
    tail.get(at + EOCD_LEN + usize::from(comment)..)
}

fn numbers(b: &[u8]) -> Option<Numbers> {
    let short = |at| u16_at(b, at).map(u64::from);
    let long = |at| u32_at(b, at).map(u64::from);
    Some([short(4)?, short(6)?, short(8)?, short(10)?, long(12)?, long(16)?])
}

/// Where the central directory must be, given that it ends at `before`.
fn place(numbers: Numbers, before: u64, zip64_said: Option<u64>) -> Judged<Place> {
    let [disk, directory_disk, entries_here, entries, len, offset] = numbers;
    if disk != 0 || directory_disk != 0 {
        return Err(spans());
    }
    if entries_here != entries {
        return Err(Fault::corrupt("its end of central directory record gives two different numbers of entries"));
    }
    let start = before.checked_sub(len);
    let prefix = start.and_then(|start| start.checked_sub(offset));
    // The ZIP64 record follows the central directory, so the same prefix must be added to its offset.
    let zip64_fits = |prefix| zip64_said.is_none_or(|said| said.checked_add(prefix) == Some(before));
    let (Some(start), Some(prefix)) = (start, prefix.filter(|prefix| zip64_fits(*prefix))) else {
        return Err(Fault::corrupt("its central directory is not where the end of central directory record says"));
    };
    if entries.checked_mul(CENTRAL_LEN as u64).is_none_or(|least| least > len) {
        return Err(Fault::corrupt("it counts more entries than its central directory can hold"));
    }
    Ok(Place { start, len, entries, prefix, zip64: zip64_said.is_some() })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::{SimpleFileOptions, ZipWriter};

    use crate::snapshot::archive::{check, check_end};

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
        for (files, comment) in [(0, ""), (1, ""), (3, "a comment"), (2000, ""), (70_000, "zip64 by number")] {
            assert_eq!(check(&archive(files, comment, false)).unwrap(), Ok(()), "{files} files");
        }
        assert_eq!(check(&archive(5, "", true)).unwrap(), Ok(()));
    }

    #[test]
    fn what_real_tools_put_before_and_after_an_archive_is_taken() {
        let whole = archive(3, "", false);
        // A script before it, whose length no offset counts.
        let stub = [b"#!/bin/sh\nexec unzip $0\n", &whole[..]].concat();
        // Written to a pipe, the last block is filled up.
        let padded = [&whole[..], &[0; 10_240]].concat();
        for bytes in [stub, padded] {
            assert_eq!(check(&bytes).unwrap(), Ok(()));
            assert_eq!(check_end(&[], &bytes, bytes.len() as u64), Ok(()));
            #[cfg(feature = "zip")]
            assert!(crate::Archive::new(bytes).is_ok());
        }
    }

    #[test]
    fn every_cut_is_found() {
        let whole = archive(3, "", false);
        for cut in 0..whole.len() {
            assert!(check(&whole[..cut].to_vec()).unwrap().is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_missing_middle_is_found() {
        let whole = archive(30, "", false);
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
        let inner = whole.windows(4).position(|w| w == b"PK\x05\x06").unwrap() + 22;
        assert!(check(&whole[..inner].to_vec()).unwrap().is_err());
        assert_eq!(check(&whole).unwrap(), Ok(()));
    }

    #[test]
    fn other_documents_are_refused() {
        for text in ["", "<html>please log in to go on, dear visitor</html>", "{\"status\":\"error\",\"code\":\"X\"}"] {
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
