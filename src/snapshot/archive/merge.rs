//! A finished tree moved into a directory that has something in it: checked beforehand, undone when it fails.

use std::collections::HashSet;
use std::fs::{self, FileType};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::files::too_long;
use super::links::{Existing, LinkTree};
use super::name::Platform;
use super::paths::{Folder, Leaf};
use super::plan::ExtractPlan;
use super::staging::Staging;
use crate::error::{Error, Refusal, Result};
use crate::snapshot::overwrite::Overwrite;

/// Compares the plan with what exists. Links that are there are never followed.
pub(super) fn check(plan: &ExtractPlan, real: &Path, overwrite: Overwrite) -> Result<()> {
    for Folder { path, .. } in &plan.folders {
        match kind(real, path)? {
            Some(kind) if kind.is_symlink() => {
                let detail = "the target directory has a symbolic link where the archive has a directory; remove it first";
                return Err(Fault::new(Refusal::Link, detail).error(Some(path)));
            }
            Some(kind) if !kind.is_dir() => return Err(Error::Exists { path: real.join(path) }),
            _ => {}
        }
    }
    for Leaf { path, .. } in plan.leaves() {
        let replaced = |kind: FileType| overwrite == Overwrite::Replace && !kind.is_dir();
        if kind(real, path)?.is_some_and(|kind| overwrite != Overwrite::Keep && !replaced(kind)) {
            return Err(Error::Exists { path: real.join(path) });
        }
    }
    if plan.links.is_empty() { Ok(()) } else { check_links(plan, real, overwrite) }
}

/// The archive's links stay inside among themselves; over links that are there already, they may not.
fn check_links(plan: &ExtractPlan, real: &Path, overwrite: Overwrite) -> Result<()> {
    let keep = overwrite == Overwrite::Keep;
    let files: HashSet<&str> = plan.files.iter().map(|leaf| leaf.path.as_str()).collect();
    let existing = |path: &str| {
        let at = real.join(path);
        match fs::symlink_metadata(&at) {
            // Moved away before anybody can follow it.
            _ if !keep && files.contains(path) => Existing::Nothing,
            Ok(found) if found.is_dir() => Existing::Directory,
            Ok(found) if found.is_symlink() => fs::read_link(&at)
                .map_or(Existing::Nothing, |target| Existing::Link(target.to_string_lossy().into_owned())),
            _ => Existing::Nothing,
        }
    };
    let stays = |path: &str| keep && fs::symlink_metadata(real.join(path)).is_ok();
    let links: Vec<&Leaf> = plan.links.iter().filter(|leaf| !stays(&leaf.path)).collect();
    let mut tree = LinkTree::of(links.iter().copied(), Platform::HERE, Some(&existing));
    links.iter().try_for_each(|Leaf { path, .. }| tree.follow(path).map_err(|fault| fault.error(Some(path))))
}

/// What is at a path inside the target directory.
fn kind(real: &Path, path: &str) -> Result<Option<FileType>> {
    let at = real.join(path);
    match fs::symlink_metadata(&at) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(too_long(path, &e).unwrap_or_else(|| Error::io("looking at", at, e))),
    }
}

/// The moves done so far; dropped before [`commit`](Self::commit), they are undone.
pub(super) struct Merge<'a> {
    staging: &'a Staging,
    real: &'a Path,
    /// What to move where to undo it.
    undo: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(staging: &'a Staging, real: &'a Path) -> Self {
        Self { staging, real, undo: Vec::new() }
    }

    /// Moves everything; the folders that were not there are returned.
    pub(super) fn run(&mut self, plan: &ExtractPlan) -> Result<Vec<Folder>> {
        let mut made: Vec<Folder> = Vec::new();
        let mut moved: HashSet<&str> = HashSet::new();
        let with_parent = |moved: &HashSet<&str>, path: &str| {
            path.rsplit_once('/').is_some_and(|(parent, _)| moved.contains(parent))
        };
        // Parents come before children: a child of a moved folder went with it.
        for folder in &plan.folders {
            let moves_along = with_parent(&moved, &folder.path);
            if moves_along || kind(self.real, &folder.path)?.is_none() {
                if !moves_along {
                    self.move_in(&folder.path)?;
                }
                moved.insert(&folder.path);
                made.push(folder.clone());
            }
        }
        for leaf in plan.leaves().filter(|leaf| !with_parent(&moved, &leaf.path)) {
            self.move_in(&leaf.path)?;
        }
        Ok(made)
    }

    fn move_in(&mut self, path: &str) -> Result<()> {
        let (from, to) = (self.staging.tree.join(path), self.real.join(path));
        let moving = |e| Error::io("moving an extracted file to", &to, e);
        let existing = kind(self.real, path)?;
        if existing.is_some_and(|kind| kind.is_dir()) {
            return Err(Error::Exists { path: to });
        }
        if existing.is_some() {
            let aside = self.staging.aside(self.undo.len());
            fs::rename(&to, &aside).map_err(moving)?;
            self.undo.push((aside, to.clone()));
        }
        fs::rename(&from, &to).map_err(moving)?;
        self.undo.push((to, from));
        Ok(())
    }

    pub(super) fn commit(mut self) {
        self.undo.clear();
    }
}

impl Drop for Merge<'_> {
    fn drop(&mut self) {
        for (from, to) in self.undo.drain(..).rev() {
            // A destructor has nobody to tell; what cannot be moved back stays where it is.
            let _ = fs::rename(from, to);
        }
    }
}
