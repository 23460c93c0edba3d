//! Where an extraction goes: the target, the private directory in which everything is written first, and the way from there
//! to the target: one rename to a new target; several into an existing directory, undone when one of them fails.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, FileType};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::links::{Existing, LinkTree};
use super::paths::{Folder, Leaf};
use super::plan::ExtractPlan;
use crate::error::{Error, Refusal, Result};
use crate::snapshot::archive::fault::Fault;
use crate::snapshot::archive::name::Platform;
use crate::snapshot::options::Overwrite;

/// What the target is now.
pub(super) enum Target {
    /// Nothing: it appears with one rename.
    New(PathBuf),
    /// A directory, which keeps its owner and mode: everything is moved into it.
    Existing(PathBuf),
}

impl Target {
    /// Looks at the target. A symbolic link given as target counts as what it leads to.
    pub(super) fn look(dir: &Path, overwrite: Overwrite) -> Result<Self> {
        if dir.as_os_str().is_empty() {
            return Err(Error::invalid("the target directory", "is an empty path; give `.` for the current directory"));
        }
        let looking = |e| Error::io("looking at", dir, e);
        let exists = || Error::Exists { path: dir.to_owned() };
        if let Err(e) = fs::symlink_metadata(dir) {
            // Not `dir` itself: nothing can be renamed to `new/.`.
            let new = dir.file_name().map(|name| dir.with_file_name(name));
            return new.filter(|_| e.kind() == ErrorKind::NotFound).map(Self::New).ok_or_else(|| looking(e));
        }
        // A dangling link exists, too.
        let Some(real) = fs::canonicalize(dir).ok().filter(|real| real.is_dir()) else { return Err(exists()) };
        if overwrite == Overwrite::Refuse && fs::read_dir(&real).map_err(looking)?.next().is_some() {
            return Err(exists());
        }
        Ok(Self::Existing(real))
    }

    /// A staging directory from which the target can be made or filled by renaming.
    pub(super) fn staging(&self) -> Result<Staging> {
        match self {
            Self::New(path) => {
                let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Staging::new(parent, path.file_name().unwrap_or_default())
            }
            Self::Existing(real) => Staging::new(real, "extract".as_ref()),
        }
    }
}

/// A private directory for work in progress, deleted with all its content when dropped, and with the parents
/// that were made for it.
#[derive(Debug)]
pub(super) struct Staging {
    root: PathBuf,
    /// Where the archive's tree grows: it has ordinary permissions, the root only the user's.
    pub(super) tree: PathBuf,
    /// Parents made for the target, innermost first.
    made: Vec<PathBuf>,
}

impl Staging {
    /// A fresh directory in `parent`, which is made if it is missing.
    pub(super) fn new(parent: &Path, name: &OsStr) -> Result<Self> {
        let missing = parent.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists());
        let made = missing.map(Path::to_owned).collect();
        let mut staging = Self { root: PathBuf::new(), tree: PathBuf::new(), made };
        fs::create_dir_all(parent).map_err(|e| Error::io("creating", parent, e))?;
        let name: String = name.to_string_lossy().chars().take(40).collect();
        let random = RandomState::new().hash_one(std::process::id());
        let root = parent.join(format!(".{name}.{random:016x}.partial"));
        create_dir(&root, 0o700).map_err(|e| Error::io("creating", &root, e))?;
        staging.tree = root.join("tree");
        staging.root = root;
        fs::create_dir(&staging.tree).map_err(|e| Error::io("creating", &staging.tree, e))?;
        Ok(staging)
    }

    /// Moves the finished tree to `target`, where nothing was.
    pub(super) fn place(&self, target: &Path) -> Result<()> {
        use ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
        fs::rename(&self.tree, target).map_err(|e| match e.kind() {
            DirectoryNotEmpty | AlreadyExists | NotADirectory => Error::Exists { path: target.to_owned() },
            _ => Error::io("moving the extracted directory to", target, e),
        })
    }

    /// Moves everything in the tree into `real`, and undoes that when something fails. `finish` gets the folders that were
    /// not there.
    pub(super) fn place_inside(
        &self,
        real: &Path,
        plan: &ExtractPlan,
        overwrite: Overwrite,
        finish: impl FnOnce(&[Folder]) -> Result<()>,
    ) -> Result<()> {
        let mut undo = Undo(Vec::new());
        let mut made: Vec<Folder> = Vec::new();
        let mut moved: HashSet<&str> = HashSet::new();
        // A child of a moved folder went with it.
        let with_parent =
            |moved: &HashSet<&str>, path: &str| path.rsplit_once('/').is_some_and(|(parent, _)| moved.contains(parent));
        for folder in &plan.folders {
            if !with_parent(&moved, &folder.path) {
                if overwrite != Overwrite::Refuse && kind(real, &folder.path)?.is_some_and(|kind| kind.is_dir()) {
                    continue;
                }
                self.move_into(real, &folder.path, false, &mut undo)?;
            }
            moved.insert(&folder.path);
            made.push(folder.clone());
        }
        for leaf in plan.leaves().filter(|leaf| !with_parent(&moved, &leaf.path)) {
            self.move_into(real, &leaf.path, overwrite == Overwrite::Replace, &mut undo)?;
        }
        finish(&made)?;
        undo.0.clear();
        // The files moved aside go, too.
        let _ = fs::remove_dir_all(&self.root);
        Ok(())
    }

    fn move_into(&self, real: &Path, path: &str, replace: bool, undo: &mut Undo) -> Result<()> {
        let (from, to) = (self.tree.join(path), real.join(path));
        let moving = |e| Error::io("moving an extracted file to", &to, e);
        if let Some(existing) = kind(real, path)? {
            if existing.is_dir() || !replace {
                return Err(Error::Exists { path: to });
            }
            let aside = self.root.join(format!("aside-{}", undo.0.len()));
            fs::rename(&to, &aside).map_err(moving)?;
            undo.0.push((aside, to.clone()));
        }
        fs::rename(&from, &to).map_err(moving)?;
        undo.0.push((to, from));
        Ok(())
    }
}

