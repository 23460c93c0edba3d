//! Moves from a staging directory into an existing one, and the way back.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, FileTimes, FileType, Permissions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::paths::{Folder, Leaf};
use super::plan::ExtractPlan;
use super::staging::{INSIDE, Staging, symlink, too_long};
use crate::error::{Error, Result};
use crate::snapshot::files::{publish, sync_file};
use crate::snapshot::options::Overwrite;

/// Everything that is moved into an existing directory.
pub(super) struct Moves<'a, 'p> {
    real: &'a Path,
    staging: &'a Staging,
    plan: &'p ExtractPlan,
    overwrite: Overwrite,
    /// Directories that were moved with all that is in them, and those in them.
    whole: HashSet<&'p str>,
    /// Files and links that were moved, and directories that were made.
    single: HashSet<&'p str>,
    /// Files that took the place of others: of the first, the old one is `aside-0` in the staging directory.
    replaced: Vec<&'p str>,
    /// What appeared in the target meanwhile and is kept.
    kept: Vec<&'p Leaf>,
    /// Directories that were made writable, and how they were before.
    opened: Vec<(PathBuf, Permissions)>,
    /// The directories that something was moved into.
    changed: BTreeSet<PathBuf>,
}

impl<'a, 'p> Moves<'a, 'p> {
    pub(super) fn new(real: &'a Path, staging: &'a Staging, plan: &'p ExtractPlan, overwrite: Overwrite) -> Self {
        let (whole, single, changed) = (HashSet::new(), HashSet::new(), BTreeSet::new());
        let (replaced, kept, opened) = (Vec::new(), Vec::new(), Vec::new());
        Self { real, staging, plan, overwrite, whole, single, replaced, kept, opened, changed }
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = &Path> {
        self.changed.iter().map(PathBuf::as_path)
    }

    pub(super) fn is_new(&self, folder: &Folder) -> bool {
        self.whole.contains(folder.path.as_str()) || self.single.contains(folder.path.as_str())
    }

    pub(super) fn into_kept(self) -> Vec<&'p Leaf> {
        self.kept
    }

    /// Moves everything in the tree. `merge`: directories may be there already.
    pub(super) fn all(&mut self, merge: bool) -> Result<()> {
        let plan = self.plan;
        for Folder { path, .. } in &plan.folders {
            let goes_along = self.goes_along(path);
            if goes_along || (!self.is_there(path, merge)? && self.folder(path, merge)?) {
                self.whole.insert(path);
            }
        }
        let mut last = Vec::new();
        for leaf in plan.leaves() {
            if !self.goes_along(&leaf.path) && !self.leaf(leaf)? {
                last.push(leaf);
            }
        }
        // What cannot be kept aside cannot be moved back: nothing else may fail after it.
        for leaf in last {
            self.carry(&leaf.path, true).map_err(|e| self.moving(&leaf.path, e))?;
        }
        self.close();
        Ok(())
    }

    /// Whether a path was moved with the directory it is in.
    fn goes_along(&self, path: &str) -> bool {
        path.rsplit_once('/').is_some_and(|(parent, _)| self.whole.contains(parent))
    }

    fn is_there(&self, path: &str, merge: bool) -> Result<bool> {
        match kind(self.real, path)? {
            None => Ok(false),
            Some(kind) if merge && kind.is_dir() => Ok(true),
            Some(_) => Err(Error::Exists { path: self.real.join(path) }),
        }
    }

    /// Moves a directory. False for one that was made or has appeared instead, and is filled by what is moved later.
    fn folder(&mut self, path: &'p str, merge: bool) -> Result<bool> {
        let (from, to) = (self.staging.tree.join(path), self.real.join(path));
        match self.in_open(&to, || fs::rename(&from, &to)) {
            Ok(()) => return Ok(true),
            // A volume is mounted inside the target.
            Err(e) if e.kind() == ErrorKind::CrossesDevices => {
                let made = fs::create_dir(&to).and_then(|()| fs::set_permissions(&to, from.metadata()?.permissions()));
                made.map_err(|e| self.moving(path, e))?;
                self.single.insert(path);
            }
            Err(_) if self.is_there(path, merge)? => {}
            Err(e) => return Err(self.moving(path, e)),
        }
        Ok(false)
    }

