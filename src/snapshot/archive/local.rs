//! Local file headers compared with the central directory, and every byte between the entries accounted for.

use std::io;

use super::data::{Data, Window, buffer, unpack};
use super::directory::{CentralDirectory, Record};
use super::entry::readable;
use super::fault::{Failure, Fault, Judged};
use super::format::{
    CENTRAL, CentralHeader, DESCRIBED, DESCRIPTOR, ENCRYPTED, EOCD, EOCD_LEN, LOCAL, LOCAL_LEN, LocalHeader,
    MASKED, PATCH, STRONG, UTF8, ZIP64, fields_of, u16_at, u32_at, u64_at,
};
use super::name;
use crate::error::{Error, Refusal};
use crate::snapshot::source::Source;

/// Reads entries: judges the local file header, decodes the data and judges what follows it. Each worker thread has
/// its own.
pub(super) struct Reader<'a, S: ?Sized> {
    directory: &'a CentralDirectory,
    window: Window<'a, S>,
    buf: Vec<u8>,
    header: Vec<u8>,
}

/// What a good local file header tells.
struct Located {
    data: Data,
    /// Sizes and checksum are in the header already, descriptor or not.
    complete: bool,
    described: bool,
}

impl<'a, S: Source + ?Sized> Reader<'a, S> {
    /// `largest`: the size of the largest entry that will be read, as far as it is known.
    pub(super) fn new(source: &'a S, directory: &'a CentralDirectory, largest: u64) -> Self {
        Self { directory, window: Window::new(source), buf: buffer(largest), header: Vec::new() }
    }

    /// Reads ahead to `until`: the entries up to there are read next.
    pub(super) fn read_ahead_to(&mut self, until: u64) {
        self.window.read_ahead_to(until);
    }

    /// Reads one entry and what follows it up to `next`, where the next entry begins. The local file header is judged
    /// before the first byte is given to `out`.
    ///
    /// # Errors
    /// What the source or `out` fails with, and whatever is wrong with the entry.
    pub(super) fn read(
        &mut self,
        index: u32,
        next: u64,
        out: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let located = self.locate(index, next)?;
        readable(self.directory, index)?;
        unpack(&mut self.window, &located.data, &mut self.buf, out)?;
        self.after(&located, next)
    }

    /// Reads one entry out of its order; without `next`, what follows its data is not looked at.
    pub(super) fn read_one(
        &mut self,
        index: u32,
        next: Option<u64>,
        out: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        self.read_ahead_to_end_of(index);
        match next {
            Some(next) => self.read(index, next, out),
            None => {
                let located = self.locate(index, self.directory.start)?;
                unpack(&mut self.window, &located.data, &mut self.buf, out)
            }
        }
    }

