//! Where the directory is: the end records of APPNOTE 4.3.14 to 4.3.16, found and held against each other.
//!
//! Readers that disagree about which record counts see different archives in one file. So: exactly one end
//! record whose comment reaches the file's last byte (or zeros that fill a block), the directory right before it, and all that is said
//! twice said alike. A prefix (a self-extractor, a script) is fine, with offsets from its end or from the file's start.

use std::io;

use super::fault::{Fault, Judged};
use super::format::{CENTRAL, END, END_LEN, END64, END64_LEN, LOCATOR, LOCATOR_LEN, u16_at, u32_at, u64_at};
use super::window::read_exact;
use crate::error::Refusal;
use crate::snapshot::source::Source;

/// The end record, the longest comment, and room for the zip64 records before it.
const TAIL: u64 = (END_LEN + 0xFFFF + LOCATOR_LEN + END64_LEN + 1024) as u64;

/// Where the directory lies and what it should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The first byte of the directory, from the start of the file.
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) entries: u64,
    /// What is added to every offset in the archive: the length of a prefix that offsets do not count.
    pub(super) shift: u64,
}

/// The fields of an end record, 32-bit or 64-bit.
#[derive(Clone, Copy, Debug)]
struct End {
    disk: u32,
    directory_disk: u32,
    entries_here: u64,
    entries: u64,
    len: u64,
    offset: u64,
}

/// Finds the directory. One read of the last 66 KiB; another for a zip64 record that is further away.
///
/// # Errors
/// An I/O error of the source, or the fault inside `Ok`.
pub(super) fn find<S: Source + ?Sized>(source: &S, size: u64) -> io::Result<Judged<Place>> {
    let from = size.saturating_sub(TAIL);
    let mut tail = vec![0; usize::try_from(size - from).unwrap_or(0)];
    read_exact(source, from, &mut tail)?;
    let (end_at, end) = match end_record(&tail, from) {
        Ok(found) => found,
        Err(fault) => return Ok(Err(fault)),
    };
    let before = from + end_at as u64;
    let Some(locator) =
        end_at.checked_sub(LOCATOR_LEN).and_then(|at| tail.get(at..)).filter(|b| b.starts_with(&LOCATOR))
    else {
        return Ok(place(end, before, None));
    };
    let (disk, said, disks) =
        (u32_at(locator, 4), u64_at(locator, 8).unwrap_or(u64::MAX), u32_at(locator, 16));
    if disk != Some(0) || disks.is_none_or(|n| n > 1) {
        return Ok(Err(spans()));
    }
    let locator_at = before - LOCATOR_LEN as u64;
    // As said, or, behind a prefix that the offsets do not count, right before the locator.
    for at in [Some(said), locator_at.checked_sub(END64_LEN as u64)].into_iter().flatten() {
        let mut record = [0; END64_LEN];
        if at > locator_at.saturating_sub(END64_LEN as u64) {
            continue;
        }
        read_exact(source, at, &mut record)?;
        let reaches = u64_at(&record, 4).and_then(|len| at.checked_add(12)?.checked_add(len));
        if record.starts_with(&END64) && reaches == Some(locator_at) {
            return Ok(merged(end, &record).and_then(|end| place(end, at, Some(said))));
        }
    }
    Ok(Err(Fault::corrupt("its zip64 end record is not where it is said to be; get the file again")))
}

fn spans() -> Fault {
    Fault::new(Refusal::Unsupported, "it is one part of an archive in several files; join the parts first")
}

