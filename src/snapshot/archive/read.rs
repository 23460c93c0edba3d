//! Archives looked into without extracting them: entries read or verified, names shown, and two archives compared.

use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::data::SPAN;
use super::directory::{CentralDirectory, Layout};
use super::entry::{Entry, EntryKind, readable};
use super::fault::{BadEntry, Failure, Fault, shown};
use super::local::{Reader, judge_prefix};
use super::work::{Batches, cores};
use crate::error::{Error, Refusal, Result};
use crate::snapshot::source::Source;

/// Pieces of 256 KiB that wait for the reader at most.
const AHEAD: usize = 2;

/// The one entry of that name, if it has content that can be read.
pub(super) fn find(directory: &CentralDirectory, name: &str) -> Result<u32> {
    let Some((index, again)) = directory.find(name) else {
        return Err(Error::NoSuchEntry { name: name.to_owned() });
    };
    let judged = match (Entry { directory, index }).kind() {
        _ if again => Err(Fault::new(Refusal::Collision, "several entries have this name")),
        EntryKind::Directory | EntryKind::Special => {
            Err(Fault::new(Refusal::Special, "it is not a file; only files and links have content"))
        }
        _ => readable(directory, index),
    };
    judged.map(|()| index).map_err(|fault| fault.error(Some(name)))
}

/// The content of one entry, as [`Archive::reader`](crate::Archive::reader) gives it.
///
/// The end (`Ok(0)`) comes only after size and CRC-32 have been found right; an error of the archive comes as
/// an [`io::Error`] with the crate's [`Error`] inside. Dropping it early ends the work.
pub struct EntryReader {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    done: bool,
}

impl EntryReader {
    /// Starts a thread that decodes the entry, so that the stream borrows nothing.
    pub(super) fn start<S: Source + 'static>(
        source: Arc<S>,
        directory: Arc<CentralDirectory>,
        index: u32,
    ) -> Result<Self> {
        let (sender, pieces) = sync_channel(AHEAD);
        // The header is judged here: what is wrong with it is an error of this call.
        let judged = Reader::new(&*source, &directory, 0).look(index);
        judged.map_err(|e| e.error(Some(directory.name(index))))?;
        let work = move || decode(&*source, &directory, index, &sender);
        let thread = thread::Builder::new().name("archive-entry".into()).spawn(work);
        thread.map_err(|e| Error::io("starting a thread to read", "the archive", e))?;
        Ok(Self { pieces, piece: io::Cursor::default(), done: false })
    }
}

fn decode<S: Source>(
    source: &S,
    directory: &CentralDirectory,
    index: u32,
    sender: &SyncSender<io::Result<Vec<u8>>>,
) {
    // When nobody receives any more, the error that ends the work is of no interest.
    let send = |piece: &[u8]| {
        let gone = |_| Error::Cancelled { action: "reading", path: directory.name(index).into() };
        if piece.is_empty() { Ok(()) } else { sender.send(Ok(piece.to_vec())).map_err(gone) }
    };
    let last = match Reader::new(source, directory, SPAN as u64).read_one(index, None, send) {
        Ok(()) => Ok(Vec::new()),
        Err(Failure::Source(e)) => Err(e),
        Err(e) => Err(e.error(Some(directory.name(index))).into()),
    };
    let _ = sender.send(last);
}

impl Read for EntryReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.piece.read(out)?;
            if n > 0 || out.is_empty() || self.done {
                return Ok(n);
            }
            match self.pieces.recv() {
                // An empty piece is the end.
                Ok(piece) => self.piece = io::Cursor::new(piece?),
                Err(_) => return Err(io::Error::other("reading the entry failed before")),
            }
            self.done = self.piece.get_ref().is_empty();
        }
    }
}

impl fmt::Debug for EntryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryReader").field("done", &self.done).finish_non_exhaustive()
    }
}

/// What [`Archive::verify`](crate::Archive::verify) found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Entries looked at: all of them.
    pub entries: usize,
    /// Bytes decoded and found right.
    pub bytes: u64,
    /// All that is wrong, in the order of the central directory; empty when the archive is whole.
    pub bad: Vec<BadEntry>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.bad.is_empty()
    }
}