    /// Moves a file or a link: at every moment, its path has its old or its new content. False if the old one can be
    /// replaced, but not kept aside.
    fn leaf(&mut self, leaf: &'p Leaf) -> Result<bool> {
        let path = leaf.path.as_str();
        let exists = match kind(self.real, path)? {
            None => match self.carry(path, false) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => true,
                result => {
                    result.map_err(|e| self.moving(path, e))?;
                    self.single.insert(path);
                    return Ok(true);
                }
            },
            Some(kind) => kind.is_dir() || self.overwrite != Overwrite::Replace,
        };
        if exists && self.overwrite == Overwrite::Keep {
            self.kept.push(leaf);
            return Ok(true);
        }
        if exists {
            return Err(Error::Exists { path: self.real.join(path) });
        }
        match keep_aside(&self.real.join(path), &self.aside(self.replaced.len())) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => return Ok(false),
            result => result.map_err(|e| Error::io("keeping aside", self.real.join(path), e))?,
        }
        self.carry(path, true).map_err(|e| self.moving(path, e))?;
        self.replaced.push(path);
        Ok(true)
    }

    fn carry(&mut self, path: &str, replace: bool) -> io::Result<()> {
        let (from, to) = (self.staging.tree.join(path), self.real.join(path));
        self.in_open(&to, || carry(&from, &to, replace))
    }

    /// Does something to a path, for which the directory it is in is made writable if that is necessary: archives have
    /// directories that are not.
    fn in_open<T>(&mut self, path: &Path, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let dir = beside(path);
        self.changed.insert(dir.to_owned());
        match act() {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                let before = fs::metadata(dir)?.permissions();
                open(dir, &before)?;
                self.opened.push((dir.to_owned(), before));
                act()
            }
            result => result,
        }
    }

    /// Gives opened directories their permissions back.
    fn close(&mut self) {
        for (dir, before) in self.opened.drain(..).rev() {
            let _ = fs::set_permissions(dir, before);
        }
    }

    fn moving(&self, path: &str, e: io::Error) -> Error {
        Error::io("moving an extracted file to", self.real.join(path), e)
    }

    fn aside(&self, number: usize) -> PathBuf {
        self.staging.root.join(format!("aside-{number}"))
    }

    /// Brings old files back, and takes away what was moved: not what others have put into new directories meanwhile.
    ///
    /// # Errors
    /// An old file that could not be brought back: all of them are left where they are.
    pub(super) fn undo(mut self) -> io::Result<()> {
        let mut result = Ok(());
        for (number, path) in std::mem::take(&mut self.replaced).into_iter().enumerate().rev() {
            let (from, to) = (self.aside(number), self.real.join(path));
            result = result.and(self.in_open(&to, || carry(&from, &to, true)));
        }
        let new: Vec<&Folder> = self.plan.folders.iter().filter(|folder| self.is_new(folder)).collect();
        for folder in &new {
            let dir = self.real.join(&folder.path);
            let _ = fs::metadata(&dir).and_then(|metadata| open(&dir, &metadata.permissions()));
        }
        let plan = self.plan;
        for Leaf { path, .. } in plan.leaves() {
            if self.goes_along(path) || self.single.contains(path.as_str()) {
                let path = self.real.join(path);
                let _ = self.in_open(&path, || fs::remove_file(&path));
            }
        }
        for folder in new.iter().rev() {
            let path = self.real.join(&folder.path);
            let _ = self.in_open(&path, || fs::remove_dir(&path));
        }
        self.close();
        result
    }
}

/// Gives the owner of a directory all permissions.
#[cfg(unix)]
fn open(dir: &Path, permissions: &Permissions) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if permissions.mode() & 0o700 == 0o700 {
        return Err(ErrorKind::PermissionDenied.into());
    }
    fs::set_permissions(dir, Permissions::from_mode(permissions.mode() | 0o700))
}

#[cfg(not(unix))]
fn open(_: &Path, _: &Permissions) -> io::Result<()> {
    Err(ErrorKind::PermissionDenied.into())
}

/// Moves a file or a link; where a volume is mounted inside the target, by copying it there first.
fn carry(from: &Path, to: &Path, replace: bool) -> io::Result<()> {
    match publish(from, to, replace) {
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {
            let near = Staging::new(beside(to), INSIDE).map_err(io::Error::other)?;
            let copied = near.tree.join("file");
            copy(from, &copied)?;
            publish(&copied, to, replace)
        }
        result => result,
    }
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
