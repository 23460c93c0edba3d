//! Carries out a plan: makes directories, files (by all workers) and links in a private directory, and moves them to the
//! target.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::Archive;
use super::entry::Entry;
use super::local::{Reader, compare};
use super::meter::{Meter, run_reporting};
use super::options::ExtractOptions;
use super::paths::{Folder, Leaf};
use super::plan::{self, ExtractPlan, read_target};
use super::staging::{change_mode, create_dir, symlink};
use super::target::{Target, sync_dirs};
use super::work::{cores, is_fetched_ahead, judge_prefix, read_and_write, read_entries};
use crate::error::{Error, Refusal, Result};
use crate::progress::Throttle;
use crate::snapshot::archive::fault::Fault;
use crate::snapshot::archive::name::Platform;
use crate::snapshot::files::sync_file;
use crate::snapshot::options::Overwrite;
use crate::snapshot::source::Source;

/// Files larger than this are written by a second thread while they are inflated.
const LARGE: u64 = 8 << 20;

/// How many threads write at least when every file is synced: most of the time they wait for the disk, which puts several
/// files on it at once.
const SYNCING: usize = 16;

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
    /// Files and links left as they were: with [`Overwrite::Keep`], or because an extraction that was killed while it
    /// filled an empty directory had put them there.
    pub kept: usize,
    /// Files and directories whose modification time the file system did not take.
    pub times_not_kept: usize,
    /// Files and directories whose permission bits the file system did not take.
    pub modes_not_kept: usize,
}

/// Extracts what `options` select to `dir`.
pub(super) fn extract<S: Source>(archive: &Archive<S>, dir: &Path, options: &ExtractOptions) -> Result<Extracted> {
    let mut target = Target::look(dir, options.overwrite)?;
    // Except on Windows, the file system decides whether names that differ only in case are the same.
    let mut platform = if cfg!(windows) { Platform::Windows } else { Platform::Unix };
    let mut plan = decide(archive, options, platform)?;
    let staging = target.staging()?;
    if platform == Platform::Unix && staging.ignores_case() {
        platform = Platform::Apple;
        plan = decide(archive, options, platform)?;
    }
    // Where everything is fetched ahead, reading the links' targets first would be a request for each.
    let links_with_data = !target.keeps_links() && is_fetched_ahead(archive);
    if !links_with_data {
        plan.follow_links(archive, platform)?;
        refuse(&plan)?;
    }
    let planned = plan.leaves().count();
    target.compare(&mut plan, |leaf, path| is_same(archive, leaf, path))?;
    if !links_with_data {
        target.check_links(&plan, platform)?;
    }
    staging.judge(&plan)?;
    let sizes = plan.files.iter().map(|leaf| archive.directory.record(leaf.index).size);
    let bytes = sizes.fold(0, u64::saturating_add);
    let throttle = Throttle::new(options.callback.clone(), "extracting to", dir);
    let meter = Meter::new(throttle, bytes, plan.leaves().count() as u64);
    let durable = options.durable.unwrap_or(options.overwrite == Overwrite::Replace);
    let lost = Lost { times: 0.into(), modes: 0.into(), no_modes: !staging.keeps_modes() };
    let threads = options.threads.unwrap_or_else(|| cores().max(if durable { SYNCING } else { 1 }));
    let work = Work { archive, options, root: staging.tree.clone(), platform, threads, durable, meter, lost };
    let targets = run_reporting(&work.meter, || work.make_files(&plan, links_with_data))?;
    if links_with_data {
        plan.set_targets(archive, targets, platform);
        refuse(&plan)?;
        target.check_links(&plan, platform)?;
    }
    work.make_links(&plan)?;
    let appeared = target.place(staging, &plan, durable, |root, folders| work.finish(root, folders))?;
    let appeared_links = appeared.iter().filter(|leaf| leaf.target.is_some()).count();
    Ok(Extracted {
        path: dir.to_owned(),
        files: plan.files.len() - (appeared.len() - appeared_links),
        directories: plan.folders.len(),
        links: plan.links.len() - appeared_links,
        bytes,
        kept: planned - plan.leaves().count() + appeared.len(),
        times_not_kept: work.lost.times.into_inner(),
        modes_not_kept: work.lost.modes.into_inner(),
    })
}

/// The plan but for the links' targets, if nothing is refused.
fn decide<S: Source>(archive: &Archive<S>, options: &ExtractOptions, platform: Platform) -> Result<ExtractPlan> {
    let plan = plan::draw(archive, options, platform)?;
    refuse(&plan)?;
    Ok(plan)
}

/// The first thing that is refused.
fn refuse(plan: &ExtractPlan) -> Result<()> {
    plan.refused().first().map_or(Ok(()), |bad| Err(bad.clone().into()))
}

/// Whether what exists at a path is what would be written there.
fn is_same<S: Source>(archive: &Archive<S>, leaf: &Leaf, path: &Path) -> bool {
    match &leaf.target {
        Some(target) => fs::read_link(path).is_ok_and(|found| found == Path::new(target)),
        None => {
            let found = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
            let file = found.and_then(|_| File::open(path).ok());
            file.is_some_and(|file| compare(&archive.directory.record(leaf.index), &file).is_ok())
        }
    }
}

