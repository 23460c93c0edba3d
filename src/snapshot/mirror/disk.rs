//! I/O. What is in a mirror's directory: finding it, checking it, setting it aside, deleting it. Only files with names as
//! this crate gives them are ever touched: `<dir>/<apps|databases>/<id>/<id>[_...].<created_at>[.<version>].zip`.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;

use super::plan::State;
use crate::error::{Error, Result};
use crate::progress::MirrorMeter;
use crate::snapshot::archive;
use crate::snapshot::files::{create_dir, list, try_lock, with_suffix};
use crate::snapshot::name::{folder_name, is_pinned, of_listed, parse};
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
            // A file, a link to itself, or `lost+found`.
            Err(e) if e.kind() == ErrorKind::PermissionDenied || !folder.is_dir() => continue,
            files => files.map_err(|e| Error::io("reading the directory", &folder, e))?,
        };
        for (path, name) in files {
            let Some((stem, created_at)) = parse(&name) else { continue };
            let is_ours = stem.strip_prefix(&*id).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
            let file = fs::symlink_metadata(&path).ok().filter(|file| is_ours && file.is_file());
            found.extend(file.map(|file| (path, SnapshotInfo::of_file(kind, stem, created_at, file.len()))));
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
        // A listing's size can be wrong: a file with the time it was given is as it was fetched, and so is one that was
        // fetched again and has the same length as the one that was set aside.
        let again = |len| fs::metadata(with_suffix(path, ".damaged")).is_ok_and(|aside| aside.len() == len);
        let is_fetched = |info| is_pinned(info) && (has_time(&found, info.created_at) || again(found.len()));
        let is_as_listed = listed.is_none_or(|info| info.size == found.len() || is_fetched(info));
        let is_whole = is_as_listed && archive::check(&File::open(path)?)?.is_ok();
        Ok(is_whole && (!verify || archive::is_intact(path, || meter.go_on())?))
    };
    match whole() {
        Ok(true) => Ok(State::Whole),
        // A link to something else is not ours.
        Ok(false) if path.is_symlink() => Err(Error::Exists { path: path.to_owned() }),
        Ok(false) => Ok(State::Damaged),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(State::Missing),
        Err(e) => Err(Error::io("reading", path, e)),
    }
}

/// Whether a file has the time that it was given.
fn has_time(file: &Metadata, created_at: OffsetDateTime) -> bool {
    let modified = file.modified().ok().and_then(|modified| modified.duration_since(SystemTime::UNIX_EPOCH).ok());
    let created_at = u64::try_from(created_at.unix_timestamp()).ok();
    modified.zip(created_at).is_some_and(|(modified, at)| modified.as_secs().abs_diff(at) <= ROUNDING)
}

/// Deletes the file of a snapshot. What is not a plain file is not ours: `false`.
pub(super) fn delete(path: &Path) -> Result<bool> {
    let is_ours = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    if is_ours {
        fs::remove_file(path).map_err(|e| Error::io("deleting", path, e))?;
    }
    Ok(is_ours)
}
