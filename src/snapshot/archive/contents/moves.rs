//! Moves from a staging directory into an existing one, and the way back.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, FileTimes, FileType};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::paths::Folder;
use super::plan::ExtractPlan;
use super::staging::{INSIDE, Staging, symlink, too_long};
use crate::error::{Error, Result};
use crate::snapshot::files::sync_file;
use crate::snapshot::options::Overwrite;

/// Moves into an existing directory, undone when dropped.
pub(super) struct Moves<'a> {
    real: &'a Path,
    staging: &'a mut Staging,
    overwrite: Overwrite,
    undo: Vec<Undo>,
    changed: BTreeSet<PathBuf>,
}

impl<'a> Moves<'a> {
    pub(super) fn new(real: &'a Path, staging: &'a mut Staging, overwrite: Overwrite) -> Self {
        Self { real, staging, overwrite, undo: Vec::new(), changed: BTreeSet::new() }
    }

    /// The directories that something was moved into.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Path> {
        self.changed.iter().map(PathBuf::as_path)
    }

    /// Leaves everything where it is now.
    pub(super) fn keep(mut self) {
        self.undo.clear();
    }

    /// Moves everything in the tree, and returns the directories that were not there; with `all`, those that were, too.
    pub(super) fn all(&mut self, plan: &ExtractPlan, all: bool) -> Result<Vec<Folder>> {
        let mut made: Vec<Folder> = Vec::new();
        let mut moved: HashSet<&str> = HashSet::new();
        // A child of a moved directory went with it.
        let with_parent =
            |moved: &HashSet<&str>, path: &str| path.rsplit_once('/').is_some_and(|(parent, _)| moved.contains(parent));
        let merge = all || self.overwrite != Overwrite::Refuse;
        for folder in &plan.folders {
            let goes_along = with_parent(&moved, &folder.path);
            let is_there = !goes_along && merge && kind(self.real, &folder.path)?.is_some_and(|kind| kind.is_dir());
            if goes_along || (!is_there && self.one(&folder.path, false)?) {
                moved.insert(&folder.path);
            }
            if !is_there || all {
                made.push(folder.clone());
            }
        }
        for leaf in plan.leaves().filter(|leaf| !with_parent(&moved, &leaf.path)) {
            self.one(&leaf.path, self.overwrite == Overwrite::Replace)?;
        }
        Ok(made)
    }

    /// Moves one file or directory, in place of an old file with `replace`: at every moment, the path has its old or its new
    /// content. False for a directory that was made anew, and whose content is still to be moved.
    fn one(&mut self, path: &str, replace: bool) -> Result<bool> {
        let (from, to) = (self.staging.tree.join(path), self.real.join(path));
        let old = match kind(self.real, path)? {
            None => None,
            Some(existing) if existing.is_dir() || !replace => return Err(Error::Exists { path: to }),
            Some(_) => {
                let aside = self.staging.root.join(format!("aside-{}", self.undo.len()));
                keep_aside(&to, &aside).map_err(|e| Error::io("keeping aside", &to, e))?;
                Some(aside)
            }
        };
        let renamed = carry(&from, &to).map_err(|e| Error::io("moving an extracted file to", &to, e))?;
        self.changed.insert(beside(&to).to_owned());
        let whole = renamed || !from.is_dir();
        self.undo.push(match old {
            Some(aside) => Undo::Move(aside, to),
            None if renamed => Undo::Move(to, from),
            None => Undo::Remove(to),
        });
        Ok(whole)
    }
}

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        for undo in self.undo.drain(..).rev() {
            // A destructor has nobody to tell: an old file that cannot be moved back is kept where it is.
            match undo {
                Undo::Move(from, to) if carry(&from, &to).is_err() => {
                    self.staging.keep |= from.starts_with(&self.staging.root);
                }
                Undo::Move(..) => {}
                Undo::Remove(path) => drop(fs::remove_file(&path).or_else(|_| fs::remove_dir(path))),
            }
        }
    }
}

/// What takes a move back.
enum Undo {
    Move(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// Renames, and returns true. Where a volume is mounted inside the target, a file is copied there and a directory made.
fn carry(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::rename(from, to) {
        Ok(()) => return Ok(true),
        Err(e) if e.kind() != ErrorKind::CrossesDevices => return Err(e),
        Err(_) => {}
    }
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_dir() {
        fs::create_dir(to)?;
        fs::set_permissions(to, metadata.permissions())?;
        return Ok(false);
    }
    let near = Staging::new(beside(to), INSIDE).map_err(io::Error::other)?;
    let copied = near.tree.join("file");
    copy(from, &copied)?;
    fs::rename(copied, to)?;
    Ok(false)
}

/// Gives an old file a second name: it keeps the first one until the new file takes it. A copy where the file system has
/// no hard links (FAT, exFAT), or the system allows none to another user's file.
fn keep_aside(old: &Path, aside: &Path) -> io::Result<()> {
    match fs::hard_link(old, aside) {
        Err(_) if fs::symlink_metadata(old)?.is_file() || old.is_symlink() => copy(old, aside),
        result => result,
    }
}

/// Copies a file or a link, with its time, to the disk.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_symlink() {
        return symlink(&fs::read_link(from)?, to);
    }
    fs::copy(from, to)?;
    let times = FileTimes::new().set_modified(fs::metadata(from)?.modified()?);
    let file = File::open(to)?;
    let _ = file.set_times(times);
    sync_file(&file)
}

/// The directory that a path is in.
pub(super) fn beside(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What is at a path inside the target directory.
pub(super) fn kind(real: &Path, path: &str) -> Result<Option<FileType>> {
    let at = real.join(path);
    match fs::symlink_metadata(&at) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(too_long(path, &e).unwrap_or_else(|| Error::io("looking at", at, e))),
    }
}
