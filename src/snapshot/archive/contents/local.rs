//! Local file headers compared with the central directory, and every byte between the entries accounted for.
//!
//! A difference matters only if two readers, one of the central directory and one of the stream, would write different
//! paths or different bytes. So flags that change neither may differ, `\` is `/` where it separates, what a
//! data descriptor repeats may be left open, room kept for ZIP64 sizes may stay empty, and a directory without data may
//! claim any size; between entries there may be anything without a signature of the format.

use std::fs::File;
use std::io;

use super::Archive;
use super::data::{Out, Window};
use super::entry::Entry;
use crate::error::{Refusal, Result};
use crate::snapshot::archive::directory::{CentralDirectory, Record};
use crate::snapshot::archive::fault::{BadEntry, Failure, Fault, Judged};
use crate::snapshot::archive::format::{
    CentralHeader, DESCRIBED, DESCRIPTOR, ENCRYPTED, LOCAL, LOCAL_LEN, LocalHeader, MASKED, PATCH, STORED, STRONG,
    UTF8, ZIP64, fields_of, has_record, has_signature, u32_at, u64_at,
};
use crate::snapshot::archive::name;
use crate::snapshot::source::{Source, read_exact_at};

/// Reads entries: judges the local file header, decodes the data and judges what follows it. Each worker thread has
/// its own.
pub(super) struct Reader<'a> {
    directory: &'a CentralDirectory,
    window: Window<'a>,
    /// What is read out of turn.
    source: &'a dyn Source,
    /// Whether what lies between an entry and the next one is judged, too.
    gaps: bool,
}

/// What a good local file header tells.
struct Located {
    /// Where the data begins.
    at: u64,
    /// Sizes and checksum are in the header: no descriptor has to tell them.
    complete: bool,
}

impl<'a> Reader<'a> {
    /// A reader for single entries: what follows their data is not looked at. It reads them from `fetched`.
    pub(super) fn of_some<S: Source>(archive: &'a Archive<S>, fetched: &'a dyn Source) -> Self {
        let (directory, source) = (&*archive.directory, &*archive.source);
        Self { directory, window: Window::new(fetched), source, gaps: false }
    }

    /// A reader that judges what lies between the entries, too.
    pub(super) fn of_all<S: Source>(archive: &'a Archive<S>, fetched: &'a dyn Source) -> Self {
        Self { gaps: true, ..Self::of_some(archive, fetched) }
    }

    /// Reads ahead to `until`: what is in front of it is read next.
    pub(super) fn read_ahead_to(&mut self, until: u64) {
        self.window.read_ahead_to(until);
    }

