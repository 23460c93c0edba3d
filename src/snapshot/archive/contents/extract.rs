//! Carries out a plan: makes directories, files (by all workers) and links in a private directory, and moves them to the
//! target.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Archive;
use super::entry::Entry;
use super::local::Reader;
use super::options::ExtractOptions;
use super::paths::{Folder, Leaf};
use super::plan::ExtractPlan;
use super::staging::{Target, check_existing, create_dir, too_long};
use super::work::{Meter, cores, read_and_write, read_entries};
use crate::error::{Error, Refusal, Result};
use crate::progress::Throttle;
use crate::snapshot::archive::fault::Fault;
use crate::snapshot::options::Overwrite;
use crate::snapshot::source::Source;

/// Files larger than this are written by a second thread while they are inflated.
const LARGE: u64 = 8 << 20;

/// What an extraction made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extracted {
    /// The directory everything is in, as it was given.
    pub path: PathBuf,
    /// Files written.
    pub files: usize,
    /// Directories of the archive, whether they were made or there already.
    pub directories: usize,
    /// Symbolic links made.
    pub links: usize,
    /// Bytes written into files.
    pub bytes: u64,
    /// Files and links left as they were, with [`Overwrite::Keep`].
    pub kept: usize,
}

/// Extracts what `options` select to `dir`.
pub(super) fn extract<S: Source>(archive: &Archive<S>, dir: &Path, options: &ExtractOptions) -> Result<Extracted> {
    let target = Target::look(dir, options.overwrite)?;
    let mut plan = archive.plan(options)?;
    if let Some(bad) = plan.refused().first() {
        return Err(bad.clone().into());
    }
    // What lies before the first entry does not matter when only some entries are asked for.
    if options.filter.is_none() && options.prefixes.is_empty() {
        Reader::of_all(archive).judge_prefix()?;
    }
    let planned = plan.leaves().count();
    // An empty directory has nothing to compare with.
    if let (Target::Existing(real), Overwrite::Replace | Overwrite::Keep) = (&target, options.overwrite) {
        check_existing(&mut plan, real, options.overwrite)?;
    }
    let kept = planned - plan.leaves().count();
    let staging = target.staging()?;
    let sizes = plan.files.iter().map(|leaf| archive.directory.record(leaf.index).size);
    let bytes = sizes.fold(0, u64::saturating_add);
    let throttle = Throttle::new(options.callback.clone(), "extracting to", dir);
    let meter = Meter::new(throttle, bytes, plan.leaves().count() as u64);
    let threads = options.threads.unwrap_or_else(cores);
    let work = Work { archive, options, plan: &plan, root: &staging.tree, threads, meter };
    work.run()?;
    match &target {
        Target::New(path) => {
            work.finish(&staging.tree, &plan.folders)?;
            staging.place(path)?;
        }
        Target::Existing(real) => {
            staging.place_inside(real, &plan, options.overwrite, |made| work.finish(real, made))?
        }
    }
    let (files, directories, links) = (plan.files.len(), plan.folders.len(), plan.links.len());
    Ok(Extracted { path: dir.to_owned(), files, directories, links, bytes, kept })
}

/// What all workers share.
struct Work<'a, S: Source> {
    archive: &'a Archive<S>,
    options: &'a ExtractOptions,
    plan: &'a ExtractPlan,
    /// Where the tree grows.
    root: &'a Path,
    threads: usize,
    meter: Meter<'a>,
}

