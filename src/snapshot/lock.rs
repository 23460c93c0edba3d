//! I/O. Who may write a part file: the rules that keep two processes apart.
//!
//! Only the holder of the lock writes or unlinks, only while the path still leads to the locked file, and
//! never a file that has a second name: it has been published.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// The result of locking a path.
pub(crate) enum Locked {
    Ours(File),
    /// Another process has it.
    Busy,
    /// The path now leads to another file.
    Changed,
}

/// Opens and locks the file at `path`, made when missing.
pub(crate) fn lock(path: &Path) -> io::Result<Locked> {
    let file = open(path)?;
    match file.try_lock() {
        // Without locks in the file system, the caller must see to it that only one download runs at a time.
        Ok(()) | Err(TryLockError::Error(_)) => {}
        Err(TryLockError::WouldBlock) => return Ok(Locked::Busy),
    }
    match names(&file, path) {
        Some(1) => return Ok(Locked::Ours(file)),
        // It has been published: another name leads to it. Only this name goes.
        Some(_) => drop(fs::remove_file(path)),
        None => {}
    }
    Ok(Locked::Changed)
}

/// Opens the file at `path` for reading and writing, made when missing. What is not a plain file there is removed:
/// following a link would write somewhere else, and a pipe would be waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => drop(fs::remove_dir(path)),
        Ok(found) if !found.is_file() => drop(fs::remove_file(path)),
        _ => {}
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Releases a lock at once. Closing the file is not enough while a child process is being started: until it executes
/// its program, it holds every file that was open, locks included.
pub(crate) fn release(file: &File) {
    let _ = file.unlock();
}

/// How many names the file has; `None` when `path` does not lead to it any more.
#[cfg(unix)]
pub(crate) fn names(file: &File, path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let (ours, found) = (file.metadata().ok()?, fs::symlink_metadata(path).ok()?);
    (ours.dev() == found.dev() && ours.ino() == found.ino()).then(|| ours.nlink())
}

#[cfg(not(unix))]
pub(crate) fn names(_: &File, path: &Path) -> Option<u64> {
    path.exists().then_some(1)
}
