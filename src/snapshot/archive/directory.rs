//! The central directory in memory: its bytes as they are, and 32 bytes an entry beside them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::OnceLock;

use super::ends::{self, Place};
use super::fault::{Fault, Judged};
use super::format::{CENTRAL_LEN, Central, LOCAL, LOCAL_LEN, UNICODE_PATH, ZIP64, fields, u32_at, u64_at};
use super::name;
use super::window::read_exact;
use crate::error::{Error, Refusal, Result};
use crate::snapshot::source::Source;

/// The largest directory that is read: some four million entries with names of ordinary length.
const LARGEST: u64 = 512 << 20;

/// What an entry says in its central header, zip64 resolved and the prefix added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Where the local header begins in the file.
    pub(super) header: u64,
    pub(super) packed: u64,
    pub(super) size: u64,
    /// Where the central header begins in the directory.
    at: u32,
    pub(super) crc: u32,
}

/// All that is known of an archive without looking at its entries.
#[derive(Debug)]
pub(super) struct Directory {
    bytes: Vec<u8>,
    records: Vec<Record>,
    /// Names that are not the header's bytes as they are, and what is wrong with them.
    decoded: HashMap<u32, (Box<str>, Option<&'static str>)>,
    /// Where the directory begins in the file: entries end there.
    pub(super) start: u64,
    index: OnceLock<Index>,
}

impl Directory {
    /// Reads and judges the end records and the directory: two reads, and two of four bytes when there is a prefix.
    pub(super) fn read<S: Source + ?Sized>(source: &S) -> Result<Self> {
        let reading = |e| Error::Archive { entry: None, source: Box::new(e) };
        let size = source.size().map_err(reading)?;
        let place = ends::find(source, size).map_err(reading)?.map_err(Fault::of_archive)?;
        if place.len > LARGEST {
            let fault = Fault::new(Refusal::TooMany, "its directory is larger than 512 MiB");
            return Err(fault.of_archive());
        }
        let mut bytes = vec![0; usize::try_from(place.len).unwrap_or(0)];
        read_exact(source, place.start, &mut bytes).map_err(reading)?;
        let directory = Self::parse(bytes, place).map_err(Fault::of_archive)?;

        // A prefix is a script or a program. If it is an archive, the directory does not list what is in the file.
        let first = directory.records.iter().map(|r| r.header).min();
        let signature = |at| -> Result<bool> {
            let mut found = [0; 4];
            read_exact(source, at, &mut found).map_err(reading)?;
            Ok(found == LOCAL)
        };
        let hidden = first.unwrap_or(place.start) > 3 && signature(0)?;
        let misplaced = place.shift > 0 && first.map_or(Ok(false), |at| signature(at).map(|found| !found))?;
        if hidden || misplaced {
            let fault = Fault::corrupt(
                "it has entries or a directory beside those it lists; get the file again, and if it is the same do not trust it",
            );
            return Err(fault.of_archive());
        }
        Ok(directory)
    }

    fn parse(bytes: Vec<u8>, place: Place) -> Judged<Self> {
        let count = usize::try_from(place.entries).unwrap_or(usize::MAX).min(bytes.len() / CENTRAL_LEN);
        let mut records = Vec::with_capacity(count);
        let mut decoded = HashMap::new();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(mut central) = Central::parse(rest) else {
                return Err(Fault::corrupt(
                    "its directory has something that is no entry; get the file again",
                ));
            };
            // Few entries have one of the two fields that count here: the others' fields are gone through once.
            if !fields(central.extra).any(|(id, _)| id == ZIP64 || id == UNICODE_PATH) {
                central.extra = &[];
            }
            let record = record(&central, at, place)?;
            let (name, problem) = name::decode(&central);
            if problem.is_some() || matches!(name, Cow::Owned(_)) {
                decoded.insert(records.len() as u32, (name.into(), problem));
            }
            records.push(record);
            at += central.len;
        }
        if records.len() as u64 != place.entries {
            return Err(Fault::corrupt(format!(
                "its end record counts {} entries and its directory has {}",
                place.entries,
                records.len()
            )));
        }
        Ok(Self { bytes, records, decoded, start: place.start, index: OnceLock::new() })
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn record(&self, index: u32) -> Option<&Record> {
        self.records.get(index as usize)
    }

    /// The header an entry was read from.
    pub(super) fn central(&self, index: u32) -> Central<'_> {
        let bytes = self.record(index).and_then(|r| self.bytes.get(r.at as usize..));
        bytes.and_then(Central::parse).unwrap_or_default()
    }

    /// The entry's name as text.
    pub(super) fn name(&self, index: u32) -> &str {
        if let Some((name, _)) = self.decoded.get(&index) {
            return name;
        }
        std::str::from_utf8(self.central(index).name).unwrap_or_default()
    }

