//! Where an extraction goes: what is there already, and how the finished tree gets there.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::links::{self, Existing};
use super::moves::{Moves, file_type_at, parent_of};
use super::paths::{Folder, Leaf};
use super::plan::ExtractPlan;
use super::staging::{self, Dead, INSIDE, Staging};
use crate::error::{Error, Refusal, Result};
use crate::snapshot::archive::fault::Fault;
use crate::snapshot::archive::name::Platform;
use crate::snapshot::files::{rename, sync_dir};
use crate::snapshot::options::Overwrite;

/// How often, and how many times, it is looked whether another extraction has moved its files.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 500;

/// Where an extraction goes.
pub(super) struct Target {
    /// Without symbolic links if it exists.
    path: PathBuf,
    /// It is a directory, and stays the one it is: everything is moved into it. Otherwise it appears with one rename.
    exists: bool,
    overwrite: Overwrite,
    /// Staging directories of extractions that were killed while they filled it, when it was empty and may only be used
    /// so: what is there may be theirs.
    unfinished: Vec<Dead>,
}

impl Target {
    /// Looks at the target. A symbolic link given as target counts as what it leads to.
    pub(super) fn look(dir: &Path, overwrite: Overwrite) -> Result<Self> {
        if dir.as_os_str().is_empty() {
            return Err(Error::invalid("the target directory", "is an empty path; give `.` for the current directory"));
        }
        let target = |path, exists| Self { path, exists, overwrite, unfinished: Vec::new() };
        let looking = |e| Error::io("looking at", dir, e);
        if let Err(e) = fs::symlink_metadata(dir) {
            // Not `dir` itself: nothing can be renamed to `new/.`.
            let new = dir.file_name().map(|name| dir.with_file_name(name));
            let new = new.filter(|_| e.kind() == ErrorKind::NotFound).ok_or_else(|| looking(e))?;
            return Ok(target(new, false));
        }
        // A dangling link exists, too.
        if !dir.is_dir() {
            return Err(Error::Exists { path: dir.to_owned() });
        }
        // The path as given, if a directory on its way may be passed but not read.
        let target = target(fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned()), true);
        let left = [(&*target.path, INSIDE), (parent_of(&target.path), &prefix(&target.path))];
        // What killed extractions left is dealt with first.
        let nothing_left = || left.iter().all(|(dir, prefix)| staging::all_in(dir, prefix).is_empty());
        if overwrite == Overwrite::Refuse && !target.entries()?.is_empty() && nothing_left() {
            return Err(Error::Exists { path: dir.to_owned() });
        }
        Ok(target)
    }

    /// A staging directory from which the target can be made or filled by renaming. Removes those that killed extractions
    /// to the same target left.
    pub(super) fn staging(&mut self) -> Result<Staging> {
        let is_full = self.exists && self.overwrite == Overwrite::Refuse && !self.entries()?.is_empty();
        let prefix = prefix(&self.path);
        let staging = match self.exists {
            true => Staging::new(&self.path, INSIDE)?,
            false => Staging::new(parent_of(&self.path), &prefix)?,
        };
        if self.path.file_name().is_some() {
            staging.sweep(parent_of(&self.path), &prefix);
        }
        if !is_full {
            staging.sweep(&self.path, INSIDE);
            return Ok(staging);
        }
        self.unfinished = staging.dead(&self.path, INSIDE);
        if self.unfinished.is_empty() { Err(Error::Exists { path: self.path.clone() }) } else { Ok(staging) }
    }

    /// What is in it, without staging directories.
    fn entries(&self) -> Result<Vec<PathBuf>> {
        let staged = staging::all_in(&self.path, INSIDE);
        let entries = fs::read_dir(&self.path).map_err(|e| Error::io("looking at", &self.path, e))?;
        Ok(entries.flatten().map(|entry| entry.path()).filter(|path| !staged.contains(path)).collect())
    }

    /// Keeps other extractions from moving files there meanwhile, for a few seconds at most: theirs take less. Without
    /// locks in the file system, nothing does.
    fn lock(&self) -> Option<File> {
        let dir = File::open(&self.path).ok()?;
        for _ in 0..LOOKS {
            match dir.try_lock() {
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                locked => return locked.ok().map(|()| dir),
            }
        }
        None
    }

    /// Whether what is there already stays or is replaced, so that the plan has to be compared with it.
    fn merges(&self) -> bool {
        self.exists && (self.overwrite != Overwrite::Refuse || !self.unfinished.is_empty())
    }

    /// Takes out of the plan what stays as it is: with [`Overwrite::Keep`], whatever exists; in a target that a killed
    /// extraction filled in part, what `is_same`. Links that are there are never followed.
    pub(super) fn compare(&self, plan: &mut ExtractPlan, is_same: impl Fn(&Leaf, &Path) -> bool) -> Result<()> {
        if !self.merges() {
            return Ok(());
        }
        // What another one moves there just now may be taken away again.
        let _lock = self.lock();
        if !self.unfinished.is_empty() {
            let planned: HashSet<PathBuf> = plan.paths().map(|path| self.path.join(path)).collect();
            if let Some(path) = self.entries()?.into_iter().find(|path| !planned.contains(path)) {
                return Err(Error::Exists { path });
            }
        }
        for Folder { path, .. } in &plan.folders {
            match file_type_at(&self.path, path)? {
                Some(found) if found.is_symlink() => {
                    let detail =
                        "the target directory has a symbolic link where the archive has a directory; remove it first";
                    return Err(Fault::new(Refusal::Link, detail).error(Some(path)));
                }
                Some(found) if !found.is_dir() => return Err(Error::Exists { path: self.path.join(path) }),
                _ => {}
            }
        }
        let mut kept = HashSet::new();
        for leaf in plan.leaves() {
            let Some(found) = file_type_at(&self.path, &leaf.path)? else { continue };
            let path = self.path.join(&leaf.path);
            match self.overwrite {
                Overwrite::Replace if !found.is_dir() => {}
                Overwrite::Keep => drop(kept.insert(leaf.index)),
                Overwrite::Refuse if is_same(leaf, &path) => drop(kept.insert(leaf.index)),
                _ => return Err(Error::Exists { path }),
            }
        }
        plan.files.retain(|leaf| !kept.contains(&leaf.index));
        plan.links.retain(|leaf| !kept.contains(&leaf.index));
        Ok(())
    }

    /// Refuses links that lead out over links that are there already.
    pub(super) fn check_links(&self, plan: &ExtractPlan, platform: Platform) -> Result<()> {
        if self.merges() { check_links(plan, &self.path, platform) } else { Ok(()) }
    }

    /// Whether links may stay as they are: their targets have to be known before.
    pub(super) fn keeps_links(&self) -> bool {
        !self.unfinished.is_empty() || (self.exists && self.overwrite == Overwrite::Keep)
    }

    /// Moves the finished tree to the target, on the disk if it is to be `durable`, and returns what was kept instead
    /// because it appeared meanwhile. `finish` gets the directories whose permissions and times are still to be set, and
    /// where they are.
    pub(super) fn place(
        self,
        mut staging: Staging,
        plan: &ExtractPlan,
        durable: bool,
        finish: impl FnOnce(&Path, &[&Folder]),
    ) -> Result<Vec<&Leaf>> {
        if !self.exists {
            finish(&staging.tree, &plan.folders.iter().collect::<Vec<_>>());
            self.place_new(&staging, durable)?;
            return Ok(Vec::new());
        }
        let _lock = self.lock();
        let mut moves = Moves::new(&self.path, &staging, plan, self.overwrite);
        let placed = moves.move_all(self.merges()).and_then(|()| {
            // Those that were there, too, when they may be a killed extraction's.
            let all = self.overwrite == Overwrite::Replace || !self.unfinished.is_empty();
            let folders: Vec<&Folder> = plan.folders.iter().filter(|folder| all || moves.is_new(folder)).collect();
            if durable {
                sync_dirs(&moves.changed)?;
            }
            finish(&self.path, &folders);
            Ok(())
        });
        let Err(error) = placed else {
            self.unfinished.into_iter().for_each(Dead::remove);
            return Ok(moves.kept);
        };
        Err(match moves.undo() {
            Ok(()) => error,
            Err(e) => Error::io("restoring replaced files, which are now in", staging.save(), e),
        })
    }

    fn place_new(&self, staging: &Staging, durable: bool) -> Result<()> {
        use ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
        rename(&staging.tree, &self.path).map_err(|e| match e.kind() {
            DirectoryNotEmpty | AlreadyExists | NotADirectory => Error::Exists { path: self.path.clone() },
            _ => Error::io("moving the extracted directory to", &self.path, e),
        })?;
        if durable {
            let synced = sync_dirs([parent_of(&self.path)]);
            synced.inspect_err(|_| drop(fs::rename(&self.path, &staging.tree)))?;
        }
        Ok(())
    }
}

