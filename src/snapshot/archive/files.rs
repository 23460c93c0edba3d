//! Folders, files by all workers, and links last.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::data::{Data, SPAN, Window, buffer, unpack};
use super::directory::CentralDirectory;
use super::entry::{Entry, permissions};
use super::fault::{Failure, Fault};
use super::format::STORED;
use super::local::Reader;
use super::options::ExtractOptions;
use super::paths::{Folder, Leaf};
use super::plan::ExtractPlan;
use super::work::{Batches, Meter, cores};
use crate::error::{Error, Refusal, Result};
use crate::snapshot::source::Source;

/// What all workers share.
pub(super) struct Work<'a, S: ?Sized> {
    pub(super) source: &'a S,
    pub(super) directory: &'a CentralDirectory,
    pub(super) options: &'a ExtractOptions,
    pub(super) plan: &'a ExtractPlan,
    /// Where the tree grows.
    pub(super) root: &'a Path,
    /// The target as the caller named it, for errors.
    pub(super) dir: &'a Path,
    pub(super) stop: AtomicBool,
}

impl<S: Source + ?Sized> Work<'_, S> {
    /// Makes the whole tree in the staging directory.
    pub(super) fn run(&self, bytes: u64) -> Result<()> {
        for folder in &self.plan.folders {
            self.make_folder(folder)?;
        }
        let meter = Meter::new(self.options, bytes, self.plan.leaves().count() as u64);
        self.write_files(&meter)?;
        if self.options.verify {
            self.read_back()?;
        }
        for leaf in &self.plan.links {
            let path = self.path(leaf);
            let target = leaf.target.as_deref().unwrap_or_default();
            symlink(target, &path).map_err(|e| self.not_made("linking", leaf, &path, e))?;
            self.go_on(meter.add(0, 1))?;
        }
        self.go_on(meter.report_now())
    }

    fn threads(&self) -> usize {
        self.options.threads.unwrap_or_else(cores)
    }

    fn path(&self, leaf: &Leaf) -> PathBuf {
        self.root.join(self.plan.path(&leaf.path))
    }

    /// Reads all entries in the order of their data and writes the files.
    fn write_files(&self, meter: &Meter<'_>) -> Result<()> {
        let files = self.plan.files.iter().map(|leaf| (leaf.index, Some(leaf)));
        let mut jobs: Vec<_> = files.chain(self.plan.unwritten.iter().map(|index| (*index, None))).collect();
        jobs.sort_by_key(|(index, _)| self.directory.record(*index).offset);
        let next = |index| self.plan.layout.next(index);
        let write = |reader: &mut Reader<'_, S>, batch: &[(u32, Option<&Leaf>)]| {
            reader.read_ahead_to(batch.iter().map(|(index, _)| next(*index)).max().unwrap_or(0));
            for &(index, leaf) in batch.iter().take_while(|_| !self.stop.load(Ordering::Relaxed)) {
                match leaf {
                    Some(leaf) => self.write(leaf, reader, meter)?,
                    None => reader.read(index, next(index), |_| Ok(())).map_err(|e| self.named(e, index))?,
                }
            }
            Ok(())
        };
        let worker = || Reader::new(self.source, self.directory, SPAN as u64);
        let batches = Batches::of(jobs, |(index, _)| self.directory.record(*index).size);
        batches.run(self.threads(), worker, write, &self.stop)
    }

    fn named(&self, failure: Failure, index: u32) -> Error {
        failure.error(Some(self.directory.name(index)))
    }

    fn cancelled(&self) -> Error {
        Error::Cancelled { action: "extracting to", path: self.dir.to_owned() }
    }

    fn go_on(&self, flow: ControlFlow<()>) -> Result<()> {
        if flow.is_break() {
            self.stop.store(true, Ordering::Relaxed);
            return Err(self.cancelled());
        }
        Ok(())
    }

    /// The error of a path that could not be made in a fresh tree. If it is there already, the file system takes
    /// two names for one (case, Unicode forms).
    fn not_made(&self, action: &'static str, leaf: &Leaf, path: &Path, e: std::io::Error) -> Error {
        if e.kind() == ErrorKind::AlreadyExists {
            let detail = "this file system takes its path and another entry's for one";
            return Fault::new(Refusal::Collision, detail).error(Some(self.directory.name(leaf.index)));
        }
        too_long(self.plan.path(&leaf.path), &e).unwrap_or_else(|| Error::io(action, path, e))
    }

    fn mode(&self, index: u32) -> Option<u32> {
        permissions(&self.directory.header(index)).filter(|_| !self.options.drop_modes)
    }

    /// A DOS time is taken as UTC: there is no time zone in the archive.
    fn time(&self, index: u32) -> Option<FileTimes> {
        let modified = Entry { directory: self.directory, index }.modified();
        let at = modified.filter(|_| !self.options.drop_times)?.assume_utc();
        Some(FileTimes::new().set_modified(SystemTime::from(at)))
    }

    fn make_folder(&self, folder: &Folder) -> Result<()> {
        let path = self.root.join(self.plan.path(&folder.path));
        #[cfg_attr(not(unix), allow(unused_mut))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        if let Some(mode) = folder.index.and_then(|index| self.mode(index)) {
            // What the user may not do in it is taken away when all is in it.
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode | 0o700);
        }
        builder.create(&path).map_err(|e| {
            too_long(self.plan.path(&folder.path), &e).unwrap_or_else(|| Error::io("creating", &path, e))
        })
    }

    /// Writes one file: open, write, set its time, close. It is made when its header has been judged.
    fn write(&self, leaf: &Leaf, reader: &mut Reader<'_, S>, meter: &Meter<'_>) -> Result<()> {
        let (index, path) = (leaf.index, self.path(leaf));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if let Some(mode) = self.mode(index) {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        }
        let open = || options.open(&path).map_err(|e| self.not_made("creating", leaf, &path, e));
        let mut file: Option<File> = None;
        let write = |piece: &[u8]| {
            let file = match &mut file {
                Some(file) => file,
                none => none.insert(open()?),
            };
            file.write_all(piece).map_err(|e| Error::io("writing", &path, e))?;
            if self.stop.load(Ordering::Relaxed) {
                return Err(self.cancelled());
            }
            self.go_on(meter.add(piece.len() as u64, 0))
        };
        reader.read(index, self.plan.layout.next(index), write).map_err(|e| self.named(e, index))?;
        let file = file.map_or_else(open, Ok)?;
        if let Some(times) = self.time(index) {
            file.set_times(times).map_err(|e| Error::io("setting the time of", &path, e))?;
        }
        drop(file);
        self.go_on(meter.add(0, 1))
    }

    /// Reads the written files again and compares sizes and checksums.
    fn read_back(&self) -> Result<()> {
        let read = |buf: &mut Vec<u8>, batch: &[&Leaf]| {
            for leaf in batch {
                let (record, path) = (self.directory.record(leaf.index), self.path(leaf));
                let failed = |e| Error::io("reading back", &path, e);
                let file = open_any(&path).map_err(failed)?;
                let size = record.size;
                let data = Data { at: 0, compressed: size, size, crc: record.crc, method: STORED };
                unpack(&mut Window::new(&file), &data, buf, |_| Ok(())).map_err(|failure| match failure {
                    Failure::Source(e) => failed(e),
                    _ => failed(std::io::Error::other("the file is not what was written; check the disk")),
                })?;
            }
            Ok(())
        };
        let files = self.plan.files.iter().collect();
        let batches = Batches::of(files, |leaf: &&Leaf| self.directory.record(leaf.index).size);
        batches.run(self.threads(), || buffer(SPAN as u64), read, &self.stop)
    }

    /// Gives directories their final permissions and times, the deepest first: making something in them would undo both.
    pub(super) fn finish(&self, root: &Path, folders: &[Folder]) -> Result<()> {
        for (folder, index) in folders.iter().rev().filter_map(|folder| Some((folder, folder.index?))) {
            let path = root.join(self.plan.path(&folder.path));
            #[cfg(unix)]
            if let Some(times) = self.time(index) {
                File::open(&path)
                    .and_then(|dir| dir.set_times(times))
                    .map_err(|e| Error::io("setting the time of", &path, e))?;
            }
            #[cfg(unix)]
            if let Some(mode) = self.mode(index).filter(|mode| mode & 0o700 != 0o700) {
                use std::os::unix::fs::PermissionsExt;
                let restrict = |m: fs::Metadata| {
                    fs::set_permissions(&path, fs::Permissions::from_mode(m.permissions().mode() & mode))
                };
                fs::metadata(&path)
                    .and_then(restrict)
                    .map_err(|e| Error::io("setting the permissions of", &path, e))?;
            }
        }
        Ok(())
    }
}

/// The refusal of a path that is too long where the target is.
pub(super) fn too_long(path: &str, e: &std::io::Error) -> Option<Error> {
    (e.kind() == ErrorKind::InvalidFilename).then(|| {
        let detail = "its path below the target, or a part of it, is longer than the file system takes; \
                      choose a target with a shorter path";
        Fault::new(Refusal::TooMany, detail).error(Some(path))
    })
}

/// Opens a file of ours, even one whose mode does not let its owner read it.
fn open_any(path: &Path) -> std::io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path)?.permissions();
        if mode.mode() & 0o400 == 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o400))?;
            let file = File::open(path);
            fs::set_permissions(path, mode)?;
            return file;
        }
    }
    File::open(path)
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(_: &str, _: &Path) -> std::io::Result<()> {
    Err(std::io::Error::new(ErrorKind::Unsupported, "links are made on unix only; use `Links::Skip`"))
}