    /// What is wrong with the bytes of the entry's name, if anything is.
    pub(super) fn name_problem(&self, index: u32) -> Option<&'static str> {
        self.decoded.get(&index).and_then(|(_, problem)| *problem)
    }

    /// The first entry of that name, and whether there are others. The first call builds an index: 8 bytes an entry.
    pub(super) fn find(&self, name: &str) -> Option<(u32, bool)> {
        self.index.get_or_init(|| Index::of(self)).find(self, name)
    }

    /// All entries in the order of their data.
    pub(super) fn by_offset(&self) -> Vec<u32> {
        let mut order: Vec<u32> = self.indices().collect();
        let header = |i: &u32| self.record(*i).map(|r| r.header);
        if !order.is_sorted_by_key(header) {
            order.sort_by_key(header);
        }
        order
    }

    pub(super) fn indices(&self) -> Range<u32> {
        0..self.records.len() as u32
    }
}

/// One entry's numbers, and whether they can be true.
fn record(central: &Central<'_>, at: usize, place: Place) -> Judged<Record> {
    let bad = |detail: &'static str| {
        Err(Fault { refusal: Refusal::Corrupt, detail: named(central, detail).into() })
    };
    let mut wide = None;
    for (_, body) in fields(central.extra).filter(|(id, _)| *id == ZIP64) {
        if wide.replace(body).is_some() {
            return bad("has two zip64 fields");
        }
    }
    let narrow = [central.size, central.packed, central.offset];
    let open = narrow.map(|n| n == u32::MAX);
    let mut values = narrow.map(u64::from);
    let mut disk = u32::from(central.disk);
    let mut from = 0;
    if open.contains(&true) || central.disk == 0xFFFF {
        let body = wide.unwrap_or_default();
        for (value, open) in values.iter_mut().zip(open) {
            if open {
                let Some(n) = u64_at(body, from) else { return bad("lacks a zip64 field that it needs") };
                (*value, from) = (n, from + 8);
            }
        }
        if central.disk == 0xFFFF {
            let Some(n) = u32_at(body, from) else { return bad("lacks a zip64 field that it needs") };
            disk = n;
        }
    } else if let Some(body) = wide {
        // Superfluous, so it may not say otherwise: some readers believe it.
        let said = [0, 8, 16].map(|at| u64_at(body, at));
        if said.iter().zip(values).any(|(said, value)| said.is_some_and(|said| said != value)) {
            return bad("has a zip64 field that contradicts its header");
        }
    }
    if disk != 0 {
        return Err(Fault::new(
            Refusal::Unsupported,
            "it is one part of an archive in several files; join the parts first",
        ));
    }
    let [size, packed, offset] = values;
    let header = offset.checked_add(place.shift);
    let least =
        header.and_then(|h| h.checked_add((LOCAL_LEN + central.name.len()) as u64)?.checked_add(packed));
    let (Some(header), true) = (header, least.is_some_and(|end| end <= place.start)) else {
        return bad("claims bytes that are not there; get the file again");
    };
    let at = u32::try_from(at).map_err(|_| Fault::corrupt("its directory is too large"))?;
    Ok(Record { header, packed, size, at, crc: central.crc })
}

fn named(central: &Central<'_>, detail: &str) -> String {
    format!("its entry {} {detail}", super::fault::shown(&name::decode(central).0))
}

/// Names to entries: an open hash table of entry numbers. Hashed with a random key, since names come from strangers.
#[derive(Debug)]
struct Index {
    hasher: RandomState,
    slots: Vec<u32>,
    /// The first entry of each name that occurs again.
    again: Vec<u32>,
}

impl Index {
    const FREE: u32 = u32::MAX;

    fn of(directory: &Directory) -> Self {
        let size = (directory.len() * 2).next_power_of_two().max(2);
        let mut index = Self { hasher: RandomState::new(), slots: vec![Self::FREE; size], again: Vec::new() };
        for i in directory.indices() {
            let slot = index.slot(directory, directory.name(i));
            match index.slots.get_mut(slot) {
                Some(free) if *free == Self::FREE => *free = i,
                Some(first) => index.again.push(*first),
                None => {}
            }
        }
        index.again.sort_unstable();
        index
    }

    /// The slot where that name is, or would be: half of all slots are free, so there is one.
    fn slot(&self, directory: &Directory, name: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(name) as usize & mask;
        while let Some(i) = self.slots.get(slot).filter(|i| **i != Self::FREE) {
            if directory.name(*i) == name {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn find(&self, directory: &Directory, name: &str) -> Option<(u32, bool)> {
        let i = *self.slots.get(self.slot(directory, name)).filter(|i| **i != Self::FREE)?;
        Some((i, self.again.binary_search(&i).is_ok()))
    }
}
