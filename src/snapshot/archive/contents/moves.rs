//! Moves from a staging directory into an existing one, and the way back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File, FileTimes, FileType, Permissions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::paths::{Folder, Leaf};
use super::plan::ExtractPlan;
use super::staging::{INSIDE, Staging, change_mode, symlink};
use crate::error::{Error, Result};
use crate::snapshot::files::{publish, rename, sync_file};
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
    /// Files that replaced others: the old content of the first is in `aside-0`.
    replaced: Vec<&'p str>,
    /// Files and links that are kept as they are, because they appeared while everything was written.
    pub(super) kept: Vec<&'p Leaf>,
    /// The directories that something was moved into.
    pub(super) changed: BTreeSet<PathBuf>,
    /// Directories that were made writable, and their permissions before.
    opened: Vec<(PathBuf, Permissions)>,
    /// What tells the plan's files and links from what others have made of them.
    stamps: Vec<Option<Stamp>>,
}

impl<'a, 'p> Moves<'a, 'p> {
    pub(super) fn new(real: &'a Path, staging: &'a Staging, plan: &'p ExtractPlan, overwrite: Overwrite) -> Self {
        let (whole, single, changed) = (HashSet::new(), HashSet::new(), BTreeSet::new());
        let (replaced, kept, opened) = (Vec::new(), Vec::new(), Vec::new());
        let stamps = plan.leaves().map(|leaf| stamp(&staging.tree.join(&leaf.path))).collect();
        Self { real, staging, plan, overwrite, whole, single, replaced, kept, changed, opened, stamps }
    }

    pub(super) fn is_new(&self, folder: &Folder) -> bool {
        self.whole.contains(folder.path.as_str()) || self.single.contains(folder.path.as_str())
    }

    /// Moves everything in the tree. `merge`: directories may be there already.
    pub(super) fn move_all(&mut self, merge: bool) -> Result<()> {
        let plan = self.plan;
        for Folder { path, .. } in &plan.folders {
            if self.goes_along(path) || (!self.is_there(path, merge)? && self.move_folder(path, merge)?) {
                self.whole.insert(path);
            }
        }
        for (number, leaf) in plan.leaves().enumerate() {
            if !self.goes_along(&leaf.path)
                && self.move_leaf(leaf)? == Moved::Copied
                && let Some(known) = self.stamps.get_mut(number)
            {
                // Another file system may keep times less exactly.
                *known = stamp(&self.real.join(&leaf.path));
            }
        }
        self.close_opened();
        Ok(())
    }

    /// Whether a path was moved with the directory it is in.
    fn goes_along(&self, path: &str) -> bool {
        path.rsplit_once('/').is_some_and(|(parent, _)| self.whole.contains(parent))
    }

    fn is_there(&self, path: &str, merge: bool) -> Result<bool> {
        match file_type_at(self.real, path)? {
            None => Ok(false),
            Some(found) if merge && found.is_dir() => Ok(true),
            Some(_) => Err(Error::Exists { path: self.real.join(path) }),
        }
    }

