//! I/O. The file that collects a download's bytes, and the record beside it that says what they belong to.
//!
//! `.<name>.part` holds nothing but bytes of the snapshot. `.<name>.part.meta` holds one line of JSON
//! ([`Record`]) and a line of fixed width for each piece of the snapshot: how many of the piece's bytes are
//! written, and how many of them are known to be on the disk. The first number is raised after each write
//! and counts as long as the machine stays up, also after `kill -9`; after a restart of the machine only
//! the second one counts. A record that is missing, damaged or another download's means starting over.
//!
//! The part file is locked by who writes it; the rules that keep two processes apart are in [`files`](super::files).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::files::{Locked, lock, names, release, rename, sync_file, with_suffix};
use super::leftovers::{adopt, of, read_record, remove_record};
use super::location::Location;
use super::name::part_name;
use super::range::Object;
use super::record::{self, Piece, Record};
use crate::error::{Error, Result};

/// The pause between two checks whether another process has released the part file.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How many times others may replace the part file before the attempt to lock it is given up.
const CHANGES: u32 = 20;

/// An open, locked part file. Threads write to it side by side, each to pieces of its own.
pub(crate) struct Part {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    /// The record's file, as soon as there is something to record.
    meta: Option<File>,
    meta_path: PathBuf,
    record: Record,
    pieces: Vec<Piece>,
    /// How many bytes of each piece are written.
    done: Vec<AtomicU64>,
    /// Where the lines begin in the record.
    lines: u64,
    /// Whether a later download cannot use what was written.
    useless: AtomicBool,
}

impl Part {
    /// Opens the part file of `name` in `dir`, with what an earlier run left in it of the snapshot at `location`. While
    /// another download writes to it, calls `waiting` and tries again.
    pub(crate) fn open(
        dir: &Path,
        name: &str,
        location: &Location,
        mut waiting: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        let path = dir.join(part_name(name));
        let mut changes = 0;
        let mut file = loop {
            match lock(&path).map_err(|e| Error::io("creating", &path, e))? {
                Locked::Ours(file) => break file,
                Locked::Busy => waiting()?,
                Locked::Changed if changes < CHANGES => changes += 1,
                Locked::Changed => return Err(Error::io("locking", path, io::ErrorKind::ResourceBusy.into())),
            }
            std::thread::sleep(LOOK_AGAIN);
        };
        let meta_path = with_suffix(&path, ".meta");
        let record = of(location);
        let mut found = read_record(&meta_path).inspect_err(|_| release(&file))?;
        // A name of the caller's choice stands for itself.
        if found.is_empty()
            && *name == *location.file_name
            && let Some(adopted) = adopt(dir, &path, &record)
        {
            release(&std::mem::replace(&mut file, adopted));
            found = read_record(&meta_path).inspect_err(|_| release(&file))?;
        }
        let length = file.metadata().map_err(|e| Error::io("reading", &path, e))?.len();
        let found = Record::parse(&found, &record, boot_id().as_deref(), length);
        let mut part = Self {
            file,
            path,
            meta: None,
            meta_path,
            record,
            pieces: Vec::new(),
            done: Vec::new(),
            lines: 0,
            useless: AtomicBool::new(false),
        };
        match found {
            Some((record, pieces)) => part.resume(record, pieces)?,
            None => part.clear()?,
        }
        Ok(part)
    }

