//! A finished tree moved into a directory that has something in it: checked beforehand, undone when it fails.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::files::too_long;
use super::links::{Existing, LinkTree};
use super::name::Platform;
use super::paths::Folder;
use super::plan::ExtractPlan;
use super::staging::Staging;
use crate::error::{Error, Refusal, Result};
use crate::snapshot::overwrite::Overwrite;

/// Compares the plan with what exists. Links that are there are never followed.
pub(super) fn check(plan: &ExtractPlan, real: &Path, overwrite: Overwrite) -> Result<()> {
    let folders = plan.folders.iter().map(|folder| (plan.path(&folder.path), true));
    for (path, folder) in folders.chain(plan.leaves().map(|leaf| (plan.path(&leaf.path), false))) {
        match kind(real, path)? {
            None => {}
            Some(kind) if folder && kind.is_dir() => {}
            Some(kind) if folder && kind.is_symlink() => {
                let detail = "the target directory has a symbolic link where the archive has a directory; remove it first";
                return Err(Fault::new(Refusal::Link, detail).error(Some(path)));
            }
            Some(_) if !folder && overwrite == Overwrite::Keep => {}
            Some(kind) if !folder && overwrite == Overwrite::Replace && !kind.is_dir() => {}
            Some(_) => return Err(Error::Exists { path: real.join(path) }),
        }
    }
    if plan.links.is_empty() { Ok(()) } else { check_links(plan, real, overwrite) }
}

/// The archive's links stay inside among themselves; over links that are there already, they may not.
fn check_links(plan: &ExtractPlan, real: &Path, overwrite: Overwrite) -> Result<()> {
    let keep = overwrite == Overwrite::Keep;
    let files: HashSet<&str> = plan.files.iter().map(|leaf| plan.path(&leaf.path)).collect();
    let stays = |path: &str| fs::symlink_metadata(real.join(path)).is_ok();
    let links = || {
        let all =
            plan.links.iter().map(|leaf| (plan.path(&leaf.path), leaf.target.as_deref().unwrap_or_default()));
        all.filter(|(path, _)| !(keep && stays(path)))
    };
    let existing = |path: &str| match fs::symlink_metadata(real.join(path)) {
        // Moved away before anybody can follow it.
        _ if !keep && files.contains(path) => Existing::Nothing,
        Ok(found) if found.is_dir() => Existing::Directory,
        Ok(found) if found.is_symlink() => match fs::read_link(real.join(path)) {
            Ok(target) => Existing::Link(target.to_string_lossy().into_owned()),
            Err(_) => Existing::Nothing,
        },
        _ => Existing::Nothing,
    };
    let mut tree = LinkTree::of(links(), Platform::HERE).over(existing);
    for (path, _) in links() {
        tree.follow(path).map_err(|fault| fault.error(Some(path)))?;
    }
    Ok(())
}

/// What is at a path inside the target directory.
fn kind(real: &Path, path: &str) -> Result<Option<fs::FileType>> {
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
        let mut moved: Vec<&str> = Vec::new();
        // Parents come before children: a child of a moved folder went with it.
        let mut gone = HashSet::new();
        for folder in &plan.folders {
            let path = plan.path(&folder.path);
            let with_parent = path.rsplit_once('/').is_some_and(|(parent, _)| gone.contains(parent));
            if with_parent || kind(self.real, path)?.is_none() {
                gone.insert(path);
                made.push(folder.clone());
                if !with_parent {
                    moved.push(path);
                }
            }
        }
        for path in moved {
            self.move_in(path)?;
        }
        for leaf in plan.leaves() {
            let path = plan.path(&leaf.path);
            if !path.rsplit_once('/').is_some_and(|(parent, _)| gone.contains(parent)) {
                self.move_in(path)?;
            }
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
