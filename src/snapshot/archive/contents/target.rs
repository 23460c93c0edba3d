//! Where an extraction goes: what is there already, and how the finished tree gets there.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::links::{Existing, LinkTree};
use super::moves::{Moves, beside, kind};
use super::paths::{Folder, Leaf};
use super::plan::ExtractPlan;
use super::staging::{self, INSIDE, Staging};
use crate::error::{Error, Refusal, Result};
use crate::snapshot::archive::fault::Fault;
use crate::snapshot::archive::name::Platform;
use crate::snapshot::files::sync_dir;
use crate::snapshot::options::Overwrite;

/// What the target is now.
pub(super) enum Target {
    /// Nothing: it appears with one rename.
    New(PathBuf),
    /// A directory, which stays the one it is: everything is moved into it.
    Existing {
        real: PathBuf,
        /// Staging directories of an extraction that was killed while it filled the empty directory. They show that what
        /// is there may be that extraction's.
        unfinished: Vec<PathBuf>,
    },
}

impl Target {
    /// Looks at the target. A symbolic link given as target counts as what it leads to.
    pub(super) fn look(dir: &Path, overwrite: Overwrite) -> Result<Self> {
        if dir.as_os_str().is_empty() {
            return Err(Error::invalid("the target directory", "is an empty path; give `.` for the current directory"));
        }
        let looking = |e| Error::io("looking at", dir, e);
        if let Err(e) = fs::symlink_metadata(dir) {
            // Not `dir` itself: nothing can be renamed to `new/.`.
            let new = dir.file_name().map(|name| dir.with_file_name(name));
            return new.filter(|_| e.kind() == ErrorKind::NotFound).map(Self::New).ok_or_else(|| looking(e));
        }
        let exists = || Error::Exists { path: dir.to_owned() };
        // A dangling link exists, too.
        if !dir.is_dir() {
            return Err(exists());
        }
        // Below a directory that one may pass and not read, a path is taken as it was given.
        let real = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let mut unfinished = staging::all_in(&real, INSIDE);
        let is_other = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| !unfinished.contains(&entry.path()));
        if overwrite != Overwrite::Refuse || !fs::read_dir(&real).map_err(looking)?.any(is_other) {
            return Ok(Self::Existing { real, unfinished: Vec::new() });
        }
        unfinished.retain(|root| !staging::is_alive(root));
        if unfinished.is_empty() { Err(exists()) } else { Ok(Self::Existing { real, unfinished }) }
    }

    /// A staging directory from which the target can be made or filled by renaming. Removes those that killed extractions
    /// to the same target left.
    pub(super) fn staging(&self) -> Result<Staging> {
        match self {
            Self::New(path) => {
                let staging = Staging::new(beside(path), &prefix(path))?;
                staging.sweep(beside(path), &prefix(path));
                Ok(staging)
            }
            Self::Existing { real, unfinished } => {
                let staging = Staging::new(real, INSIDE)?;
                if real.file_name().is_some() {
                    staging.sweep(beside(real), &prefix(real));
                }
                if unfinished.is_empty() {
                    staging.sweep(real, INSIDE);
                }
                Ok(staging)
            }
        }
    }

    /// Compares the plan with what exists, and takes out of it what is kept: the files that `is_same` knows, too, when
    /// they may be those of a killed extraction. Links that are there are never followed.
    pub(super) fn compare(
        &self,
        plan: &mut ExtractPlan,
        overwrite: Overwrite,
        platform: Platform,
        is_same: impl Fn(&Leaf, &Path) -> bool,
    ) -> Result<()> {
        let Self::Existing { real, unfinished } = self else { return Ok(()) };
        if overwrite == Overwrite::Refuse && unfinished.is_empty() {
            // There is nothing to compare with.
            return Ok(());
        }
        if !unfinished.is_empty() {
            only_from(plan, real)?;
        }
        for Folder { path, .. } in &plan.folders {
            match kind(real, path)? {
                Some(kind) if kind.is_symlink() => {
                    let detail =
                        "the target directory has a symbolic link where the archive has a directory; remove it first";
                    return Err(Fault::new(Refusal::Link, detail).error(Some(path)));
                }
                Some(kind) if !kind.is_dir() => return Err(Error::Exists { path: real.join(path) }),
                _ => {}
            }
        }
        let mut kept = HashSet::new();
        for leaf in plan.leaves() {
            let Some(kind) = kind(real, &leaf.path)? else { continue };
            let path = real.join(&leaf.path);
            let keep = match overwrite {
                Overwrite::Replace if kind.is_dir() => return Err(Error::Exists { path }),
                Overwrite::Replace => false,
                Overwrite::Keep => true,
                Overwrite::Refuse if is_same(leaf, &path) => true,
                Overwrite::Refuse => return Err(Error::Exists { path }),
            };
            if keep {
                kept.insert(leaf.index);
            }
        }
        plan.files.retain(|leaf| !kept.contains(&leaf.index));
        plan.links.retain(|leaf| !kept.contains(&leaf.index));
        check_links(plan, real, platform)
    }

    /// Moves the finished tree to the target, on the disk if it is to be `durable`, and returns what was kept instead because
    /// it has appeared meanwhile. `finish` gets the directories that the archive has a say in, and where they are now.
    pub(super) fn place<'a>(
        &self,
        staging: &mut Staging,
        plan: &'a ExtractPlan,
        overwrite: Overwrite,
        durable: bool,
        finish: impl FnOnce(&Path, &[&Folder]) -> Result<()>,
    ) -> Result<Vec<&'a Leaf>> {
        let Self::Existing { real, unfinished } = self else {
            return self.place_new(staging, plan, durable, finish).map(|()| Vec::new());
        };
        // Those that are there already are finished, too, when they may be a killed extraction's.
        let all = overwrite == Overwrite::Replace || !unfinished.is_empty();
        let mut moves = Moves::new(real, staging, plan, overwrite);
        let placed = moves.all(all || overwrite == Overwrite::Keep).and_then(|()| {
            let folders: Vec<&Folder> = plan.folders.iter().filter(|folder| all || moves.is_new(folder)).collect();
            finish(real, &folders)?;
            if durable { sync_dirs(moves.changed()) } else { Ok(()) }
        });
        match placed {
            Ok(()) => {
                let kept = moves.into_kept();
                unfinished.iter().for_each(|root| staging::remove_dead(root));
                Ok(kept)
            }
            Err(error) => match moves.undo() {
                Ok(()) => Err(error),
                Err(e) => Err(Error::io("bringing back old files, which are kept in", staging.save(), e)),
            },
        }
    }

    fn place_new(
        &self,
        staging: &Staging,
        plan: &ExtractPlan,
        durable: bool,
        finish: impl FnOnce(&Path, &[&Folder]) -> Result<()>,
    ) -> Result<()> {
        use ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
        let Self::New(path) = self else { return Ok(()) };
        finish(&staging.tree, &plan.folders.iter().collect::<Vec<_>>())?;
        fs::rename(&staging.tree, path).map_err(|e| match e.kind() {
            DirectoryNotEmpty | AlreadyExists | NotADirectory => Error::Exists { path: path.to_owned() },
            _ => Error::io("moving the extracted directory to", path, e),
        })?;
        if durable {
            sync_dirs([beside(path)]).inspect_err(|_| drop(fs::rename(path, &staging.tree)))?;
        }
        Ok(())
    }
}

/// What the names of the staging directories beside a target begin with.
fn prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{}.", name.chars().take(40).collect::<String>())
}

/// Checks that nothing but staging directories is in the target that the plan would not put there.
fn only_from(plan: &ExtractPlan, real: &Path) -> Result<()> {
    let planned: HashSet<&str> = plan.paths().filter_map(|path| path.split('/').next()).collect();
    let staged = staging::all_in(real, INSIDE);
    for entry in fs::read_dir(real).map_err(|e| Error::io("looking at", real, e))?.flatten() {
        let is_planned = entry.file_name().to_str().is_some_and(|name| planned.contains(name));
        if !is_planned && !staged.contains(&entry.path()) {
            return Err(Error::Exists { path: entry.path() });
        }
    }
    Ok(())
}

/// Puts on the disk which names the directories have.
pub(super) fn sync_dirs<'a>(dirs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    dirs.into_iter().try_for_each(|dir| sync_dir(dir).map_err(|e| Error::io("syncing the directory", dir, e)))
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
    let mut tree = LinkTree::of(&plan.links, platform, Some(&existing));
    plan.links.iter().try_for_each(|Leaf { path, .. }| tree.follow(path).map_err(|fault| fault.error(Some(path))))
}
