//! I/O. The file that collects a download's bytes, and the record beside it that says what they belong to.
//!
//! `.<name>.part` holds nothing but bytes of the snapshot. `.<name>.part.meta` holds one line of JSON
//! ([`Record`]) and a line of fixed width for each piece of the snapshot: how many of the piece's bytes are
//! written, and how many of them are known to be on the disk. The first number is raised after each write
//! and counts as long as the machine stays up, also after `kill -9`; after a restart of the machine only
//! the second one counts. A record that is missing, damaged or another download's means starting over.
//!
//! The part file is locked by who writes it; the rules that keep two processes apart are in [`lock`](super::lock).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::lock::{Locked, lock, make_room, meta_path, names, release, sweep};
use super::name::{part_name, unique_part_name};
use super::range::Version;
use super::record::{self, Owner, Piece, Record};
use crate::error::{Error, Result};

/// The longest record that is read, in bytes.
const MAX_RECORD: u64 = 1024 * 1024;
/// How often a name that vanishes under us is tried again.
const ATTEMPTS: usize = 20;

/// An open, locked part file.
pub(crate) struct Part {
    pub(crate) file: File,
    path: PathBuf,
    /// Absent for a part file that cannot be continued.
    meta: Option<(File, PathBuf)>,
    owner: Owner,
    record: Record,
    pub(crate) pieces: Vec<Piece>,
    /// Where the lines begin in the record.
    lines: u64,
}

impl Part {
    /// Opens the part file of `name` in `dir`, with what an earlier run left in it.
    pub(crate) fn open(dir: &Path, name: &str, owner: Owner) -> Result<Self> {
        sweep(dir, name);
        let path = dir.join(part_name(name));
        for _ in 0..ATTEMPTS {
            match lock(&path)? {
                Locked::Ours(file) => {
                    return Self::with_record(file, path.clone(), owner).inspect_err(|_| {
                        // Without its record it is of no use to anybody.
                        let _ = fs::remove_file(&path);
                    });
                }
                Locked::Again => {}
                Locked::Taken => break,
            }
        }
        Self::unique(dir, name, owner)
    }

