//! I/O. What a download does with files: who may write a part file, and how a finished file gets its name.
//!
//! Only the holder of a part file's lock writes or unlinks it, only while the path still leads to the locked file, and
//! never a file that has a second name: it has been published.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

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
        // 0 where the file system does not count names, as some FUSE file systems do not.
        Some(0 | 1) => return Ok(Locked::Ours(file)),
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

/// Gives the file at `part` the name `target`. `replace`: in place of an existing file, too.
///
/// Without `replace`, fails with `AlreadyExists` when there is a file, even one that appears at this very moment: the
/// name is created as a hard link, which the system refuses for a name that is taken. On file systems without hard
/// links (exFAT), only a check beforehand and the part file's lock protect an existing file.
pub(crate) fn publish(part: &Path, target: &Path, replace: bool) -> io::Result<()> {
    if replace {
        return rename(part, target);
    }
    // On NFS, when the response to a link is lost, the request is sent again and finds the name that it made itself.
    if fs::hard_link(part, target).is_ok() || are_one(part, target) {
        // The file has its name, so nothing fails any more: the next download there removes the other one.
        let _ = fs::remove_file(part);
        return Ok(());
    }
    if fs::symlink_metadata(target).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    rename(part, target)
}

/// Renames a file or directory. On Windows, virus scanners and indexers open what has just been written, and nothing can be
/// renamed meanwhile, nor any directory above it: they are waited for, 2.5 s at most. rustup and npm do the same.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let pauses = (0..8).map(|n| Duration::from_millis(10 << n));
    for pause in pauses.filter(|_| cfg!(windows)) {
        match fs::rename(from, to) {
            // ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
            Err(e) if matches!(e.raw_os_error(), Some(5 | 32 | 33)) && !to.is_dir() => thread::sleep(pause),
            result => return result,
        }
    }
    fs::rename(from, to)
}

/// Whether two paths are names of one file.
#[cfg(unix)]
fn are_one(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = |path| fs::symlink_metadata(path).map(|found| (found.dev(), found.ino(), found.nlink()));
    file(a).is_ok_and(|(dev, ino, names)| names > 1 && file(b).is_ok_and(|b| b == (dev, ino, names)))
}

#[cfg(not(unix))]
fn are_one(_: &Path, _: &Path) -> bool {
    false
}

/// Puts a file's data and length on the disk. A file system that has no such thing (some FUSE, 9P and network mounts)
/// is no failure: the file is as safe there as it can be.
pub(crate) fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all().or_else(|e| if cannot_sync(&e) { Ok(()) } else { Err(e) })
}

/// Puts a directory's names on the disk. Systems that cannot do that to directories are left alone.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    use io::ErrorKind::{NotFound, PermissionDenied};
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    // A directory one may write to but not read, and on Windows any directory, is not opened; SMB and some FUSE mounts
    // have no directory to open (NotFound), or answer EBADF (9), which has no kind of its own.
    let cannot = |e: &io::Error| {
        cannot_sync(e) || matches!(e.kind(), NotFound | PermissionDenied) || e.raw_os_error() == Some(9)
    };
    synced.or_else(|e| if cannot(&e) { Ok(()) } else { Err(e) })
}

/// EINVAL, ENOSYS, EOPNOTSUPP; and two that have no kind of their own: ENOTTY (25), with which some network volumes of macOS
/// refuse `F_FULLFSYNC`, and the ENOTSUP of macOS (45).
fn cannot_sync(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, Unsupported};
    matches!(error.kind(), InvalidInput | Unsupported) || matches!(error.raw_os_error(), Some(25 | 45))
}

/// Creates `dir` and its missing parents, durably.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    fs::create_dir_all(dir)?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}

/// Locks the file at `path`, made when missing, until it is released or the process ends; `None` when another process has
/// it. Where there are no locks, anyone may have it.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let is_taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    Ok((!is_taken).then_some(file))
}

/// The paths and names in a directory; none if there is no such directory. Only ASCII names: some file systems spell others
/// in their own way, so that one file could be taken for two.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?.collect::<io::Result<Vec<_>>>()?,
    };
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().ok().filter(|name| name.is_ascii());
    Ok(entries.iter().filter_map(|entry| Some((entry.path(), name(entry)?))).collect())
}

/// Renames the file at `path` to `<path>.<suffix>`, or `<path>.2.<suffix>`, ...: the first name that is free.
pub(crate) fn set_aside(path: &Path, suffix: &str) -> io::Result<PathBuf> {
    let (mut aside, mut number) = (with_suffix(path, &format!(".{suffix}")), 1);
    while fs::symlink_metadata(&aside).is_ok() {
        number += 1;
        aside = with_suffix(path, &format!(".{number}.{suffix}"));
    }
    fs::rename(path, &aside).map(|()| aside)
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_repeated_link_finds_is_ours_only_if_it_leads_to_our_file() {
        let dir = tempfile::tempdir().unwrap();
        let (part, target) = (dir.path().join("part"), dir.path().join("target"));
        fs::write(&part, "new").unwrap();
        fs::write(&target, "new").unwrap();
        let error = publish(&part, &target, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&target).unwrap();
        #[cfg(unix)]
        fs::hard_link(&part, &target).unwrap();
        publish(&part, &target, false).unwrap();
        assert!(target.exists() && !part.exists());
    }
}
