//! The central directory in memory: its bytes as they are, and 32 bytes an entry beside them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use super::eocd::{self, Place};
use super::fault::{Failure, Fault, Judged, shown};
use super::format::{
    CENTRAL_LEN, CentralHeader, LOCAL, LOCAL_LEN, UNICODE_PATH, ZIP64, fields, fields_of, has_record, u32_at, u64_at,
};
use super::name;
use crate::error::Refusal;
use crate::snapshot::source::{Source, read_exact_at};

/// The largest central directory that is read: some four million entries with names of ordinary length.
const LARGEST: u64 = 512 << 20;

/// How much of a prefix is looked at before anything is read: a script's length. `verify` and `extract` look at all of it.
const HEAD: u64 = 4096;

/// How long the extra field of a local file header may be without another read. Few tools write more than 60 bytes.
const EXTRA: u64 = 1024;

/// What an entry's central header says, ZIP64 resolved and the prefix added.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    /// Where the local file header begins in the file.
    pub(super) offset: u64,
    pub(super) compressed: u64,
    pub(super) size: u64,
    /// Where the central header begins in the central directory.
    pub(super) at: u32,
    pub(super) crc: u32,
    pub(super) flags: u16,
    pub(super) method: u16,
}

/// All that is known of an archive without looking at its entries.
pub(crate) struct CentralDirectory {
    bytes: Vec<u8>,
    pub(super) records: Vec<Record>,
    /// Names that are not the header's bytes as they are, and what is wrong with them.
    decoded: HashMap<u32, (Box<str>, Option<&'static str>)>,
    /// Where it begins in the file: the entries end there.
    pub(super) start: u64,
    by_name: OnceLock<Vec<u32>>,
    layout: OnceLock<Layout>,
}

impl fmt::Debug for CentralDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CentralDirectory").field("entries", &self.records.len()).finish_non_exhaustive()
    }
}

impl CentralDirectory {
    /// Reads and judges the EOCD records and the central directory: two reads, and three small ones when there is a
    /// prefix.
    pub(super) fn read<S: Source + ?Sized>(source: &S) -> Result<Self, Failure> {
        let place = eocd::find(source, source.size()?)?;
        if place.len > LARGEST {
            return Err(Fault::new(Refusal::TooMany, "its central directory is larger than 512 MiB").into());
        }
        // A prefix is a script or a program. If it is an archive, the central directory does not list what is in the file.
        // Some readers begin with four bytes that mark a part of an archive, too.
        let hidden = |first: u64| -> Result<bool, Failure> {
            let mut head = vec![0; first.min(HEAD) as usize];
            read_exact_at(source, 0, &mut head)?;
            let begins = |at| head.get(at..).is_some_and(|b: &[u8]| b.starts_with(&LOCAL));
            Ok(begins(0) || begins(4) || has_record(&head))
        };
        let beside = || Fault::corrupt("it has entries or a central directory beside those it lists").into();
        // The first entry is behind the prefix: enough when the central directory is not at hand.
        if hidden(place.prefix)? {
            return Err(beside());
        }
        let mut bytes = vec![0; usize::try_from(place.len).unwrap_or(0)];
        read_exact_at(source, place.start, &mut bytes)?;
        let directory = Self::parse(bytes, place)?;
        let first = directory.first();
        let mut signature = LOCAL;
        if place.prefix > 0 && first < directory.start {
            read_exact_at(source, first, &mut signature)?;
        }
        if signature != LOCAL || hidden(first)? {
            return Err(beside());
        }
        Ok(directory)
    }