/// What the names of the staging directories beside a target begin with.
fn prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{}.", name.chars().take(40).collect::<String>())
}

/// Puts on the disk which names the directories have.
pub(super) fn sync_dirs<P: AsRef<Path>>(dirs: impl IntoIterator<Item = P>) -> Result<()> {
    let sync = |dir: &Path| sync_dir(dir).map_err(|e| Error::io("syncing the directory", dir, e));
    dirs.into_iter().try_for_each(|dir| sync(dir.as_ref()))
}

/// The archive's links stay inside among themselves; over links that are there already, they may not.
fn check_links(plan: &ExtractPlan, real: &Path, platform: Platform) -> Result<()> {
    if plan.links.is_empty() {
        return Ok(());
    }
    let files: HashSet<&str> = plan.files.iter().map(|leaf| leaf.path.as_str()).collect();
    let existing = |path: &str| {
        let at = real.join(path);
        match fs::symlink_metadata(&at) {
            // Replaced before anybody can follow it.
            _ if files.contains(path) => Existing::Nothing,
            Ok(found) if found.is_dir() => Existing::Directory,
            Ok(found) if found.is_symlink() => fs::read_link(&at)
                .map_or(Existing::Nothing, |target| Existing::Link(target.to_string_lossy().into_owned())),
            _ => Existing::Nothing,
        }
    };
    let refused = links::refused(&plan.links, platform, Some(&existing)).into_iter().next();
    refused.map_or(Ok(()), |(link, fault)| Err(fault.error(Some(&link.path))))
}
