//! I/O. What is in a mirror's directory: finding it, checking it, setting it aside, deleting it. Only files with names as
//! this crate gives them are ever touched: `<dir>/<apps|databases>/<id>/<id>[_...].<created_at>[.<version>].zip`.

use std::fs::{self, File};
use std::io::{
    self,
    ErrorKind::{NotADirectory, NotFound, PermissionDenied},
};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::plan::State;
use crate::error::{Error, Result};
use crate::progress::MirrorMeter;
use crate::snapshot::archive;
use crate::snapshot::files::{create_dir, list, try_lock};
use crate::snapshot::name::{folder_name, of_listed, parse};
use crate::types::{Kind, SnapshotInfo};

/// How many seconds a file's time may be from what it was set to: file systems round, FAT to two seconds.
const ROUNDING: u64 = 2;

/// Locks a mirror's directory for a run.
///
/// # Errors
/// [`Error::Busy`] when another run has it.
pub(super) fn lock(dir: &Path) -> Result<File> {
    create_dir(dir).map_err(|e| Error::io("creating the directory", dir, e))?;
    let path = dir.join(".mirror.lock");
    let lock = try_lock(&path).map_err(|e| Error::io("locking", &path, e))?;
    lock.ok_or(Error::Busy { path })
}

/// Where the file of a listed snapshot belongs.
pub(super) fn path(dir: &Path, info: &SnapshotInfo) -> PathBuf {
    dir.join(info.kind.segment()).join(folder_name(info.resource_id())).join(of_listed(info).file_name)
}

/// The snapshots of `kind` that the names of files tell of.
pub(super) fn snapshots(dir: &Path, kind: Kind) -> Result<Vec<(PathBuf, SnapshotInfo)>> {
    let (dir, mut found) = (dir.join(kind.segment()), Vec::new());
    for (folder, id) in list(&dir).map_err(|e| Error::io("reading the directory", &dir, e))? {
        let files = match list(&folder) {
            // A file, or `lost+found`.
            Err(e) if matches!(e.kind(), NotADirectory | PermissionDenied) => continue,
            files => files.map_err(|e| Error::io("reading the directory", &folder, e))?,
        };
        for (path, name) in files {
            let Some((stem, created_at, _)) = parse(&name) else { continue };
            let is_ours = stem.strip_prefix(&*id).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
            if let Some(file) = fs::symlink_metadata(&path).ok().filter(|file| is_ours && file.is_file()) {
                found.push((path, SnapshotInfo::of_file(kind, stem, created_at, file.len())));
            }
        }
    }
    Ok(found)
}

/// What is at `path`. `listed`: what the listing says of it. `verify`: check every CRC, too.
pub(super) fn look(path: &Path, listed: Option<&SnapshotInfo>, verify: bool, meter: &MirrorMeter<'_>) -> Result<State> {
    let whole = || -> io::Result<bool> {
        let found = fs::metadata(path)?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        // A listing's size can be wrong. A file that still has the snapshot's creation as its time is as it was fetched.
        let is_as_listed = listed.is_none_or(|info| info.size == found.len()) || is_untouched(path, found.modified()?);
        let is_whole = is_as_listed && archive::check(&File::open(path)?)?.is_ok();
        Ok(is_whole && (!verify || archive::is_intact(path, || meter.go_on())?))
    };
    match whole() {
        Ok(true) => Ok(State::Whole),
        // A link to something else is not ours.
        Ok(false) if path.is_symlink() => Err(Error::Exists { path: path.to_owned() }),
        Ok(false) => Ok(State::Damaged),
        Err(e) if e.kind() == NotFound => Ok(State::Missing),
        Err(e) => Err(Error::io("reading", path, e)),
    }
}

/// Whether a file has the time that its name tells. Without a version in its name it may be of a later snapshot.
fn is_untouched(path: &Path, modified: SystemTime) -> bool {
    let name = path.file_name().and_then(|name| parse(name.to_str()?));
    name.zip(modified.duration_since(SystemTime::UNIX_EPOCH).ok()).is_some_and(
        |((_, created_at, has_version), modified)| {
            let created_at = u64::try_from(created_at.unix_timestamp()).unwrap_or(u64::MAX);
            has_version && created_at.abs_diff(modified.as_secs()) <= ROUNDING
        },
    )
}

/// Deletes the file of a snapshot. What is not a plain file is not ours: `false`.
pub(super) fn delete(path: &Path) -> Result<bool> {
    let is_ours = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    if is_ours {
        fs::remove_file(path).map_err(|e| Error::io("deleting", path, e))?;
    }
    Ok(is_ours)
}
