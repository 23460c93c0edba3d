//! One entry as the central directory describes it.

use std::fmt;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use crate::error::Refusal;
use crate::snapshot::archive::directory::{CentralDirectory, Record};
use crate::snapshot::archive::fault::{Fault, Judged, shown};
use crate::snapshot::archive::format::{
    AES, CentralHeader, DEFLATE, ENCRYPTED, MASKED, NTFS, PATCH, STORED, STRONG, TIMESTAMP, fields_of, u16_at, u32_at,
    u64_at,
};
use crate::snapshot::archive::name;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; its target is its content.
    Symlink,
    /// A device, a fifo, a socket or a type this crate does not know. Never extracted.
    Special,
}

/// The type bits of a unix mode.
const TYPE: u32 = 0o170_000;

/// One entry of an [`Archive`](crate::Archive), as the central directory describes it. Costs nothing
/// to get; what it says is compared with the data only by `read`, `copy`, `verify` and `extract`.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub(super) directory: &'a CentralDirectory,
    pub(super) index: u32,
}

impl<'a> Entry<'a> {
    pub(super) fn header(&self) -> CentralHeader<'a> {
        self.directory.header(self.index)
    }

    fn record(&self) -> Record {
        self.directory.record(self.index)
    }

    /// Returns the name, as stored: UTF-8 or, where its bytes are not, code page 437 decoded; nothing is repaired. Only
    /// DOS and Windows tools mean code page 437: from others, `extract` takes such a name with
    /// [`ExtractOptions::cp437`](crate::ExtractOptions::cp437) only. It may be hostile: print it with
    /// [`escape_debug`](str::escape_debug) and never join it to a path; `extract` judges it.
    pub fn name(&self) -> &'a str {
        self.directory.name(self.index)
    }

    /// Returns the size when extracted, in bytes: 0 for a directory without data, whatever its header says.
    pub fn size(&self) -> u64 {
        self.record().size
    }

    /// Returns the size in the archive, in bytes.
    pub fn compressed_size(&self) -> u64 {
        self.record().compressed
    }

    /// Returns the CRC-32 of the content.
    pub fn crc32(&self) -> u32 {
        self.record().crc
    }

    /// Returns when it was last modified: from the extended timestamp or the NTFS field in UTC, else the DOS time in
    /// the local time of whoever made the archive ([APPNOTE] 4.4.6). `None` when there is no date that exists.
    ///
    /// [APPNOTE]: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    pub fn modified(&self) -> Option<PrimitiveDateTime> {
        modified(&self.header())
    }

    /// Returns what it is: by the unix mode's type bits where there are some, else by a `/` at the name's end. What
    /// `zip` reads from a pipe and names `-` has the pipe's mode and is a file.
    pub fn kind(&self) -> EntryKind {
        match self.unix_mode().map_or(0, |mode| mode & TYPE) {
            _ if name::is_directory(&self.header(), self.name()) => EntryKind::Directory,
            0o120_000 => EntryKind::Symlink,
            0 | 0o100_000 => EntryKind::File,
            // What Info-ZIP reads from a pipe (`zip out.zip -`) has the pipe's mode and always this name.
            0o010_000 if self.name() == "-" => EntryKind::File,
            _ => EntryKind::Special,
        }
    }

    /// Returns the unix mode with its type bits; `None` when the archive was not made by a unix tool or gives none.
    pub fn unix_mode(&self) -> Option<u32> {
        let header = self.header();
        Some(header.attributes >> 16).filter(|mode| *mode != 0 && name::unix_host(header.host))
    }

    /// Returns the compression method: 0 is stored, 8 is deflate, and others are not extracted ([APPNOTE] 4.4.5).
    ///
    /// [APPNOTE]: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    pub fn method(&self) -> u16 {
        self.record().method
    }

    /// The permission bits to set: never set-id or sticky, and none when the archive gives none.
    pub(super) fn permissions(&self) -> Option<u32> {
        self.unix_mode().map(|mode| mode & 0o777).filter(|mode| *mode != 0)
    }

    /// Whether this crate can read the data.
    pub(super) fn readable(&self) -> Judged<()> {
        let Record { flags, method, size, compressed, .. } = self.record();
        if flags & (ENCRYPTED | STRONG | MASKED) != 0 || method == AES {
            return Err(Fault::new(Refusal::Encrypted, "this crate has no passwords; decrypt it with another tool"));
        }
        if flags & PATCH != 0 {
            return Err(Fault::new(Refusal::Unsupported, "it is a patch and not a file"));
        }
        match method {
            STORED if size != compressed => Err(Fault::corrupt("it is stored as it is and has two different sizes")),
            DEFLATE if compressed == 0 && size != 0 => Err(Fault::corrupt("it has a size and no data")),
            STORED | DEFLATE => Ok(()),
            other => Err(Fault::new(
                Refusal::Unsupported,
                format!("its compression method is {other}; only stored (0) and deflate (8) are read"),
            )),
        }
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &format_args!("{}", shown(self.name())))
            .field("kind", &self.kind())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// When an entry was last modified, the best source first: extended timestamp (UTC), NTFS (UTC), DOS (local time).