    /// The content of an entry, as [`read_one`](Self::read_one) reads it.
    pub(super) fn content(&mut self, index: u32, next: Option<u64>) -> Result<Vec<u8>, Failure> {
        // Deflate makes at most 1,032 bytes of one: a lie about the size reserves no memory.
        let record = self.directory.record(index);
        let honest = record.size.min(record.compressed.saturating_mul(1032));
        let mut content = Vec::new();
        content.try_reserve_exact(usize::try_from(honest).unwrap_or(usize::MAX)).map_err(io::Error::other)?;
        self.read_one(index, next, |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(content)
    }

    /// Judges an entry's local file header alone.
    pub(super) fn look(&mut self, index: u32) -> Result<(), Failure> {
        self.window.read_ahead_to(0);
        self.locate(index, self.directory.start).map(drop)
    }

    /// One read for header and data, if the header's extra field is not a very long one.
    fn read_ahead_to_end_of(&mut self, index: u32) {
        let (record, name) = (self.directory.record(index), self.directory.header(index).name);
        let header = (LOCAL_LEN + name.len() + 64) as u64;
        let end = record.offset + header + record.compressed;
        self.read_ahead_to(end.min(self.directory.start));
    }

    /// Reads the local file header and compares it with the central one.
    fn locate(&mut self, index: u32, next: u64) -> Result<Located, Failure> {
        let record = self.directory.record(index);
        let central = self.directory.header(index);
        self.header.clear();
        self.window.seek(record.offset, LOCAL_LEN as u64).append(LOCAL_LEN, &mut self.header)?;
        let Some(local) = LocalHeader::parse(&self.header) else {
            let detail = "its data does not begin where the central directory says; get the file again";
            return Err(Fault::corrupt(detail).into());
        };
        let (at, rest) = (record.offset + local.len() as u64, local.len() - LOCAL_LEN);
        if at + record.compressed > next {
            let refusal = if next == self.directory.start { Refusal::Corrupt } else { Refusal::Overlap };
            let detail = "its data runs into what follows it; do not trust this archive";
            return Err(Fault::new(refusal, detail).into());
        }
        let from = record.offset + LOCAL_LEN as u64;
        self.window.seek(from, rest as u64).append(rest, &mut self.header)?;
        let (name, extra) = self
            .header
            .get(LOCAL_LEN..)
            .and_then(|rest| rest.split_at_checked(local.name_len))
            .unwrap_or_default();
        let complete = agree(&record, &central, &local, name, extra)?;
        let described = central.flags & DESCRIBED != 0;
        Ok(Located { data: Data::of(self.directory, index, at), complete, described })
    }

    /// Judges what lies between an entry's data and the next entry: its descriptor, and nothing that is an entry.
    fn after(&mut self, located: &Located, next: u64) -> Result<(), Failure> {
        let mut end = located.data.at + located.data.compressed;
        if located.described {
            let room = (next - end).min(24);
            self.header.clear();
            self.window.seek(end, room).append(room as usize, &mut self.header)?;
            match descriptor(&self.header, &located.data, next - end) {
                Some(len) => end += len as u64,
                None if located.complete => {}
                None => {
                    return Err(Fault::corrupt(
                        "the descriptor after its data contradicts the central directory; get the file again",
                    )
                    .into());
                }
            }
        }
        unlisted(&mut self.window, end, next, false)
    }
}

/// Compares a local file header with the central one; returns whether it has the sizes and the checksum, too.
fn agree(
    record: &Record,
    central: &CentralHeader<'_>,
    local: &LocalHeader,
    name: &[u8],
    extra: &[u8],
) -> Judged<bool> {
    let bad = |what: &str| Err(Fault::corrupt(format!("its local file header {what}")));
    if name != central.name {
        return bad("has another name; do not trust this archive");
    }
    match name::unicode_path(extra, name) {
        Ok(None) => {}
        Ok(Some(path)) if path == name::decode(central).0.as_bytes() => {}
        _ => return bad("has another Unicode path; do not trust this archive"),
    }
    let watched = ENCRYPTED | DESCRIBED | PATCH | STRONG | MASKED | if name.is_ascii() { 0 } else { UTF8 };
    if local.method != central.method || (local.flags ^ central.flags) & watched != 0 {
        return bad("has another method or other flags; do not trust this archive");
    }
    let (mut size, mut compressed) = (u64::from(local.size), u64::from(local.compressed));
    let open = u64::from(u32::MAX);
    let mut zip64 = fields_of(extra, ZIP64);
    // In a local file header the field has both sizes (APPNOTE 4.5.3).
    let wide = zip64.next().and_then(|b| Some((u64_at(b, 0)?, u64_at(b, 8)?)));
    if zip64.next().is_some() {
        return bad("has two ZIP64 fields; do not trust this archive");
    }
    if size == open || compressed == open {
        let Some((wide_size, wide_compressed)) = wide else {
            return bad("lacks a ZIP64 field that it needs");
        };
        size = if size == open { wide_size } else { size };
        compressed = if compressed == open { wide_compressed } else { compressed };
    } else if wide.is_some_and(|wide| wide != (size, compressed) && wide != (0, 0)) {
        // Superfluous: zeros are room kept for sizes that were not needed, other numbers are believed by some.
        return bad("has a ZIP64 field that contradicts it; do not trust this archive");
    }
    let pairs = [(size, record.size), (compressed, record.compressed), (local.crc.into(), record.crc.into())];
    let described = central.flags & DESCRIBED != 0;
    if !pairs.iter().all(|(said, is)| said == is || (described && *said == 0)) {
        return bad("has another size or checksum; get the file again");
    }
    Ok(pairs.iter().all(|(said, is)| said == is))
}

/// The length of the descriptor that says what the central directory says: with or without signature, of 32 or 64 bits
/// (APPNOTE 4.3.9). Of several that fit, the one that fills the gap.
fn descriptor(b: &[u8], data: &Data, gap: u64) -> Option<usize> {
    let fits = |at: usize, wide: bool| {
        let (compressed, size, len) = if wide {
            (u64_at(b, at + 4)?, u64_at(b, at + 12)?, at + 20)
        } else {
            (u32_at(b, at + 4)?.into(), u32_at(b, at + 8)?.into(), at + 12)
        };
        let same = (u32_at(b, at)?, compressed, size) == (data.crc, data.compressed, data.size);
        same.then_some(len)
    };
    let signed = b.starts_with(&DESCRIPTOR);
    let forms = [(4, false), (4, true), (0, false), (0, true)];
    let fitting =
        || forms.iter().filter(|(at, _)| signed || *at == 0).filter_map(|(at, wide)| fits(*at, *wide));
    fitting().find(|len| *len as u64 == gap).or_else(|| fitting().next())
}

/// Looks for entries before the first one.
pub(super) fn judge_prefix<S: Source + ?Sized>(
    source: &S,
    directory: &CentralDirectory,
) -> Result<(), Failure> {
    let first = directory.records().iter().map(|r| r.offset).min().unwrap_or(directory.start);
    unlisted(&mut Window::new(source), 0, first, true)
}

/// Looks for entries and central directories in bytes that belong to no entry. Before the first entry there may be a
/// program whose code has a signature in it, so there it must make sense as a record, too.
fn unlisted<S: Source + ?Sized>(
    window: &mut Window<'_, S>,
    from: u64,
    to: u64,
    prefix: bool,
) -> Result<(), Failure> {
    let (mut at, mut bytes) = (from, Vec::new());
    while at < to {
        let end = to.min(at + bytes.len() as u64 + (64 << 10));
        let more = end - at - bytes.len() as u64;
        window.seek(end - more, more).append(more as usize, &mut bytes)?;
        // A record may begin at the end of these bytes: then it is looked at together with the next.
        let done = if end == to { bytes.len() } else { bytes.len() - LOCAL_LEN };
        let unlisted = |(i, _)| bytes.get(i..).is_some_and(|b| is_unlisted(b, at + i as u64, to, prefix));
        if bytes.windows(4).enumerate().take(done).filter(|(_, w)| w.starts_with(b"PK")).any(unlisted) {
            return Err(Fault::corrupt(
                "between its entries are others that its central directory does not list; do not trust this archive",
            )
            .into());
        }
        bytes.drain(..done);
        at += done as u64;
    }
    Ok(())
}

fn is_unlisted(b: &[u8], at: u64, to: u64, prefix: bool) -> bool {
    if !prefix {
        return [LOCAL, CENTRAL, EOCD].iter().any(|signature| b.starts_with(signature));
    }
    if b.starts_with(&EOCD) {
        let sum = u32_at(b, 12).zip(u32_at(b, 16)).map(|(len, offset)| u64::from(len) + u64::from(offset));
        return b.len() >= EOCD_LEN
            && u16_at(b, 4) == Some(0)
            && u16_at(b, 8) == u16_at(b, 10)
            && sum.is_some_and(|sum| sum <= at);
    }
    let Some(local) = LocalHeader::parse(b) else { return false };
    let version = u16_at(b, 4).is_some_and(|v| v & 0xFF <= 63);
    let method = local.method <= 20 || (93..=99).contains(&local.method);
    let name = (1..=4096).contains(&local.name_len);
    version && method && name && at + local.len() as u64 <= to
}
