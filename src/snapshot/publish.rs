//! I/O. A finished file gets its name: whole, durable, and without taking another one's place unasked.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Gives the file at `part` the name `target`. `replace`: in place of an existing file, too.
///
/// Without `replace`, fails with `AlreadyExists` when there is a file, even one that appears at this very moment: the
/// name is created as a hard link, which the system refuses for a name that is taken. On file systems without hard
/// links (exFAT), only a check beforehand and the part file's lock protect an existing file.
pub(crate) fn publish(part: &Path, target: &Path, replace: bool) -> io::Result<()> {
    if replace {
        return fs::rename(part, target);
    }
    match fs::hard_link(part, target) {
        Ok(()) => fs::remove_file(part),
        Err(_) if fs::symlink_metadata(target).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(part, target),
    }
}

/// Puts a directory's names on the disk. Systems that cannot do that to directories are left alone.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(dir) {
        Ok(open) => match open.sync_all() {
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            result => result,
        },
        // A directory one may write to but not read.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(e) => Err(e),
    }
}

/// Creates `dir` and its missing parents, durably.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    fs::create_dir_all(dir)?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}
