//! The private directory in which an extraction writes everything before the target changes, and those that killed
//! extractions left.
//!
//! It is locked as long as its owner lives: the system releases the lock of a process that dies. What it holds goes
//! first and the lock last, so that a kill while it is removed leaves something that the next extraction recognises.

use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::plan::ExtractPlan;
use crate::error::{Error, Refusal, Result};
use crate::snapshot::archive::fault::Fault;
use crate::snapshot::files::{create_dir as create_parents, release};

/// What the names of staging directories inside a target begin with.
pub(super) const INSIDE: &str = ".extract.";
const SUFFIX: &str = ".partial";
const LOCK: &str = "lock";

/// How many times another extraction may take the new directory for one that a killed process left.
const ATTEMPTS: usize = 10;

/// Characters that some file system refuses or changes: FAT, exFAT, NTFS, SMB.
const ODD: &[char] = &['<', '>', ':', '"', '\\', '|', '?', '*'];

/// A private directory for work in progress, deleted with all its content when dropped, and with the parents
/// that were made for it.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) root: PathBuf,
    /// Where the archive's tree grows: it has ordinary permissions, the root only the user's.
    pub(super) tree: PathBuf,
    lock: Option<File>,
    /// Parents made for the target, innermost first.
    pub(super) made: Vec<PathBuf>,
    /// Whether something in it may not be deleted.
    pub(super) keep: bool,
}

impl Staging {
    /// A fresh directory in `parent`, which is made if it is missing.
    pub(super) fn new(parent: &Path, prefix: &str) -> Result<Self> {
        let missing = parent.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists());
        let made = missing.map(Path::to_owned).collect();
        let mut staging = Self { root: PathBuf::new(), tree: PathBuf::new(), lock: None, made, keep: false };
        create_parents(parent).map_err(|e| Error::io("creating", parent, e))?;
        for attempt in 1..=ATTEMPTS {
            let random = RandomState::new().hash_one(std::process::id());
            staging.root = parent.join(format!("{prefix}{random:016x}{SUFFIX}"));
            create_dir(&staging.root, 0o700).map_err(|e| Error::io("creating", &staging.root, e))?;
            match lock(&staging.root) {
                Ok(lock) => {
                    staging.lock = Some(lock);
                    break;
                }
                Err(e) if attempt == ATTEMPTS || !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::WouldBlock) => {
                    return Err(Error::io("locking", &staging.root, e));
                }
                Err(_) => {}
            }
        }
        staging.tree = staging.root.join("tree");
        fs::create_dir(&staging.tree).map_err(|e| Error::io("creating", &staging.tree, e))?;
        Ok(staging)
    }

    /// Whether the file system takes names that differ in case for one.
    pub(super) fn ignores_case(&self) -> bool {
        fs::symlink_metadata(self.root.join("TREE")).is_ok()
    }

    /// Whether the file system keeps permission bits: FAT and exFAT show the same for every file.
    pub(super) fn keeps_modes(&self) -> bool {
        #[cfg(unix)]
        let kept = fs::symlink_metadata(&self.root)
            .is_ok_and(|root| std::os::unix::fs::PermissionsExt::mode(&root.permissions()) & 0o777 == 0o700);
        #[cfg(not(unix))]
        let kept = true;
        kept
    }

    /// Refuses a plan that the file system cannot hold, as far as that can be tried out before anything is written.
    pub(super) fn judge(&self, plan: &ExtractPlan) -> Result<()> {
        let probe = self.root.join("probe");
        fs::create_dir(&probe).map_err(|e| Error::io("creating", &probe, e))?;
        if let Some(link) = plan.links.first()
            && let Err(e) = symlink("x".as_ref(), &probe.join("link"))
        {
            let detail =
                format!("the target's file system makes no symbolic links ({e}); leave them out with `Links::Skip`");
            return Err(Fault::new(Refusal::Unsupported, detail).error(Some(&link.path)));
        }
        let mut tried = Vec::new();
        for path in plan.paths() {
            for part in path.split('/') {
                for odd in oddities(part) {
                    if tried.contains(&odd) {
                        continue;
                    }
                    tried.push(odd);
                    if let Err(e) = can_be_named(&probe, part) {
                        let detail = format!(
                            "the target's file system takes no name with {odd:?} there ({e}); leave the entry out with \
                             `ExtractOptions::filter`"
                        );
                        return Err(Fault::new(Refusal::Name, detail).error(Some(path)));
                    }
                }
            }
        }
        remove(&probe);
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Closed first: FUSE and Windows keep an open file's name, and with it the directory, until then.
        if let Some(lock) = self.lock.take() {
            release(&lock);
        }
        if self.keep {
            // Under a name that no other extraction takes for one that may be deleted.
            let _ = fs::rename(&self.root, self.root.with_extension("saved"));
        } else if !self.root.as_os_str().is_empty() {
            remove(&self.root);
        }
        for parent in &self.made {
            // Only if still empty: the target is in it now, or something that somebody else put there meanwhile.
            let _ = fs::remove_dir(parent);
        }
    }
}