impl<'a, S: Source> Work<'a, S> {
    /// Makes the whole tree in the staging directory.
    fn run(&self) -> Result<()> {
        for folder in &self.plan.folders {
            let path = self.root.join(&folder.path);
            // What the user may not do in it is taken away when all is in it.
            let mode = folder.index.and_then(|index| self.mode(index));
            create_dir(&path, mode.map_or(0o777, |mode| mode | 0o700))
                .map_err(|e| not_made("creating", &folder.path, &path, e))?;
        }
        let files = self.plan.files.iter().map(|leaf| (leaf.index, Some(leaf)));
        let unwritten = self.plan.unwritten.iter().map(|index| (*index, None));
        let read = |reader: &mut Reader<'_, S>, index: u32, leaf: Option<&Leaf>| match leaf {
            Some(leaf) => self.write(leaf, reader),
            None => reader.read(index, &mut |_| Ok(())),
        };
        read_entries(self.archive, files.chain(unwritten).collect(), self.threads, &self.meter.stop, read)?;
        for leaf in &self.plan.links {
            let path = self.root.join(&leaf.path);
            let target = leaf.target.as_deref().unwrap_or_default();
            symlink(target, &path).map_err(|e| not_made("linking", &leaf.path, &path, e))?;
            self.meter.add(0, 1)?;
        }
        self.meter.report_now()
    }

    fn entry(&self, index: u32) -> Entry<'a> {
        Entry { directory: &self.archive.directory, index }
    }

    fn mode(&self, index: u32) -> Option<u32> {
        self.entry(index).permissions().filter(|_| !self.options.drop_modes)
    }

    /// A DOS time is taken as UTC: there is no time zone in the archive.
    fn time(&self, index: u32) -> Option<FileTimes> {
        let modified = self.entry(index).modified().filter(|_| !self.options.drop_times)?;
        Some(FileTimes::new().set_modified(SystemTime::from(modified.assume_utc())))
    }

    /// Writes one file: open, write, set its time, close.
    fn write(&self, leaf: &Leaf, reader: &mut Reader<'_, S>) -> Result<()> {
        let (index, path) = (leaf.index, self.root.join(&leaf.path));
        let mut options = OpenOptions::new();
        options.read(self.options.verify).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, self.mode(index).unwrap_or(0o666));
        let mut file = options.open(&path).map_err(|e| not_made("creating", &leaf.path, &path, e))?;
        let mut write = |piece: &[u8]| {
            file.write_all(piece).map_err(|e| Error::io("writing", &path, e))?;
            self.meter.add(piece.len() as u64, 0)
        };
        if self.threads > 1 && self.entry(index).size() > LARGE {
            read_and_write(|out| reader.read(index, out), write)?;
        } else {
            reader.read(index, &mut write)?;
        }
        if self.options.verify {
            reader.compare(index, &file).map_err(|e| Error::io("reading back", &path, e))?;
        }
        if let Some(times) = self.time(index) {
            file.set_times(times).map_err(|e| Error::io("setting the time of", &path, e))?;
        }
        drop(file);
        self.meter.add(0, 1)
    }

    /// Gives directories their final permissions and times, the deepest first: making something in them would undo both.
    fn finish(&self, root: &Path, folders: &[Folder]) -> Result<()> {
        for (folder, index) in folders.iter().rev().filter_map(|folder| Some((folder, folder.index?))) {
            let path = root.join(&folder.path);
            finish_dir(&path, self.time(index), self.mode(index).unwrap_or(0o777))
                .map_err(|e| Error::io("setting the time and permissions of", &path, e))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn finish_dir(path: &Path, time: Option<FileTimes>, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let dir = File::open(path)?;
    if let Some(time) = time {
        dir.set_times(time)?;
    }
    if mode & 0o700 == 0o700 {
        return Ok(());
    }
    let mode = dir.metadata()?.permissions().mode() & mode;
    dir.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn finish_dir(_: &Path, _: Option<FileTimes>, _: u32) -> io::Result<()> {
    Ok(())
}

/// The error of a path that could not be made in a fresh tree. If it is there already, the file system takes two names for
/// one (case, Unicode forms).
fn not_made(action: &'static str, path: &str, at: &Path, e: io::Error) -> Error {
    if e.kind() == ErrorKind::AlreadyExists {
        let detail = "this file system takes its path and another entry's for one";
        return Fault::new(Refusal::Collision, detail).error(Some(path));
    }
    too_long(path, &e).unwrap_or_else(|| Error::io(action, at, e))
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(_: &str, _: &Path) -> io::Result<()> {
    Err(io::Error::new(ErrorKind::Unsupported, "links are made on unix only; use `Links::Skip`"))
}