/// Reads every entry. Nothing is written.
pub(super) fn verify<S: Source + ?Sized>(source: &S, directory: &CentralDirectory) -> Result<Verified> {
    let layout = Layout::of(directory);
    let mut bad: Vec<(Option<u32>, Fault)> =
        layout.overlapping.iter().map(|index| (Some(*index), Layout::overlap())).collect();
    match judge_prefix(source, directory) {
        Err(Failure::Refused(fault)) => bad.push((None, fault)),
        result => result.map_err(|e| e.error(None))?,
    }
    let mut order: Vec<u32> = directory.indices().collect();
    order.sort_by_key(|index| directory.record(*index).offset);
    let found = Mutex::new((0u64, bad));
    let check = |reader: &mut Reader<'_, S>, batch: &[u32]| {
        reader.read_ahead_to(batch.iter().map(|index| layout.next(*index)).max().unwrap_or(0));
        for &index in batch {
            let result = reader.read(index, layout.next(index), |_| Ok(()));
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(()) => found.0 += directory.record(index).size,
                Err(Failure::Refused(fault)) => found.1.push((Some(index), fault)),
                Err(e) => return Err(e.error(Some(directory.name(index)))),
            }
        }
        Ok(())
    };
    let worker = || Reader::new(source, directory, SPAN as u64);
    let batches = Batches::of(order, |index| directory.record(*index).size);
    batches.run(cores(), worker, check, &AtomicBool::new(false))?;
    let (bytes, mut bad) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    bad.sort_by_key(|(index, _)| *index);
    // An entry may have several faults; the first says enough.
    bad.dedup_by_key(|(index, _)| index.map_or(u64::MAX, u64::from));
    let bad = bad.into_iter().map(|(index, fault)| BadEntry::new(index.map(|i| directory.name(i)), fault));
    Ok(Verified { entries: directory.len(), bytes, bad: bad.collect() })
}

/// An archive's names as a tree, made by [`Archive::tree`](crate::Archive::tree) and meant to be printed.
pub struct Tree<'a> {
    directory: &'a CentralDirectory,
}

impl<'a> Tree<'a> {
    pub(super) fn of(directory: &'a CentralDirectory) -> Self {
        Self { directory }
    }
}

impl fmt::Debug for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("entries", &self.directory.len()).finish()
    }
}

/// One line a component, indented by its depth; names escaped, sizes of files in bytes.
impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<Entry<'_>> =
            self.directory.indices().map(|index| Entry { directory: self.directory, index }).collect();
        entries.sort_by(|a, b| a.name().split('/').cmp(b.name().split('/')));
        let mut open: Vec<&str> = Vec::new();
        for entry in entries {
            let parts: Vec<&str> = entry.name().split('/').filter(|part| !part.is_empty()).collect();
            let shared = open.iter().zip(&parts).take_while(|(a, b)| a == b).count();
            // The last component is the entry itself, even if a line of the same name came before.
            let from = shared.min(parts.len().saturating_sub(1));
            let is_directory = entry.kind() == EntryKind::Directory;
            for (depth, part) in parts.iter().enumerate().skip(from) {
                let last = depth + 1 == parts.len();
                if last && is_directory && shared == parts.len() {
                    continue;
                }
                // Depth is the archive's word: it must not make lines of megabytes.
                write!(f, "{:indent$}{}", "", shown(part), indent = 2 * depth.min(100))?;
                match entry.kind() {
                    _ if !last => writeln!(f, "/")?,
                    EntryKind::Directory => writeln!(f, "/")?,
                    EntryKind::File => writeln!(f, "  {}", entry.size())?,
                    EntryKind::Symlink => writeln!(f, "  (link)")?,
                    EntryKind::Special => writeln!(f, "  (special)")?,
                }
            }
            open = parts;
        }
        Ok(())
    }
}

/// One difference between two archives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The entry's name, as stored.
    pub name: String,
    /// Its size in the older archive, if it is there.
    pub old_size: Option<u64>,
    /// Its size in the newer archive, if it is there.
    pub new_size: Option<u64>,
}

/// What [`Archive::diff`](crate::Archive::diff) found. Each list has the order of the archive it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff {
    /// Only in the newer archive.
    pub added: Vec<Difference>,
    /// Only in the older archive.
    pub removed: Vec<Difference>,
    /// In both, with another size, checksum or kind.
    pub changed: Vec<Difference>,
}

impl Diff {
    /// Whether both have the same entries with the same content.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

pub(super) fn diff(old: &CentralDirectory, new: &CentralDirectory) -> Diff {
    let mut diff = Diff::default();
    let entry = |directory, index| Entry { directory, index };
    for was in old.indices().map(|index| entry(old, index)) {
        let name = was.name();
        let Some((index, _)) = new.find(name) else {
            diff.removed.push(Difference { name: name.into(), old_size: Some(was.size()), new_size: None });
            continue;
        };
        let is = entry(new, index);
        if (was.size(), was.crc32(), was.kind()) != (is.size(), is.crc32(), is.kind()) {
            diff.changed.push(Difference {
                name: name.into(),
                old_size: Some(was.size()),
                new_size: Some(is.size()),
            });
        }
    }
    for is in new.indices().map(|index| entry(new, index)).filter(|is| old.find(is.name()).is_none()) {
        diff.added.push(Difference { name: is.name().into(), old_size: None, new_size: Some(is.size()) });
    }
    diff
}