    /// Moves a directory. False for one that was made or has appeared instead, and is filled by what is moved later.
    fn move_folder(&mut self, path: &'p str, merge: bool) -> Result<bool> {
        let (from, to) = (self.staging.tree.join(path), self.real.join(path));
        match self.in_writable(&to, || rename(&from, &to)) {
            Ok(()) => return Ok(true),
            // A volume is mounted inside the target: Docker does that.
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

    /// Moves a file or a link: at every moment, its path has its old or its new content.
    fn move_leaf(&mut self, leaf: &'p Leaf) -> Result<Moved> {
        let (path, to) = (leaf.path.as_str(), self.real.join(&leaf.path));
        match self.carry(path, false) {
            Ok(moved) => {
                self.single.insert(path);
                return Ok(moved);
            }
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(self.moving(path, e)),
            Err(_) => {}
        }
        let is_dir = fs::symlink_metadata(&to).is_ok_and(|found| found.is_dir());
        match self.overwrite {
            Overwrite::Replace if !is_dir => {
                let aside = self.aside(self.replaced.len());
                let kept = fs::hard_link(&to, &aside).or_else(|_| copy(&to, &aside));
                kept.map_err(|e| Error::io("backing up", &to, e))?;
                let moved = self.carry(path, true).map_err(|e| self.moving(path, e))?;
                self.replaced.push(path);
                return Ok(moved);
            }
            Overwrite::Keep => self.kept.push(leaf),
            _ => return Err(Error::Exists { path: to }),
        }
        Ok(Moved::Renamed)
    }

    fn carry(&mut self, path: &str, replace: bool) -> io::Result<Moved> {
        let (from, to) = (self.staging.tree.join(path), self.real.join(path));
        self.in_writable(&to, || carry(&from, &to, replace))
    }

    /// Does something to a path. If it is refused, the directory it is in is made writable first: archives have
    /// directories that their owner may not write to.
    fn in_writable<T>(&mut self, path: &Path, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let dir = parent_of(path);
        self.changed.insert(dir.to_owned());
        match act() {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                self.opened.push((dir.to_owned(), fs::metadata(dir)?.permissions()));
                change_mode(dir, |mode| mode | 0o700)?;
                act()
            }
            result => result,
        }
    }

    fn close_opened(&mut self) {
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

    /// Brings old files back, and removes what was moved: not what others have put in its place or into new directories
    /// meanwhile.
    ///
    /// # Errors
    /// An old file that could not be brought back: it is left in the staging directory.
    pub(super) fn undo(mut self) -> io::Result<()> {
        let (plan, mut result) = (self.plan, Ok(()));
        let replaced: HashMap<&str, usize> = self.replaced.iter().enumerate().map(|(n, path)| (*path, n)).collect();
        for (leaf, moved) in plan.leaves().zip(std::mem::take(&mut self.stamps)) {
            let (path, to) = (leaf.path.as_str(), self.real.join(&leaf.path));
            if stamp(&to) != moved {
                continue;
            }
            if let Some(number) = replaced.get(path) {
                let from = self.aside(*number);
                result = result.and(self.in_writable(&to, || carry(&from, &to, true).map(drop)));
            } else if self.goes_along(path) || self.single.contains(path) {
                let _ = self.in_writable(&to, || fs::remove_file(&to));
            }
        }
        for folder in plan.folders.iter().rev().filter(|folder| self.is_new(folder)).collect::<Vec<_>>() {
            let path = self.real.join(&folder.path);
            let _ = self.in_writable(&path, || fs::remove_dir(&path));
        }
        self.close_opened();
        result
    }
}

/// Length and time of last modification. Not the inode: FUSE file systems may give a file another one, and what somebody
/// has written into a file of ours meanwhile is theirs, too.
type Stamp = (u64, SystemTime);

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.len(), found.modified().ok()?))
}

/// How a file came to its place.
#[derive(PartialEq, Eq)]
enum Moved {
    Renamed,
    Copied,
}

/// Moves a file or a link; where a volume is mounted inside the target, by copying it there first.
fn carry(from: &Path, to: &Path, replace: bool) -> io::Result<Moved> {
    match publish(from, to, replace) {
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {
            let near = Staging::new(parent_of(to), INSIDE).map_err(|e| match e {
                Error::Io { source, .. } => source,
                e => io::Error::other(e),
            })?;
            near.sweep(parent_of(to), INSIDE);
            let copied = near.tree.join("file");
            copy(from, &copied)?;
            publish(&copied, to, replace).map(|()| Moved::Copied)
        }
        result => result.map(|()| Moved::Renamed),
    }
}

/// Copies a file or a link, with its time and owner, to the disk: where there are no hard links (FAT, exFAT), or none to
/// another user's file.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return symlink(&fs::read_link(from)?, to);
    }
    if !metadata.is_file() {
        // Reading a fifo would wait for its other end.
        return Err(ErrorKind::Unsupported.into());
    }
    // Windows sets the time of, and syncs, only what is open for writing.
    let mut file = File::create_new(to)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        // As root: the copy of another user's set-id file must not be root's.
        file.set_permissions(Permissions::from_mode(metadata.mode() & 0o777))?;
        let _ = fchown(&file, Some(metadata.uid()), Some(metadata.gid()));
    }
    #[cfg(not(unix))]
    file.set_permissions(metadata.permissions())?;
    let _ = file.set_times(FileTimes::new().set_modified(metadata.modified()?));
    sync_file(&file)
}

/// The directory that a path is in.
pub(super) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What is at a path inside the target directory.
pub(super) fn file_type_at(real: &Path, path: &str) -> Result<Option<FileType>> {
    use ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    let at = real.join(path);
    match fs::symlink_metadata(&at) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(e) if matches!(e.kind(), NotFound | NotADirectory | InvalidFilename) => Ok(None),
        Err(e) => Err(Error::io("looking at", at, e)),
    }
}
