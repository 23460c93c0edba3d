//! I/O. Who may write a part file: the rules that keep two processes apart.
//!
//! Only the holder of the lock writes or unlinks, only while the path still leads to the locked file, and
//! never a file that has a second name: it has been published.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use super::name::is_unique_part;
use crate::error::{Error, Result};

/// What came of locking a path.
pub(crate) enum Locked {
    Ours(File),
    /// Another process has it.
    Taken,
    /// The path leads to another file by now.
    Again,
}

/// Opens and locks the file at `path`, made when missing.
pub(crate) fn lock(path: &Path) -> Result<Locked> {
    remove_link(path);
    let failed = |e| Error::io("creating", path, e);
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        // Also where the file system has no locks: a file of our own is always safe.
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return Ok(Locked::Taken),
    }
    Ok(match names(&file, path) {
        Some(1) => Locked::Ours(file),
        // It has been published: another name leads to it. Only the name goes.
        Some(_) => {
            let _ = fs::remove_file(path);
            Locked::Again
        }
        None => Locked::Again,
    })
}

/// How many names the file has; `None` when `path` does not lead to it any more.
#[cfg(unix)]
pub(crate) fn names(file: &File, path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let (ours, there) = (file.metadata().ok()?, fs::symlink_metadata(path).ok()?);
    (ours.dev() == there.dev() && ours.ino() == there.ino()).then(|| ours.nlink())
}

#[cfg(not(unix))]
pub(crate) fn names(_: &File, path: &Path) -> Option<u64> {
    path.exists().then_some(1)
}

/// A symbolic link in a part file's place is nobody's work: following it would write somewhere else.
pub(crate) fn remove_link(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_symlink()) {
        let _ = fs::remove_file(path);
    }
}

/// Removes unique part files whose process is gone.
pub(crate) fn sweep(dir: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let candidate = entry.file_name();
        if !candidate.to_str().is_some_and(|c| is_unique_part(c, name)) {
            continue;
        }
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(path);
        }
    }
}