/// What all workers share.
struct Work<'a, S: Source> {
    archive: &'a Archive<S>,
    options: &'a ExtractOptions,
    /// Where the tree grows.
    root: PathBuf,
    platform: Platform,
    threads: usize,
    /// Whether everything is on the disk before it is moved to the target.
    durable: bool,
    meter: Meter<'a>,
    lost: Lost,
}

/// What the file system did not take.
struct Lost {
    times: AtomicUsize,
    modes: AtomicUsize,
    /// It takes no permission bits at all.
    no_modes: bool,
}

impl<'a, S: Source> Work<'a, S> {
    /// Makes the directories, and the files by all workers; on the way, reads the links' targets if they are wanted.
    fn make_files(&self, plan: &ExtractPlan, with_links: bool) -> Result<Vec<(u32, String)>> {
        judge_prefix(self.archive, &self.meter.stop)?;
        for folder in &plan.folders {
            let path = self.root.join(&folder.path);
            // The owner has all permissions until the directory is filled: see `finish`.
            let mode = folder.index.and_then(|index| self.mode(index));
            create_dir(&path, mode.map_or(0o777, |mode| mode | 0o700))
                .map_err(|e| not_made("creating", &folder.path, &path, e))?;
        }
        let targets = Mutex::new(Vec::new());
        let leaves = plan.leaves().filter(|leaf| with_links || leaf.target.is_none());
        let leaves = leaves.map(|leaf| (leaf.index, Some(leaf)));
        let unwritten = plan.unwritten.iter().map(|index| (*index, None));
        let read = |reader: &mut Reader<'_>, index: u32, leaf: Option<&Leaf>| match leaf {
            Some(Leaf { target: Some(_), .. }) => {
                let target = read_target(reader, index, self.platform)?;
                targets.lock().unwrap_or_else(PoisonError::into_inner).push((index, target));
                Ok(())
            }
            Some(leaf) => self.write(leaf, reader),
            None => reader.read(index, &mut |_| Ok(())),
        };
        let jobs = leaves.chain(unwritten).collect();
        read_entries(self.archive, jobs, self.threads, &self.meter.stop, read)?;
        Ok(targets.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the links: the tree is whole.
    fn make_links(&self, plan: &ExtractPlan) -> Result<()> {
        for leaf in &plan.links {
            let path = self.root.join(&leaf.path);
            let target = leaf.target.as_deref().unwrap_or_default();
            symlink(target.as_ref(), &path).map_err(|e| not_made("linking", &leaf.path, &path, e))?;
            self.meter.add(0, 1)?;
        }
        if self.durable {
            sync_dirs(plan.folders.iter().rev().map(|folder| self.root.join(&folder.path)))?;
            sync_dirs([&self.root])?;
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
    fn write(&self, leaf: &Leaf, reader: &mut Reader<'_>) -> Result<()> {
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
            compare(&self.archive.directory.record(index), &file).map_err(|e| Error::io("reading back", &path, e))?;
        }
        self.set_time(index, &file);
        if self.lost.no_modes && self.mode(index).is_some() {
            self.lost.modes.fetch_add(1, Ordering::Relaxed);
        }
        if self.durable {
            sync_file(&file).map_err(|e| Error::io("syncing", &path, e))?;
        }
        drop(file);
        self.meter.add(0, 1)
    }

    /// Some network and FUSE file systems refuse times: the content is right without them.
    fn set_time(&self, index: u32, file: &File) {
        if self.time(index).is_some_and(|times| file.set_times(times).is_err()) {
            self.lost.times.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives directories their final permissions and times, the deepest first: making something in them would undo both.
    fn finish(&self, root: &Path, folders: &[&Folder]) {
        // Windows opens no directories like files, and gives them no permission bits.
        let folders = folders.iter().rev().filter_map(|folder| Some((folder, folder.index?)));
        for (folder, index) in folders.filter(|_| cfg!(unix)) {
            let path = root.join(&folder.path);
            let timed = File::open(&path).map(|dir| self.set_time(index, &dir));
            if timed.is_err() && self.time(index).is_some() {
                self.lost.times.fetch_add(1, Ordering::Relaxed);
            }
            let restrict = |mode| change_mode(&path, |now| now & (mode | !0o777));
            if self.mode(index).is_some_and(|mode| self.lost.no_modes || restrict(mode).is_err()) {
                self.lost.modes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The error of a path that could not be made in a fresh tree. If it is there already, the file system takes two names for
/// one (case, Unicode forms).
fn not_made(action: &'static str, path: &str, at: &Path, e: io::Error) -> Error {
    if e.kind() == ErrorKind::AlreadyExists {
        let detail = "the file system treats its path and another entry's as the same";
        return Fault::new(Refusal::Collision, detail).error(Some(path));
    }
    if e.kind() == ErrorKind::InvalidFilename {
        let detail = "its path below the target, or a part of it, is longer than the file system takes; \
                      choose a target with a shorter path";
        return Fault::new(Refusal::TooMany, detail).error(Some(path));
    }
    Error::io(action, at, e)
}