    /// What the bytes belong to.
    pub(crate) fn object(&self) -> &Object {
        &self.record.object
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How many bytes of a piece are written.
    pub(crate) fn done_of(&self, piece: usize) -> u64 {
        self.done.get(piece).map_or(0, |done| done.load(Ordering::Acquire))
    }

    /// How many bytes are written.
    pub(crate) fn done(&self) -> u64 {
        (0..self.done.len()).map(|piece| self.done_of(piece)).sum()
    }

    /// Whether the snapshot is cut into pieces that can be fetched side by side.
    pub(crate) fn is_cut(&self) -> bool {
        self.record.piece > 0
    }

    fn resume(&mut self, record: Record, mut pieces: Vec<Piece>) -> Result<()> {
        if pieces.iter().all(|piece| piece.len == Some(piece.done))
            && let Some(last) = pieces.last_mut()
        {
            // One byte is requested again, to be shown that it still is the same snapshot.
            last.done = last.done.saturating_sub(1);
            last.durable = last.durable.min(last.done);
        }
        self.set(record, pieces)
    }

    /// Forgets everything: the record first, so that a crash in between leaves nothing to trust.
    pub(crate) fn clear(&mut self) -> Result<()> {
        match fs::remove_file(&self.meta_path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("removing", &self.meta_path, e));
            }
            _ => self.meta = None,
        }
        self.file.set_len(0).map_err(|e| Error::io("emptying", &self.path, e))?;
        self.record.object = Object::default();
        self.record.piece = 0;
        (self.pieces, self.done) = (Vec::new(), Vec::new());
        Ok(())
    }

    /// Writes down what the bytes belong to, and cuts them into pieces of `piece` bytes, or one for 0. What one
    /// piece held before belongs to the same object.
    pub(crate) fn begin(&mut self, object: &Object, piece: u64) -> Result<()> {
        let durable = self.pieces.iter().map(|piece| piece.durable).sum();
        let pieces = record::cut(piece, object.total, self.done(), durable);
        self.set(Record { object: object.clone(), piece, ..self.record.clone() }, pieces)
    }

    /// Puts a new record in the place of the old one: a kill leaves one of them whole.
    fn set(&mut self, record: Record, pieces: Vec<Piece>) -> Result<()> {
        self.record = Record { format: record::FORMAT, boot: boot_id(), ..record };
        self.done = pieces.iter().map(|piece| piece.done.into()).collect();
        self.pieces = pieces;
        let new = with_suffix(&self.meta_path, ".new");
        let write = || {
            let (text, lines) = self.record.text(&self.pieces)?;
            let _ = fs::remove_file(&new);
            let meta = File::create_new(&new)?;
            write_all_at(&meta, &text, 0)?;
            rename(&new, &self.meta_path)?;
            Ok((Some(meta), lines))
        };
        (self.meta, self.lines) = write().map_err(|e: io::Error| {
            let _ = fs::remove_file(&new);
            Error::io("writing", &self.meta_path, e)
        })?;
        Ok(())
    }

    /// Writes the next bytes of a piece, then notes them.
    pub(crate) fn write(&self, piece: usize, bytes: &[u8]) -> Result<()> {
        let (start, done) = (self.pieces[piece].start, &self.done[piece]);
        let before = done.load(Ordering::Acquire);
        let after = before + bytes.len() as u64;
        write_all_at(&self.file, bytes, start + before).map_err(|e| Error::io("writing", &self.path, e))?;
        self.note(piece, 0, after).map_err(|e| Error::io("writing", &self.meta_path, e))?;
        done.store(after, Ordering::Release);
        Ok(())
    }

    /// Puts on the disk what is written.
    pub(crate) fn sync(&self) -> Result<()> {
        sync_file(&self.file).map_err(|e| {
            // Data that could not be written to the disk may be lost from the page cache, too.
            self.discard();
            Error::io("syncing", &self.path, e)
        })
    }

    /// Puts on the disk what is written, then notes it.
    pub(crate) fn sync_and_note(&self) -> Result<()> {
        let done: Vec<u64> = (0..self.done.len()).map(|piece| self.done_of(piece)).collect();
        self.sync()?;
        let noted = || {
            for (piece, done) in done.into_iter().enumerate() {
                self.note(piece, record::DURABLE, done)?;
            }
            self.meta.as_ref().map_or(Ok(()), sync_file)
        };
        noted().map_err(|e| Error::io("syncing", &self.meta_path, e))
    }

    fn note(&self, piece: usize, column: u64, done: u64) -> io::Result<()> {
        let Some(meta) = &self.meta else { return Ok(()) };
        let at = self.lines + record::line_at(piece) + column;
        write_all_at(meta, format!("{done:016x}").as_bytes(), at)
    }

    /// Whether the path still leads to the file that was written.
    pub(crate) fn is_in_place(&self) -> bool {
        names(&self.file, &self.path).is_some()
    }

    /// Marks the part file for removal when it is dropped.
    pub(crate) fn discard(&self) {
        self.useless.store(true, Ordering::Relaxed);
    }
}

/// Keeps a part file that can be resumed, and removes any other.
impl Drop for Part {
    fn drop(&mut self) {
        let useless = self.useless.load(Ordering::Relaxed);
        if (useless || !self.record.object.is_provable() || self.done() == 0) && self.is_in_place() {
            let _ = fs::remove_file(&self.path);
        }
        remove_record(&self.path);
        release(&self.file);
    }
}

/// The boot id of the machine. `None` where the system does not tell.
fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty() && t.len() < 100)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset += count as u64;
            }
        }
    }
    Ok(())
}