/// Moves done so far, as pairs of what to move where to undo them: that happens when it is dropped.
struct Undo(Vec<(PathBuf, PathBuf)>);

impl Drop for Undo {
    fn drop(&mut self) {
        for (from, to) in self.0.drain(..).rev() {
            // A destructor has nobody to tell; what cannot be moved back stays where it is, in the staging directory.
            let _ = fs::rename(from, to);
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.root.as_os_str().is_empty() {
            // A destructor has nobody to tell. A file moved aside that could not be moved back keeps the directory.
            let _ = fs::remove_dir_all(&self.tree);
            let _ = fs::remove_dir(&self.root);
        }
        for parent in &self.made {
            // Only if still empty: the target is in it now, or something that somebody else put there meanwhile.
            let _ = fs::remove_dir(parent);
        }
    }
}

/// The refusal of a path that is too long where the target is.
pub(super) fn too_long(path: &str, e: &io::Error) -> Option<Error> {
    (e.kind() == ErrorKind::InvalidFilename).then(|| {
        let detail = "its path below the target, or a part of it, is longer than the file system takes; \
                      choose a target with a shorter path";
        Fault::new(Refusal::TooMany, detail).error(Some(path))
    })
}

/// Makes a directory with these permissions, less those of the umask, where the system has such.
#[cfg_attr(not(unix), allow(unused))]
pub(super) fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
    builder.create(path)
}

/// Compares the plan with what exists, and takes out of it what is kept. Links that are there are never followed.
pub(super) fn check_existing(plan: &mut ExtractPlan, real: &Path, overwrite: Overwrite) -> Result<()> {
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
    for Leaf { path, .. } in plan.leaves() {
        if kind(real, path)?.is_some_and(|kind| overwrite == Overwrite::Replace && kind.is_dir()) {
            return Err(Error::Exists { path: real.join(path) });
        }
    }
    if overwrite == Overwrite::Keep {
        let missing = |leaf: &Leaf| fs::symlink_metadata(real.join(&leaf.path)).is_err();
        plan.files.retain(missing);
        plan.links.retain(missing);
    }
    check_links(plan, real)
}

/// The archive's links stay inside among themselves; over links that are there already, they may not.
fn check_links(plan: &ExtractPlan, real: &Path) -> Result<()> {
    if plan.links.is_empty() {
        return Ok(());
    }
    let files: HashSet<&str> = plan.files.iter().map(|leaf| leaf.path.as_str()).collect();
    let existing = |path: &str| {
        let at = real.join(path);
        match fs::symlink_metadata(&at) {
            // Moved away before anybody can follow it.
            _ if files.contains(path) => Existing::Nothing,
            Ok(found) if found.is_dir() => Existing::Directory,
            Ok(found) if found.is_symlink() => fs::read_link(&at)
                .map_or(Existing::Nothing, |target| Existing::Link(target.to_string_lossy().into_owned())),
            _ => Existing::Nothing,
        }
    };
    let mut tree = LinkTree::of(&plan.links, Platform::HERE, Some(&existing));
    plan.links.iter().try_for_each(|Leaf { path, .. }| tree.follow(path).map_err(|fault| fault.error(Some(path))))
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