fn modified(header: &CentralHeader<'_>) -> Option<PrimitiveDateTime> {
    stamp(header.extra).or_else(|| ntfs(header.extra)).or_else(|| dos(header.date, header.time))
}

/// The Info-ZIP extended timestamp: a flag byte, then seconds since 1970 as a signed 32-bit number.
fn stamp(extra: &[u8]) -> Option<PrimitiveDateTime> {
    let body = fields_of(extra, TIMESTAMP).next()?;
    if body.first()? & 1 == 0 {
        return None;
    }
    let seconds = i64::from(u32_at(body, 1)?.cast_signed());
    primitive(OffsetDateTime::from_unix_timestamp(seconds).ok()?)
}

/// The NTFS field (APPNOTE 4.5.5): attribute 1 begins with the modification time, in 100 ns since 1601.
fn ntfs(extra: &[u8]) -> Option<PrimitiveDateTime> {
    let mut rest = fields_of(extra, NTFS).next()?.get(4..)?;
    loop {
        let (tag, len) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
        let body = rest.get(4..4 + len)?;
        if tag == 1 {
            let ticks = u64_at(body, 0).filter(|ticks| *ticks != 0)?;
            let nanos = i128::from(ticks) * 100 - 11_644_473_600 * 1_000_000_000;
            return primitive(OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?);
        }
        rest = rest.get(4 + len..)?;
    }
}

fn primitive(at: OffsetDateTime) -> Option<PrimitiveDateTime> {
    Some(PrimitiveDateTime::new(at.date(), at.time()))
}

/// MS-DOS date and time (APPNOTE 4.4.6): two seconds fine, no time zone.
fn dos(date: u16, time: u16) -> Option<PrimitiveDateTime> {
    let bits = |of: u16, from: u32, count: u32| ((of >> from) & ((1 << count) - 1)) as u8;
    let month = Month::try_from(bits(date, 5, 4)).ok()?;
    let date = Date::from_calendar_date(1980 + i32::from(date >> 9), month, bits(date, 0, 5)).ok()?;
    let time = Time::from_hms(bits(time, 11, 5), bits(time, 5, 6), 2 * bits(time, 0, 5)).ok()?;
    Some(PrimitiveDateTime::new(date, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(date: u16, time: u16, extra: &[u8]) -> CentralHeader<'_> {
        CentralHeader { date, time, extra, ..CentralHeader::default() }
    }

    fn show(header: &CentralHeader<'_>) -> Option<String> {
        modified(header).map(|at| at.to_string())
    }

    #[test]
    fn dos_times_that_do_not_exist_are_absent() {
        let good = (40 << 9) | (2 << 5) | 29; // 2020-02-29
        assert_eq!(show(&header(good, (23 << 11) | (59 << 5) | 29, b"")).as_deref(), Some("2020-02-29 23:59:58.0"));
        for (date, time) in
            [(0, 0), (good, 31 << 11), (good, 60 << 5), (good, 30), ((41 << 9) | (2 << 5) | 29, 0), (13 << 5 | 1, 0)]
        {
            assert_eq!(show(&header(date, time, b"")), None, "{date} {time}");
        }
    }

    #[test]
    fn broken_timestamp_fields_fall_back() {
        let good = (40 << 9) | (2 << 5) | 29;
        for extra in [
            &b"UT\0\0"[..],
            b"UT\x01\0\x01",
            b"UT\x05\0\x00abcd",
            b"UT\xff\0\x01abcd",
            b"\x0a\0\x04\0\0\0\0\0",
            b"\x0a\0\x09\0\0\0\0\0\x01\0\x18\0a",
        ] {
            assert_eq!(show(&header(good, 0, extra)).as_deref(), Some("2020-02-29 0:00:00.0"), "{extra:?}");
        }
        assert_eq!(show(&header(good, 0, b"UT\x05\0\x01\xff\xff\xff\xff")).as_deref(), Some("1969-12-31 23:59:59.0"));
    }

    #[test]
    fn ntfs_times_keep_their_fraction() {
        let ticks = (1_600_000_000u64 + 11_644_473_600) * 10_000_000 + 5;
        let mut extra = b"\x0a\0\x20\0\0\0\0\0\x01\0\x18\0".to_vec();
        extra.extend(ticks.to_le_bytes());
        extra.extend([0; 16]);
        assert_eq!(show(&header(0, 0, &extra)).as_deref(), Some("2020-09-13 12:26:40.0000005"));
    }
}