/// What may keep a file system from taking a name: its odd characters, control characters, a dot or a space at its end.
fn oddities(part: &str) -> impl Iterator<Item = char> {
    let within = part.chars().filter(|c| ODD.contains(c) || c.is_control());
    within.chain(part.chars().last().filter(|c| matches!(c, '.' | ' ')))
}

/// Makes a file of that name, to see whether the file system takes it as it is.
fn can_be_named(dir: &Path, name: &str) -> io::Result<()> {
    let path = dir.join(name);
    File::create_new(&path)?;
    let is_listed = fs::read_dir(dir)?.flatten().any(|found| found.file_name() == name);
    fs::remove_file(path)?;
    if is_listed { Ok(()) } else { Err(io::Error::other("it would be changed")) }
}

/// Makes and locks the lock file. Without locks in the file system, nobody takes the directory for a dead one.
fn lock(root: &Path) -> io::Result<File> {
    let file = File::create_new(root.join(LOCK))?;
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
        _ => Ok(file),
    }
}

/// The staging directories in `dir`, of owners dead or alive.
pub(super) fn all_in(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let is_ours = |name: &str| {
        let random = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(SUFFIX));
        random.is_some_and(|random| random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_ours));
    ours.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Whether the owner of a staging directory lives; `None` where the file system has no locks.
pub(super) fn is_alive(root: &Path) -> Option<bool> {
    // NFS locks only what is open for writing.
    match File::options().write(true).open(root.join(LOCK)) {
        Ok(lock) => match lock.try_lock() {
            Ok(()) => {
                release(&lock);
                Some(false)
            }
            Err(fs::TryLockError::WouldBlock) => Some(true),
            Err(fs::TryLockError::Error(_)) => None,
        },
        // Killed before it made the lock; an owner that lives makes another directory.
        Err(e) if e.kind() == ErrorKind::NotFound => Some(fs::remove_dir(root).is_err()),
        // Another user's.
        Err(_) => Some(true),
    }
}

/// Removes a staging directory, the lock last.
pub(super) fn remove(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten().filter(|entry| entry.file_name() != LOCK) {
        let path = entry.path();
        if fs::remove_dir_all(&path).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied) {
            make_writable(&path);
            let _ = fs::remove_dir_all(&path);
        }
        let _ = fs::remove_file(&path);
    }
    let _ = fs::remove_file(root.join(LOCK));
    let _ = fs::remove_dir(root);
}

/// Gives back the permissions that an archive took from its directories: without them, only root can empty them.
#[cfg_attr(not(unix), allow(unused))]
fn make_writable(dir: &Path) {
    #[cfg(unix)]
    let _ = fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
    for entry in entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        make_writable(&entry.path());
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

#[cfg(unix)]
pub(super) fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// A plan for such a system has no links.
#[cfg(not(unix))]
pub(super) fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
