//! I/O. The part files of a directory, whoever left them: which go on under another name, and which go.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::files::{names, release, with_suffix};
use super::location::Location;
use super::name::{expires, part_name};
use super::range::Object;
use super::record::Record;
use crate::error::{Error, Result};

/// The longest record that is read, in bytes.
const MAX_RECORD: u64 = 1024 * 1024;

/// What a record says of the snapshot at `location` before any response.
pub(crate) fn of(location: &Location) -> Record {
    let (path, version) = (location.url.path().to_owned(), location.version.as_deref().map(str::to_owned));
    Record { path, version, expires: expires(location.url.query()), ..Record::default() }
}

/// Removes what a killed download left beside a finished file: a part file that is the finished file under its
/// second name, a record without its part file. `kept`: also any part file that no one is writing, since the finished
/// file makes it unnecessary.
pub(crate) fn tidy(dir: &Path, name: &str, kept: bool) {
    // Without locks, only one download of a name runs at a time.
    remove_leftover(&dir.join(part_name(name)), kept, true);
}

/// Removes what was begun to be downloaded to `path`, unless someone is writing it.
pub(crate) fn tidy_at(path: &Path) {
    if let (Some(dir), Some(name)) = (path.parent(), path.file_name()) {
        remove_leftover(&dir.join(part_name(&name.to_string_lossy())), true, true);
    }
}

/// Removes the part files in `dir` that are of no use once the snapshot at `location`, known to be `object`, is there:
/// those of the same snapshot under other names, and those whose link has expired. Never one that may be written to, or
/// that has no record: it may be another program's.
pub(crate) fn tidy_others(dir: &Path, location: &Location, object: &Object) {
    let finished = Record { object: object.clone(), ..of(location) };
    let now = OffsetDateTime::now_utc().unix_timestamp();
    for (part, text) in records(dir) {
        if Record::is_useless(&text, &finished, now) {
            remove_leftover(&part, true, false);
        }
    }
}

/// Takes over the bytes that another part file in `dir` has of the snapshot that is `wanted`: those of an earlier link, which
/// gave another name. Returns that file, locked, once it is at `path`.
pub(crate) fn adopt(dir: &Path, path: &Path, wanted: &Record) -> Option<File> {
    let others = records(dir).filter(|(part, text)| part != path && Record::is_of_same(text, wanted));
    for (part, _) in others {
        let Some((file, count)) = open_free(&part, false) else { continue };
        // One with a second name has been published.
        if count < 2 && fs::rename(&part, path).is_ok() {
            let _ = fs::rename(with_suffix(&part, ".meta"), with_suffix(path, ".meta"));
            return Some(file);
        }
        release(&file);
    }
    None
}

/// The part files in `dir` that have a record, and its text.
fn records(dir: &Path) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name();
        let record = name.to_str()?;
        let part = record.strip_suffix(".new").unwrap_or(record).strip_suffix(".meta")?;
        let is_part = part.starts_with('.') && part.ends_with(".part");
        let text = read_record(&entry.path()).ok().filter(|_| is_part)?;
        Some((entry.path().with_file_name(part), text))
    })
}

/// Removes a part file that no one is writing, and its record. `any`: also one that is not another file's second name.
/// `unlocked`: also where there are no locks.
fn remove_leftover(path: &Path, any: bool, unlocked: bool) {
    if let Some((file, count)) = open_free(path, unlocked) {
        if any || count > 1 {
            let _ = fs::remove_file(path);
        }
        release(&file);
    }
    remove_record(path);
}

/// Opens and locks a part file that no one is writing; also says how many names it has.
fn open_free(path: &Path, unlocked: bool) -> Option<(File, u64)> {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
        return None;
    }
    // NFS locks only what is open for writing.
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(_)) if unlocked => {}
        Err(_) => return None,
    }
    let count = names(&file, path);
    if count.is_none() {
        release(&file);
    }
    Some((file, count?))
}

/// Removes the record of a part file that is not there. Where there is one, the record may be that of another process.
pub(crate) fn remove_record(part: &Path) {
    if fs::symlink_metadata(part).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        let _ = fs::remove_file(with_suffix(part, ".meta"));
        let _ = fs::remove_file(with_suffix(part, ".meta.new"));
    }
}

/// The text of a record; empty when there is none.
pub(crate) fn read_record(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => {
            File::open(path).and_then(|meta| meta.take(MAX_RECORD).read_to_end(&mut text)).map(drop)
        }
        found => found.map(drop),
    };
    match read {
        // Also when another process removed it in this moment.
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("reading", path, e)),
        _ => Ok(text),
    }
}
