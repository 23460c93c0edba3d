//! The private directory in which an extraction writes everything before the target changes, and those that killed
//! extractions left.
//!
//! It is locked as long as its owner lives: the system releases the lock of a process that dies. Whoever removes it holds
//! the lock, and deletes the lock file last: a kill in between leaves something that the next extraction recognises.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::plan::ExtractPlan;
use crate::error::{Error, Refusal, Result};
use crate::snapshot::archive::fault::Fault;
use crate::snapshot::files::{create_dir as create_parents, names, release};

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
    made: Vec<PathBuf>,
}

impl Staging {
    /// A fresh directory in `parent`, which is made if it is missing.
    pub(super) fn new(parent: &Path, prefix: &str) -> Result<Self> {
        let missing = parent.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists());
        let made = missing.map(Path::to_owned).collect();
        let mut staging = Self { root: PathBuf::new(), tree: PathBuf::new(), lock: None, made };
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
                Err(e) if attempt < ATTEMPTS && is_taken(&e) => {}
                Err(e) => {
                    let _ = fs::remove_dir(&staging.root);
                    return Err(Error::io("locking", &staging.root, e));
                }
            }
        }
        staging.tree = staging.root.join("tree");
        fs::create_dir(&staging.tree).map_err(|e| Error::io("creating", &staging.tree, e))?;
        Ok(staging)
    }

    /// The staging directories in `dir` whose owners are dead: only the same user's, since others could put something else
    /// in their place.
    pub(super) fn dead(&self, dir: &Path, prefix: &str) -> Vec<Dead> {
        let same_user = all_in(dir, prefix).into_iter().filter(|root| user_of(root) == user_of(&self.root));
        same_user.filter_map(|root| Some(Dead { lock: claim(&root).ok()?, root })).collect()
    }

    /// Removes the staging directories in `dir` whose owners are dead.
    pub(super) fn sweep(&self, dir: &Path, prefix: &str) {
        self.dead(dir, prefix).into_iter().for_each(Dead::remove);
    }

    /// Keeps what is in it under a name that no other extraction takes for one that may be deleted, and returns that.
    pub(super) fn save(&mut self) -> PathBuf {
        let saved = self.root.with_extension("saved");
        let renamed = fs::rename(&self.root, &saved).is_ok();
        // Without it, nothing is removed.
        self.lock = None;
        if renamed { saved } else { self.root.clone() }
    }

    /// Whether the file system takes names that differ in case for one.
    pub(super) fn ignores_case(&self) -> bool {
        fs::symlink_metadata(self.root.join("TREE")).is_ok()
    }

    /// Whether the file system keeps permission bits: FAT and exFAT show the same for every file.
    #[cfg_attr(not(unix), allow(unused))]
    pub(super) fn keeps_modes(&self) -> bool {
        let lock = self.root.join(LOCK);
        // What is refused is counted where it is.
        let changed = change_mode(&lock, |mode| (mode & !0o777) | 0o640).is_ok();
        #[cfg(unix)]
        let kept = fs::metadata(lock)
            .is_ok_and(|found| std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777 == 0o640);
        #[cfg(not(unix))]
        let kept = true;
        !changed || kept
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
        let mut tried = HashSet::new();
        for (path, part) in plan.paths().flat_map(|path| path.split('/').map(move |part| (path, part))) {
            if let Some(odd) = oddities(part).find(|odd| tried.insert(*odd))
                && let Err(e) = can_be_named(&probe, part)
            {
                let detail = format!(
                    "the target's file system does not accept {odd:?} there ({e}); leave the entry out with \
                     `ExtractOptions::filter`"
                );
                return Err(Fault::new(Refusal::Name, detail).error(Some(path)));
            }
        }
        let _ = fs::remove_dir_all(probe);
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            Dead { root: std::mem::take(&mut self.root), lock }.remove();
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

/// Makes and locks the lock file of a fresh directory. Without locks in the file system, nobody takes it for a dead one.
fn lock(root: &Path) -> io::Result<File> {
    let path = root.join(LOCK);
    let file = File::create_new(&path)?;
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
        _ if names(&file, &path).is_none() => Err(ErrorKind::NotFound.into()),
        _ => Ok(file),
    }
}

/// Whether another extraction took the directory for one that was left, and removes it.
fn is_taken(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::WouldBlock)
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

/// Locks a directory whose owner is dead: one that lives holds the lock.
///
/// # Errors
/// Also where the file system has no locks: then it stays.
fn claim(root: &Path) -> Result<File, fs::TryLockError> {
    // Made where a kill came before the owner had made it: an owner that lives then makes another directory. NFS locks
    // only what is open for writing.
    let lock = File::options().write(true).create(true).truncate(false).open(root.join(LOCK));
    let lock = lock.map_err(fs::TryLockError::Error)?;
    lock.try_lock()?;
    Ok(lock)
}

/// A staging directory whose owner is dead, locked.
#[derive(Debug)]
pub(super) struct Dead {
    root: PathBuf,
    lock: File,
}

impl Dead {
    /// Removes it, the lock last: as long as there is anything, the next extraction tries again.
    pub(super) fn remove(self) {
        let root = &self.root;
        let content = || fs::read_dir(root).into_iter().flatten().flatten().filter(|entry| entry.file_name() != LOCK);
        for path in content().map(|entry| entry.path()) {
            if fs::remove_dir_all(&path).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied) {
                make_writable(&path);
                let _ = fs::remove_dir_all(&path);
            }
            let _ = fs::remove_file(&path);
        }
        if content().next().is_none() {
            let _ = fs::remove_file(root.join(LOCK));
        }
        // Closed before the directory goes: FUSE and Windows keep an open file's name until then.
        release(&self.lock);
        drop(self.lock);
        let _ = fs::remove_dir(self.root);
    }
}

/// The user that owns a directory.
#[cfg(unix)]
fn user_of(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|found| std::os::unix::fs::MetadataExt::uid(&found))
}

#[cfg(not(unix))]
fn user_of(_: &Path) -> Option<u32> {
    None
}

/// Gives back the permissions that an archive took from its directories: without them, only root can empty them.
fn make_writable(dir: &Path) {
    let _ = change_mode(dir, |mode| mode | 0o700);
    let entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
    for entry in entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        make_writable(&entry.path());
    }
}

/// Changes permission bits, where the system has such.
#[cfg_attr(not(unix), allow(unused))]
pub(super) fn change_mode(path: &Path, change: impl Fn(u32) -> u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let before = fs::metadata(path)?.permissions().mode();
        if change(before) != before {
            fs::set_permissions(path, fs::Permissions::from_mode(change(before)))?;
        }
    }
    Ok(())
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