    fn with_record(file: File, path: PathBuf, owner: Owner) -> Result<Self> {
        let meta_path = meta_path(&path);
        make_room(&meta_path);
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&meta_path);
        let mut opened = open();
        if opened.as_ref().is_ok_and(|meta| names(meta, &meta_path) != Some(1)) {
            // Another file's second name: what is written here must not show there.
            opened = fs::remove_file(&meta_path).and_then(|()| open());
        }
        let meta = match opened {
            Ok(meta) => Some((meta, meta_path)),
            // Something else is in the record's place: the download does without one.
            Err(_) if fs::symlink_metadata(&meta_path).is_ok() => None,
            Err(e) => return Err(Error::io("creating", &meta_path, e)),
        };
        let mut part =
            Self { file, path, meta, owner, record: Record::default(), pieces: Vec::new(), lines: 0 };
        if part.load().is_none() {
            part.clear()?;
        }
        Ok(part)
    }

    /// A part file nobody else has, without a record.
    fn unique(dir: &Path, name: &str, owner: Owner) -> Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut last = io::ErrorKind::AlreadyExists.into();
        for _ in 0..ATTEMPTS {
            let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
            let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos());
            let path = dir.join(unique_part_name(name, std::process::id(), counter, nanos));
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    // The lock tells a sweeping process that this file is in use. One may have come first.
                    if matches!(file.try_lock(), Err(TryLockError::WouldBlock))
                        || names(&file, &path) != Some(1)
                    {
                        continue;
                    }
                    let (record, pieces) = (Record::default(), Vec::new());
                    return Ok(Self { file, path, meta: None, owner, record, pieces, lines: 0 });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = e,
                Err(e) => return Err(Error::io("creating", path, e)),
            }
        }
        Err(Error::io("creating a part file in", dir, last))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the bytes belong to.
    pub(crate) fn object(&self) -> &Version {
        &self.record.object
    }

    /// Bytes that are there.
    pub(crate) fn done(&self) -> u64 {
        self.pieces.iter().map(|p| p.done).sum()
    }

    /// Whether the record is cut in pieces that can be fetched side by side.
    pub(crate) fn is_cut(&self) -> bool {
        self.record.piece > 0
    }

    /// Reads the record; `None` when there is nothing to go on with.
    fn load(&mut self) -> Option<()> {
        let (meta, _) = self.meta.as_mut()?;
        let mut text = Vec::new();
        meta.take(MAX_RECORD).read_to_end(&mut text).ok()?;
        let length = self.file.metadata().ok()?.len();
        let (record, pieces, lines) = record::parse(&text, &self.owner, boot_id().as_deref(), length)?;
        (self.record, self.pieces, self.lines) = (record, pieces, lines);
        Some(())
    }

    /// Forgets everything: the record first, so that a crash in between leaves nothing to trust.
    pub(crate) fn clear(&mut self) -> Result<()> {
        let emptied = match &self.meta {
            Some((meta, _)) => meta.set_len(0),
            None => Ok(()),
        };
        emptied.and_then(|()| self.file.set_len(0)).map_err(|e| Error::io("emptying", &self.path, e))?;
        self.record = Record::default();
        self.pieces = vec![Piece { start: 0, done: 0, len: None }];
        self.lines = 0;
        Ok(())
    }

    /// Writes down what the bytes to come belong to. `piece`: the length of a piece, 0 for one only.
    ///
    /// The first `there` bytes are kept; they must belong to `object`.
    pub(crate) fn begin(&mut self, object: &Version, piece: u64, there: u64) -> Result<()> {
        let Some(pieces) = record::cut(piece, object.total, there) else {
            return Err(Error::invalid("the snapshot's length", "does not fit the pieces"));
        };
        self.pieces = pieces;
        self.record = Record {
            format: record::FORMAT,
            path: self.owner.path.clone(),
            version: self.owner.version.clone(),
            object: object.clone(),
            piece,
            boot: boot_id(),
        };
        let Some((meta, path)) = &self.meta else { return Ok(()) };
        let failed = |e| Error::io("writing", path, e);
        let (text, lines) = record::text(&self.record, &self.pieces).map_err(|e| failed(e.into()))?;
        self.lines = lines;
        meta.set_len(0).and_then(|()| write_all_at(meta, &text, 0)).map_err(failed)
    }

    /// A handle for writing from another thread.
    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer { file: &self.file, path: &self.path, meta: self.meta.as_ref(), lines: self.lines }
    }

    /// The handle that makes what is written durable.
    pub(crate) fn syncer(&self) -> Result<Syncer> {
        let clone = |file: &File| file.try_clone().map_err(|e| Error::io("opening", &self.path, e));
        let meta = self.meta.as_ref().map(|(meta, _)| clone(meta)).transpose()?;
        Ok(Syncer { file: clone(&self.file)?, meta, lines: self.lines })
    }

    /// Whether the path still leads to the file that was written.
    pub(crate) fn is_in_place(&self) -> bool {
        names(&self.file, &self.path).is_some()
    }

    /// Removes the part file and its record.
    pub(crate) fn discard(self) {
        if self.is_in_place() {
            let _ = fs::remove_file(&self.path);
        }
        self.forget();
    }

    /// Removes the record: the part file itself is gone. A new one belongs to another process, its record too.
    pub(crate) fn forget(self) {
        if fs::symlink_metadata(&self.path).is_err()
            && let Some((_, path)) = &self.meta
        {
            let _ = fs::remove_file(path);
        }
    }

    /// Ends the call without a result: a part that can be continued stays, any other goes.
    pub(crate) fn leave(self) {
        if self.meta.is_none() || !self.record.object.is_provable() || self.done() == 0 {
            self.discard();
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        release(&self.file);
    }
}

/// Writes into a part file, from any thread.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    file: &'a File,
    path: &'a Path,
    meta: Option<&'a (File, PathBuf)>,
    lines: u64,
}

impl Writer<'_> {
    /// Writes `bytes` at `offset`.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        write_all_at(self.file, bytes, offset).map_err(|e| Error::io("writing", self.path, e))
    }

    /// Notes that `done` bytes of a piece are written.
    pub(crate) fn note(&self, piece: usize, done: u64) -> Result<()> {
        let Some((meta, path)) = self.meta else { return Ok(()) };
        note(meta, self.lines, piece, 0, done).map_err(|e| Error::io("writing", path, e))
    }
}

/// Puts on the disk what is written, then notes it; made for a thread of its own.
pub(crate) struct Syncer {
    file: File,
    meta: Option<File>,
    lines: u64,
}

impl Syncer {
    /// `done`: how many bytes of which pieces were written before the call.
    pub(crate) fn sync(&self, done: &[(usize, u64)]) -> io::Result<()> {
        self.file.sync_data()?;
        let Some(meta) = &self.meta else { return Ok(()) };
        for &(piece, done) in done {
            note(meta, self.lines, piece, record::DURABLE, done)?;
        }
        meta.sync_data()
    }
}

fn note(meta: &File, lines: u64, piece: usize, column: u64, done: u64) -> io::Result<()> {
    write_all_at(meta, format!("{done:016x}").as_bytes(), lines + record::line_at(piece) + column)
}

/// Which run of the machine this is. `None` where the system does not say.
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