/// The one end record in the file's tail, which begins at `from`, and its place there.
fn end_record(tail: &[u8], from: u64) -> Judged<(usize, End)> {
    let mut found: Option<(usize, End)> = None;
    let mut twins = false;
    let mut cut = false;
    for at in (0..tail.len().saturating_sub(END_LEN - 1)).rev() {
        let Some(b) = tail.get(at..).filter(|b| b.starts_with(&END)) else { continue };
        let (Some(end), Some(comment)) = (End::parse(b), u16_at(b, 20)) else { continue };
        // Written to a pipe, bsdtar fills its last block with zeros.
        let whole =
            b.get(END_LEN + usize::from(comment)..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
        match (whole, found.is_some()) {
            (true, false) => found = Some((at, end)),
            (true, true) => twins = true,
            // What only looks like a record, in a comment or in a file's data, makes no sense as one.
            (false, false) if end.plausible(tail, from, at) => cut = true,
            (false, _) => {}
        }
    }
    match found {
        Some(_) if twins || cut => Err(Fault::corrupt(
            "it has several end records and readers would disagree on which counts; do not trust this archive",
        )),
        Some(found) => Ok(found),
        None if cut => Err(Fault::corrupt(
            "its end record does not end with the file: it is cut off or something was appended; get the file again",
        )),
        None => Err(Fault::corrupt(
            "it has no end record: it is no ZIP archive or it is cut off; get the file again",
        )),
    }
}

impl End {
    fn parse(b: &[u8]) -> Option<Self> {
        Some(Self {
            disk: u16_at(b, 4)?.into(),
            directory_disk: u16_at(b, 6)?.into(),
            entries_here: u16_at(b, 8)?.into(),
            entries: u16_at(b, 10)?.into(),
            len: u32_at(b, 12)?.into(),
            offset: u32_at(b, 16)?.into(),
        })
    }

    /// Whether this could be meant as a record: it describes a directory right before it or at the offset it
    /// says, or an empty archive.
    fn plausible(&self, tail: &[u8], from: u64, at: usize) -> bool {
        if self.disk != 0 || self.directory_disk != 0 || self.entries != self.entries_here {
            return false;
        }
        if self.entries == 0 {
            return self.len == 0;
        }
        // Some readers go to the offset without looking whether the directory ends here.
        let room = self.entries.checked_mul(super::format::CENTRAL_LEN as u64).is_some_and(|n| n <= self.len);
        if room && self.offset + self.len <= from + at as u64 {
            return true;
        }
        match usize::try_from(self.len).ok().and_then(|len| at.checked_sub(len)) {
            Some(start) => tail.get(start..).is_some_and(|b| b.starts_with(&CENTRAL)),
            // The directory begins before the tail, or the zip64 record has the numbers.
            None => true,
        }
    }
}

/// The zip64 record's numbers, if the 32-bit record says the same or leaves them open.
fn merged(end: End, record: &[u8]) -> Judged<End> {
    let read = || {
        Some(End {
            disk: u32_at(record, 16)?,
            directory_disk: u32_at(record, 20)?,
            entries_here: u64_at(record, 24)?,
            entries: u64_at(record, 32)?,
            len: u64_at(record, 40)?,
            offset: u64_at(record, 48)?,
        })
    };
    let wide = read().ok_or_else(|| Fault::corrupt("its zip64 end record is cut off"))?;
    let same = |narrow: u64, wide: u64, open: u64| narrow == open || narrow == wide;
    let agree = same(end.disk.into(), wide.disk.into(), 0xFFFF)
        && same(end.directory_disk.into(), wide.directory_disk.into(), 0xFFFF)
        && same(end.entries_here, wide.entries_here, 0xFFFF)
        && same(end.entries, wide.entries, 0xFFFF)
        && same(end.len, wide.len, u64::from(u32::MAX))
        && same(end.offset, wide.offset, u64::from(u32::MAX));
    if agree { Ok(wide) } else { Err(Fault::corrupt("its two end records contradict each other")) }
}

/// Where the directory must be, given that it ends at `before`.
fn place(end: End, before: u64, zip64_said: Option<u64>) -> Judged<Place> {
    if end.disk != 0 || end.directory_disk != 0 {
        return Err(spans());
    }
    if end.entries_here != end.entries {
        return Err(Fault::corrupt("its end record gives two different numbers of entries"));
    }
    let lies = || Fault::corrupt("its directory is not where the end record says; get the file again");
    let start = before.checked_sub(end.len).ok_or_else(lies)?;
    let shift = start.checked_sub(end.offset).ok_or_else(lies)?;
    // The zip64 record follows the directory, so its own offset must be shifted alike.
    if zip64_said.is_some_and(|said| said.checked_add(shift) != Some(before)) {
        return Err(lies());
    }
    if end.entries.checked_mul(super::format::CENTRAL_LEN as u64).is_none_or(|least| least > end.len) {
        return Err(Fault::corrupt("it counts more entries than its directory can hold"));
    }
    Ok(Place { start, len: end.len, entries: end.entries, shift })
}
