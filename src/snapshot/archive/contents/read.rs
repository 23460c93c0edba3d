//! Archives read without extracting them: the content of entries, and whether all of it is whole.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::Archive;
use super::entry::{Entry, EntryKind};
use super::local::Reader;
use super::meter::{Meter, run_reporting};
use super::work;
use crate::error::{Error, Refusal, Result};
use crate::progress::{Callback, Progress, Throttle};
use crate::snapshot::archive::fault::{BadEntry, Failure, Fault};
use crate::snapshot::source::Source;

/// The largest entry that [`Archive::read`] puts into memory.
const READ_LIMIT: u64 = 1 << 30;

/// Pieces of 256 KiB that wait for the reader at most.
const AHEAD: usize = 2;

impl<S: Source> Archive<S> {
    /// Returns the content of an entry, its size and CRC-32 checked. Memory: the content, 1 GiB at most; one or two
    /// reads.
    ///
    /// ```
    /// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    /// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
    /// # std::io::Write::write_all(&mut zip, b"{}")?;
    /// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
    /// assert_eq!(archive.read("app/config.json")?, b"{}");
    /// assert!(archive.read("no such file").unwrap_err().to_string().contains("no such file"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`] when there is none of that name; [`Error::Refused`] when it is not a file or a link,
    /// larger than 1 GiB, listed twice, encrypted, compressed by an unknown method or damaged; [`Error::Archive`] when
    /// the source fails.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let entry = self.find(name)?;
        let mut contents = self.contents(&[entry])?;
        Ok(contents.pop().unwrap_or_default())
    }

    /// Returns the contents of several entries, in the order of `names`. Straight from the snapshot host, entries that are
    /// next to each other in the zip are fetched in one request. Memory: all contents together, 1 GiB at most.
    ///
    /// ```
    /// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    /// # for (name, text) in [("a.txt", "first"), ("b.txt", "second")] {
    /// #     zip.start_file(name, zip::write::SimpleFileOptions::default())?;
    /// #     std::io::Write::write_all(&mut zip, text.as_bytes())?;
    /// # }
    /// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
    /// assert_eq!(archive.read_many(["b.txt", "a.txt"])?, [b"second".to_vec(), b"first".to_vec()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`read`](Self::read), for any of the entries; then nothing is returned.
    pub fn read_many(&self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<Vec<u8>>> {
        let entries: Vec<_> = names.into_iter().map(|name| self.find(name.as_ref())).collect::<Result<_>>()?;
        self.contents(&entries)
    }

    fn contents(&self, entries: &[Entry<'_>]) -> Result<Vec<Vec<u8>>> {
        let mut left = READ_LIMIT;
        for entry in entries {
            let Some(rest) = left.checked_sub(entry.size()) else {
                let detail = match entries.len() {
                    1 => "it is larger than 1 GiB; write it somewhere with `copy`",
                    _ => "with those before it, it is larger than 1 GiB; read fewer at once",
                };
                return Err(self.naming(Fault::new(Refusal::TooLarge, detail).error(Some(entry.name()))));
            };
            left = rest;
        }
        let mut wanted: HashMap<u32, usize> = HashMap::new();
        entries.iter().for_each(|entry| *wanted.entry(entry.index).or_default() += 1);
        let (indices, mut contents) = (wanted.keys().copied().collect(), HashMap::new());
        let read = |reader: &mut Reader<'_>, index: u32| {
            contents.insert(index, reader.content(index)?);
            Ok(())
        };
        work::read_some(self, indices, false, read).map_err(|error| self.naming(error))?;
        // The last one of a name gets the content, those before it a copy.
        let mut give = |index: u32| match wanted.get_mut(&index) {
            Some(count) if *count > 1 => {
                *count -= 1;
                contents.get(&index).cloned()
            }
            _ => contents.remove(&index),
        };
        Ok(entries.iter().map(|entry| give(entry.index).unwrap_or_default()).collect())
    }

    /// Writes the content of an entry to `to` and returns its size. Memory: half a MiB; for a large entry straight from the
    /// snapshot host, about 32 MiB. The size and CRC-32 are checked, but only at the end: on an error, what was written already is worth nothing.
    ///
    /// ```
    /// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    /// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
    /// # std::io::Write::write_all(&mut zip, b"{}")?;
    /// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
    /// let mut copied = Vec::new(); // or a file, standard output, a hash
    /// assert_eq!(archive.copy("app/config.json", &mut copied)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`read`](Self::read), except that there is no limit; [`Error::Io`] when `to` fails.
    pub fn copy(&self, name: &str, mut to: impl Write) -> Result<u64> {
        let entry = self.find(name)?;
        let failed = |e| Error::io("writing", name, e);
        let mut out = |piece: &[u8]| to.write_all(piece).map_err(failed);
        let result = work::read_some(self, vec![entry.index], false, |reader, index| reader.read(index, &mut out));
        result.map_err(|error| self.naming(error))?;
        to.flush().map_err(failed)?;
        Ok(entry.size())
    }

    /// Returns a reader of an entry's content, which a thread of its own decodes meanwhile. Memory: about 1 MiB; for a large
    /// entry straight from the snapshot host, about 32 MiB. Where the system has no more threads, it is [read](Self::read) into memory at once, with the limit of that method.
    ///
    /// # Errors
    /// Those of [`copy`](Self::copy) that show before anything is read; later ones come from the stream.
    pub fn reader(&self, name: &str) -> Result<EntryReader>
    where
        S: 'static,
    {
        let (archive, index) = (self.clone(), self.find(name)?.index);
        let (sender, pieces) = sync_channel(AHEAD);
        let work = move || send_pieces(&archive, index, &sender);
        let thread = thread::Builder::new().name("archive-entry".into()).spawn(work);
        let content = if thread.is_ok() { Vec::new() } else { self.read(name)? };
        Ok(EntryReader { pieces, piece: io::Cursor::new(content), done: thread.is_err() })
    }

    /// Compares every entry's headers and data with the central directory: structure, sizes and CRC-32. Everything is
    /// decoded once by all cores and nothing is written. Memory: half a MiB a core; straight from the snapshot host, about
    /// 32 MiB more. To see progress or to cancel, use [`verify_with`](Self::verify_with).
    ///
    /// Names and links are harmless until extracted: they are judged by [`plan`](Self::plan).
    ///
    /// ```
    /// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    /// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
    /// # std::io::Write::write_all(&mut zip, b"{}")?;
    /// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
    /// let verified = archive.verify()?;
    /// for bad in &verified.bad {
    ///     println!("{:?}: {}", bad.name, bad.detail);
    /// }
    /// assert!(verified.is_ok() && verified.bytes == 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Archive`] when the source fails. What is wrong with the archive is not an error but the result.
    pub fn verify(&self) -> Result<Verified> {
        self.check(&self.meter(None)).map_err(|error| self.naming(error))
    }

    /// Verifies as [`verify`](Self::verify) does, with a callback that receives the progress and can cancel the call.
    ///
    /// Calls come at least every 100 ms, even when the source is slow.
    ///
    /// # Errors
    /// As [`verify`](Self::verify), and [`Error::Cancelled`].
    pub fn verify_with(&self, callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync) -> Result<Verified> {
        let meter = self.meter(Some(Callback::new(callback)));
        let verified = run_reporting(&meter, || self.check(&meter)).map_err(|error| self.naming(error))?;
        meter.report_now()?;
        Ok(verified)
    }

    fn meter<'a>(&'a self, callback: Option<Callback<'a>>) -> Meter<'a> {
        let name = self.name.as_deref().unwrap_or("the archive");
        Meter::new(Throttle::new(callback, "verifying", Path::new(name)), self.total_size(), self.len() as u64)
    }

    fn check(&self, meter: &Meter<'_>) -> Result<Verified> {
        let mut reader = Reader::of_all(self, &*self.source);
        let mut whole = Vec::new();
        if let Err(error) = work::judge_prefix(self, &meter.stop) {
            whole.push(BadEntry::of(error)?);
        }
        let found = Mutex::new((0, reader.judge_overlaps(|_| meter.add(0, 0).map(|()| true))?));
        let read = |reader: &mut Reader<'_>, index: u32, ()| {
            let result = reader.read(index, &mut |piece| meter.add(piece.len() as u64, 0));
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(()) => found.0 += self.directory.record(index).size,
                Err(error) => found.1.push((index, BadEntry::of(error)?)),
            }
            drop(found);
            meter.add(0, 1)
        };
        let jobs = self.directory.indices().map(|index| (index, ())).collect();
        work::read_entries(self, jobs, work::cores(), &meter.stop, read)?;
        let (bytes, mut bad) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        bad.sort_by_key(|(index, _)| *index);
        // An entry may have several faults; the first says enough.
        bad.dedup_by_key(|(index, _)| *index);
        whole.extend(bad.into_iter().map(|(_, bad)| bad));
        Ok(Verified { entries: self.len(), bytes, bad: whole })
    }

    /// The one entry of that name, if it has content that can be read.
    fn find(&self, name: &str) -> Result<Entry<'_>> {
        let Some((index, again)) = self.directory.find(name) else {
            return Err(self.naming(Error::NoSuchEntry { archive: None, name: name.to_owned() }));
        };
        let entry = Entry { directory: &self.directory, index };
        let judged = match entry.kind() {
            _ if again => Err(Fault::new(Refusal::Collision, "several entries have this name")),
            EntryKind::Directory | EntryKind::Special => {
                Err(Fault::new(Refusal::Special, "it is not a file; only files and links have content"))
            }
            _ => entry.readable(),
        };
        judged.map(|()| entry).map_err(|fault| self.naming(fault.error(Some(name))))
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

/// A reader of one entry's content: [`Archive::reader`](crate::Archive::reader).
///
/// The end (`Ok(0)`) comes only after size and CRC-32 have been found right; an error of the archive comes as
/// an [`io::Error`] with the crate's [`Error`] inside. Dropping it early ends the work.
pub struct EntryReader {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    done: bool,
}

/// Decodes an entry for an [`EntryReader`]; an empty piece is the end.
fn send_pieces<S: Source>(archive: &Archive<S>, index: u32, sender: &SyncSender<io::Result<Vec<u8>>>) {
    let name = archive.directory.name(index);
    // When nobody receives any more, the error that ends the work is of no interest.
    let mut send = |piece: &[u8]| {
        let gone = |_| Error::Cancelled { action: "reading", path: name.into() };
        if piece.is_empty() { Ok(()) } else { sender.send(Ok(piece.to_vec())).map_err(gone) }
    };
    let last = match work::read_some(archive, vec![index], false, |reader, index| reader.decode(index, &mut send)) {
        Ok(()) => Ok(Vec::new()),
        Err(Failure::Source(e)) => Err(e),
        Err(e) => Err(archive.naming(e.error(Some(name))).into()),
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