    fn parse(bytes: Vec<u8>, place: Place) -> Judged<Self> {
        let count = usize::try_from(place.entries).unwrap_or(usize::MAX).min(bytes.len() / CENTRAL_LEN);
        let mut records = Vec::with_capacity(count);
        let mut decoded = HashMap::new();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(mut header) = CentralHeader::parse(rest) else {
                return Err(Fault::corrupt("its central directory has something that is not an entry"));
            };
            // Few entries have one of the two fields that count here: the others' fields are gone through once.
            if !fields(header.extra).any(|(id, _)| id == ZIP64 || id == UNICODE_PATH) {
                header.extra = &[];
            }
            let mut record = record(&header, at, place)?;
            let (name, problem) = name::decode(&header);
            // Some tools give a directory the size it has on their disk.
            if record.compressed == 0 && name::is_directory(&header, &name) {
                (record.size, record.crc) = (0, 0);
            }
            if problem.is_some() || matches!(name, Cow::Owned(_)) {
                decoded.insert(records.len() as u32, (name.into(), problem));
            }
            records.push(record);
            at += header.len;
        }
        if !place.counts(records.len() as u64) {
            return Err(Fault::corrupt(format!(
                "its end of central directory record counts {} entries and its central directory has {}",
                place.entries,
                records.len()
            )));
        }
        let (by_name, layout) = (OnceLock::new(), OnceLock::new());
        Ok(Self { bytes, records, decoded, start: place.start, by_name, layout })
    }

    pub(super) fn indices(&self) -> Range<u32> {
        0..self.records.len() as u32
    }

    /// Where the first entry begins, or the central directory of an empty archive.
    pub(super) fn first(&self) -> u64 {
        self.records.iter().map(|record| record.offset).min().unwrap_or(self.start)
    }

    /// An entry's numbers; `index` is one of [`indices`](Self::indices).
    pub(super) fn record(&self, index: u32) -> Record {
        self.records.get(index as usize).copied().unwrap_or_default()
    }

    /// The header an entry was read from.
    pub(super) fn header(&self, index: u32) -> CentralHeader<'_> {
        let bytes = self.bytes.get(self.record(index).at as usize..);
        bytes.and_then(CentralHeader::parse).unwrap_or_default()
    }

    /// The entry's name as text.
    pub(super) fn name(&self, index: u32) -> &str {
        if let Some((name, _)) = self.decoded.get(&index) {
            return name;
        }
        std::str::from_utf8(self.header(index).name).unwrap_or_default()
    }

    /// What is wrong with the bytes of the entry's name, if anything is.
    pub(super) fn name_problem(&self, index: u32) -> Option<&'static str> {
        self.decoded.get(&index).and_then(|(_, problem)| *problem)
    }

    /// The first entry of that name, and whether there are others. The first call sorts the names: 4 bytes an entry.
    pub(super) fn find(&self, name: &str) -> Option<(u32, bool)> {
        let order = self.by_name.get_or_init(|| {
            let mut order: Vec<u32> = self.indices().collect();
            order.sort_by(|a, b| self.name(*a).cmp(self.name(*b)));
            order
        });
        let mut same =
            order.get(order.partition_point(|i| self.name(*i) < name)..)?.iter().take_while(|i| self.name(**i) == name);
        Some((*same.next()?, same.next().is_some()))
    }

    /// Whether it is a directory without data.
    pub(super) fn is_bare(&self, index: u32) -> bool {
        self.record(index).compressed == 0 && name::is_directory(&self.header(index), self.name(index))
    }

    /// Where the next entry, or the central directory, begins.
    pub(super) fn next(&self, index: u32) -> u64 {
        let (starts, offset) = (&self.layout().starts, self.record(index).offset);
        starts.get(starts.partition_point(|start| *start <= offset)).copied().unwrap_or(self.start)
    }

    /// Where an entry is without what follows its data, if its local file header has no very long extra field.
    pub(super) fn span(&self, index: u32) -> Range<u64> {
        let record = self.record(index);
        let least = record.offset + (LOCAL_LEN + self.header(index).name.len()) as u64 + record.compressed;
        record.offset..(least + EXTRA).min(self.start)
    }

    /// Where the entries' data may be. The first call sorts them: 8 bytes an entry.
    pub(super) fn layout(&self) -> &Layout {
        self.layout.get_or_init(|| Layout::of(self))
    }
}

