//! I/O. Who may write a part file: the rules that keep two processes apart.
//!
//! Only the holder of the lock writes or unlinks, only while the path still leads to the locked file, and
//! never a file that has a second name: it has been published.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::name::{is_unique_part, part_name};
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
    make_room(path);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = match opened {
        Ok(file) => file,
        // A directory, or a file of somebody else: another name will do.
        Err(_) if fs::symlink_metadata(path).is_ok() => return Ok(Locked::Taken),
        Err(e) => return Err(Error::io("creating", path, e)),
    };
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

/// Lets go of a lock at once. Closing alone would not do while a child process is being started: until it runs its
/// own program it holds everything that was open, locks included.
pub(crate) fn release(file: &File) {
    let _ = file.unlock();
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

/// What is no plain file in a part file's place is nobody's work: following a link would write somewhere else,
/// and a pipe would be waited for.
pub(crate) fn make_room(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => drop(fs::remove_dir(path)),
        Ok(there) if !there.is_file() => drop(fs::remove_file(path)),
        _ => {}
    }
}

/// Removes what killed downloads left beside a finished file: part files of their own, a part file that is the
/// finished file under its second name, a record without its part file. `done`: any part file nobody writes.
pub(crate) fn tidy(dir: &Path, name: &str, done: bool) {
    sweep(dir, name);
    let part = dir.join(part_name(name));
    match fs::symlink_metadata(&part) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => drop(fs::remove_file(meta_path(&part))),
        Ok(there) if there.is_file() => {
            let Ok(file) = File::open(&part) else { return };
            let ours = file.try_lock().is_ok();
            if ours && names(&file, &part).is_some_and(|count| done || count > 1) {
                let _ = fs::remove_file(&part);
                let _ = fs::remove_file(meta_path(&part));
            }
            release(&file);
        }
        _ => {}
    }
}

/// Where the record of a part file is.
pub(crate) fn meta_path(part: &Path) -> PathBuf {
    let mut path = part.as_os_str().to_owned();
    path.push(".meta");
    path.into()
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
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(path);
        }
    }
}