    /// The entry's name.
    pub(super) fn name(&self, index: u32) -> &'a str {
        self.directory.name(index)
    }

    /// Reads one entry. Its local file header is judged before the first byte is given to `out`.
    ///
    /// # Errors
    /// What the source or `out` fails with, and whatever is wrong with the entry.
    pub(super) fn read(&mut self, index: u32, out: Out<'_>) -> Result<()> {
        self.decode(index, out).map_err(|failure| failure.error(Some(self.directory.name(index))))
    }

    /// [`read`](Self::read), with an error of the source as it is.
    pub(super) fn decode(&mut self, index: u32, out: Out<'_>) -> Result<(), Failure> {
        let next = if self.gaps { self.directory.next(index) } else { self.directory.start };
        let located = self.locate(index, next)?;
        Entry { directory: self.directory, index }.readable()?;
        let record = self.directory.record(index);
        self.window.unpack(located.at, &record, out)?;
        if self.gaps { self.judge_gap(&record, &located, next) } else { Ok(()) }
    }

    /// The content of an entry, as [`read`](Self::read) reads it.
    pub(super) fn content(&mut self, index: u32) -> Result<Vec<u8>> {
        // Deflate makes at most 1,032 bytes of one: a lie about the size reserves no memory.
        let record = self.directory.record(index);
        let honest = record.size.min(record.compressed.saturating_mul(1032));
        let mut content = Vec::new();
        content
            .try_reserve_exact(usize::try_from(honest).unwrap_or(usize::MAX))
            .map_err(|e| Failure::Source(io::Error::other(e)).error(Some(self.directory.name(index))))?;
        self.read(index, &mut |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(content)
    }

    /// What is wrong with the entries that seem to share bytes with another. A wrong offset or size looks the same, so
    /// their local file headers are read: if one is bad, there is no more to it.
    pub(super) fn judge_overlaps(&mut self, wanted: impl Fn(u32) -> Result<bool>) -> Result<Vec<(u32, BadEntry)>> {
        let (mut damaged, mut sharing) = (Vec::new(), Vec::new());
        let overlapping = &self.directory.layout().overlapping;
        for &(index, same_place) in overlapping {
            if !wanted(index)? {
                continue;
            }
            let name = Some(self.directory.name(index));
            self.read_ahead_to(0);
            match self.locate(index, self.directory.start) {
                Err(Failure::Refused(fault)) if !same_place => damaged.push((index, BadEntry::new(name, fault))),
                Ok(_) | Err(Failure::Refused(_)) => {
                    let fault = Fault::new(Refusal::Overlap, "its bytes are also another entry's");
                    sharing.push((index, BadEntry::new(name, fault)));
                }
                Err(failure) => return Err(failure.error(name)),
            }
        }
        Ok(if damaged.is_empty() { sharing } else { damaged })
    }

    /// Looks for unlisted entries in front of the first listed one.
    pub(super) fn judge_prefix(&mut self) -> Result<()> {
        self.read_ahead_to(0);
        unlisted(&mut self.window, 0, self.directory.first(), has_record).map_err(|e| e.error(None))
    }

    /// Reads the local file header and compares it with the central one. The data may not go beyond `limit`.
    fn locate(&mut self, index: u32, limit: u64) -> Result<Located, Failure> {
        let (record, central) = (self.directory.record(index), self.directory.header(index));
        let mut fixed = [0; LOCAL_LEN];
        self.window.read_exact(record.offset, &mut fixed)?;
        let Some(local) = LocalHeader::parse(&fixed) else {
            return Err(Fault::corrupt("its data does not begin where the central directory says").into());
        };
        let at = record.offset + local.len() as u64;
        if at > self.directory.start {
            return Err(bad("is longer than the file").into());
        }
        let mut names = vec![0; local.len() - LOCAL_LEN];
        self.window.read_exact(record.offset + LOCAL_LEN as u64, &mut names)?;
        let (name, extra) = names.split_at_checked(local.name_len).unwrap_or_default();
        judge_names(&central, &local, name, extra)?;
        let complete = judge_sizes(&record, &local, extra, self.directory.is_bare(index))?;
        if at + record.compressed > limit {
            // Where the next entry is said to begin there may be none.
            let mut found = [0; 4];
            read_exact_at(self.source, limit, &mut found)?;
            let refusal = if found == LOCAL { Refusal::Overlap } else { Refusal::Corrupt };
            return Err(Fault::new(refusal, "its data runs into what follows it").into());
        }
        Ok(Located { at, complete })
    }

    /// Judges what lies between an entry's data and the next entry: its descriptor, and nothing that could be an entry.
    fn judge_gap(&mut self, record: &Record, located: &Located, next: u64) -> Result<(), Failure> {
        let mut end = located.at + record.compressed;
        let mut bytes = vec![0; (next - end).min(24) as usize];
        self.window.read_exact(end, &mut bytes)?;
        match descriptor(&bytes, record, next - end) {
            Some(len) => end += len as u64,
            // Readers of the stream take what is before a descriptor for data: a wrong one is harmless where the data ends.
            None if located.complete && bytes.starts_with(&DESCRIPTOR) => end += DESCRIPTOR.len() as u64,
            None if located.complete => {}
            None => return Err(Fault::corrupt("its data descriptor contradicts the central directory").into()),
        }
        unlisted(&mut self.window, end, next, has_signature)
    }
}

/// Reads back what was written of an entry and compares its size and checksum.
pub(super) fn compare(record: &Record, written: &File) -> io::Result<()> {
    let record = Record { compressed: record.size, method: STORED, ..*record };
    match Window::new(written).unpack(0, &record, &mut |_| Ok(())) {
        Ok(()) => Ok(()),
        Err(Failure::Source(e)) => Err(e),
        Err(_) => Err(io::Error::other("the file is not what was written; check the disk")),
    }
}

/// What is wrong with a local file header.
fn bad(what: &str) -> Fault {
    Fault::corrupt(format!("its local file header {what}"))
}