/// Where the entries' data may be.
pub(super) struct Layout {
    /// Where the entries begin, in the order of their data.
    starts: Vec<u64>,
    /// Entries that share bytes with another, in the order of their data, as far as the central directory tells; true:
    /// with one before it that begins at the same place.
    pub(super) overlapping: Vec<(u32, bool)>,
}

impl Layout {
    fn of(directory: &CentralDirectory) -> Self {
        let mut order: Vec<u32> = directory.indices().collect();
        order.sort_by_key(|index| directory.record(*index).offset);
        let offset = |index: &u32| directory.record(*index).offset;
        let mut layout = Self { starts: order.iter().map(offset).collect(), overlapping: Vec::new() };
        // Listed twice, a directory is still one: its local file header has the name that both must have.
        order.dedup_by(|b, a| offset(a) == offset(b) && [a, b].iter().all(|index| directory.is_bare(**index)));
        let (mut reach, mut previous) = (0, None);
        for (place, &index) in order.iter().enumerate() {
            let record = directory.record(index);
            let next = order.get(place + 1).map_or(directory.start, offset);
            let least = (LOCAL_LEN + directory.header(index).name.len()) as u64;
            let end = record.offset + least + record.compressed;
            if record.offset < reach || end > next {
                layout.overlapping.push((index, Some(record.offset) == previous));
            }
            (reach, previous) = (reach.max(end), Some(record.offset));
        }
        layout
    }
}

/// One entry's numbers, and whether they can be true.
fn record(header: &CentralHeader<'_>, at: usize, place: Place) -> Judged<Record> {
    let bad = |detail: &str| {
        let entry = shown(&name::decode(header).0);
        Fault::corrupt(format!("its entry {entry} {detail}"))
    };
    let ([size, compressed, offset], disk) = numbers(header).map_err(bad)?;
    if disk != 0 {
        return Err(eocd::spans());
    }
    let least = (LOCAL_LEN + header.name.len()) as u64;
    let offset = offset.checked_add(place.prefix);
    let end = offset.and_then(|offset| offset.checked_add(least)?.checked_add(compressed));
    let (Some(offset), true) = (offset, end.is_some_and(|end| end <= place.start)) else {
        return Err(bad("claims bytes that are not there"));
    };
    let (crc, flags, method) = (header.crc, header.flags, header.method);
    // The central directory has at most 512 MiB.
    Ok(Record { offset, compressed, size, at: at as u32, crc, flags, method })
}

/// Size, compressed size and offset, and the disk: from the ZIP64 field what the header leaves open (APPNOTE 4.5.3).
fn numbers(header: &CentralHeader<'_>) -> Result<([u64; 3], u32), &'static str> {
    let mut fields = fields_of(header.extra, ZIP64);
    let field = fields.next().unwrap_or_default();
    if fields.next().is_some() {
        return Err("has two ZIP64 fields");
    }
    let mut rest = field;
    let mut resolve = |narrow: u32| {
        if narrow != u32::MAX {
            return Some(u64::from(narrow));
        }
        let (wide, more) = rest.split_first_chunk()?;
        rest = more;
        Some(u64::from_le_bytes(*wide))
    };
    let numbers = [resolve(header.size), resolve(header.compressed), resolve(header.offset)];
    let open_disk = header.disk == u16::MAX;
    let disk = if open_disk { u32_at(rest, 0) } else { Some(header.disk.into()) };
    let ([Some(size), Some(compressed), Some(offset)], Some(disk)) = (numbers, disk) else {
        return Err("lacks a ZIP64 field that it needs");
    };
    let numbers = [size, compressed, offset];
    // A field that is not needed is room kept for numbers, or has the same ones: others, some readers believe.
    let said = [0, 8, 16].map(|at| u64_at(field, at).filter(|said| *said != 0));
    let differs = said.iter().zip(numbers).any(|(said, number)| said.is_some_and(|said| said != number));
    if !open_disk && rest.len() == field.len() && differs {
        return Err("has a ZIP64 field that contradicts its header");
    }
    Ok((numbers, disk))
}