/// Compares names, method and flags.
fn judge_names(central: &CentralHeader<'_>, local: &LocalHeader, name: &[u8], extra: &[u8]) -> Judged<()> {
    let path = |name: &[u8]| match name::backslash_separates(name, central.host) {
        true => name.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect(),
        false => name.to_vec(),
    };
    if name != central.name && path(name) != path(central.name) {
        return Err(bad("has another name"));
    }
    match name::unicode_path(extra, name) {
        Ok(None) => {}
        Ok(Some(path)) if path == name::decode(central).0.as_bytes() => {}
        _ => return Err(bad("has another Unicode path")),
    }
    let utf8 = if std::str::from_utf8(name).is_ok() { 0 } else { UTF8 };
    let watched = ENCRYPTED | PATCH | STRONG | MASKED | utf8;
    if local.method != central.method || (local.flags ^ central.flags) & watched != 0 {
        return Err(bad("has another method or other flags"));
    }
    Ok(())
}

/// Compares sizes and checksum; returns whether the local file header has them, too, or leaves them to a descriptor.
fn judge_sizes(record: &Record, local: &LocalHeader, extra: &[u8], bare: bool) -> Judged<bool> {
    let described = local.flags & DESCRIBED != 0;
    let mut zip64 = fields_of(extra, ZIP64);
    let field = zip64.next();
    if zip64.next().is_some() {
        return Err(bad("has two ZIP64 fields"));
    }
    // In a local file header the field has both sizes (APPNOTE 4.5.3).
    let wide = field.and_then(|b| Some((u64_at(b, 0)?, u64_at(b, 8)?))).unzip();
    let said = |narrow: u32, wide: Option<u64>, is: u64| match wide {
        Some(wide) if narrow == u32::MAX => Ok(wide),
        // Superfluous: zeros are room kept for sizes that were not needed, other numbers are believed by some.
        Some(wide) if wide != 0 && wide != is => Err(bad("has a ZIP64 field that contradicts it")),
        None if narrow == u32::MAX && (field.is_some() || !described) => Err(bad("lacks a ZIP64 field that it needs")),
        None if narrow == u32::MAX => Ok(0),
        _ => Ok(narrow.into()),
    };
    let compressed = (said(local.compressed, wide.1, record.compressed)?, record.compressed);
    let size = (said(local.size, wide.0, record.size)?, record.size);
    let crc = (local.crc.into(), record.crc.into());
    // Nothing comes of a directory's size and checksum.
    let pairs = if bare { [compressed; 3] } else { [compressed, size, crc] };
    if !pairs.iter().all(|(said, is)| said == is || (described && *said == 0)) {
        return Err(bad("has another size or checksum"));
    }
    // Zeros are what sizes look like that are left open.
    let open = described && !bare && record.compressed == 0;
    Ok(!open && pairs.iter().all(|(said, is)| said == is))
}

/// The length of the descriptor that says what the central directory says: with or without signature, of 32 or 64 bits
/// (APPNOTE 4.3.9). Of several that fit, the one that fills the gap.
fn descriptor(b: &[u8], record: &Record, gap: u64) -> Option<usize> {
    let fits = |at: usize, wide: bool| {
        let (compressed, size, len) = if wide {
            (u64_at(b, at + 4)?, u64_at(b, at + 12)?, at + 20)
        } else {
            (u32_at(b, at + 4)?.into(), u32_at(b, at + 8)?.into(), at + 12)
        };
        let same = (u32_at(b, at)?, compressed, size) == (record.crc, record.compressed, record.size);
        same.then_some(len)
    };
    let signed = b.starts_with(&DESCRIPTOR);
    let forms = [(4, false), (4, true), (0, false), (0, true)];
    let fitting = || forms.iter().filter(|(at, _)| signed || *at == 0).filter_map(|(at, wide)| fits(*at, *wide));
    fitting().find(|len| *len as u64 == gap).or_else(|| fitting().next())
}

/// Looks for entries and central directories in bytes that belong to no entry; `found` tells whether some have any.
fn unlisted(window: &mut Window<'_>, from: u64, to: u64, found: fn(&[u8]) -> bool) -> Result<(), Failure> {
    const STEP: usize = 64 << 10;
    for at in (from..to).step_by(STEP) {
        // What begins at the step's end may go on behind it.
        let mut bytes = vec![0; (to - at).min((STEP + LOCAL_LEN) as u64) as usize];
        window.read_exact(at, &mut bytes)?;
        if found(&bytes) {
            let detail = "between its entries are others that its central directory does not list";
            return Err(Fault::corrupt(detail).into());
        }
    }
    Ok(())
}
