//! I/O. From a snapshot to a whole, checked, durable file: nothing else ever gets the final name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use super::archive;
use super::files::{create_dir, publish, sync_dir};
use super::leftovers::{tidy, tidy_others};
use super::location::{EXCERPT, Location};
use super::options::{DownloadOptions, Overwrite};
use super::part::Part;
use super::range::{Object, Range};
use super::source::{Source, read_exact_at};
use super::stream::{Step, Stream};
use super::transfer::Transfer;
use crate::error::{Error, Result};
use crate::progress::{Progress, Throttle};

/// How much of the end is compared when only the bytes can tell. It holds the end of central directory record and
/// the last entries of the central directory, names and CRCs.
const END: u64 = 64 * 1024;

/// A downloaded snapshot. Nothing else of it is left in the directory; what calls leave that do not finish is said at
/// [`Snapshot::download`](crate::Snapshot::download).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Download {
    /// Where the file is.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub bytes: u64,
    /// How many of these bytes were there before this call: those of an earlier call's part file, or all of them
    /// when an existing file was kept.
    pub resumed_from: u64,
}

#[cfg(feature = "zip")]
impl Download {
    /// Opens the downloaded archive.
    ///
    /// # Errors
    /// Those of [`Archive::open`](crate::Archive::open).
    pub fn archive(&self) -> Result<super::archive::Archive<fs::File>> {
        super::archive::Archive::open(&self.path)
    }
}

/// Where the file goes.
struct Target {
    dir: PathBuf,
    name: String,
    path: PathBuf,
}

pub(crate) fn download(location: &Location, path: &Path, options: &DownloadOptions<'_>) -> Result<Download> {
    options.check()?;
    let target = target(location, path)?;
    let throttle = Throttle::new(options.callback.clone(), "downloading to", &target.path);
    let finished = |progress: Progress| {
        // The file is there: it is too late to cancel.
        let _ = throttle.report_now(progress);
        Ok(Download { path: target.path.clone(), bytes: progress.bytes, resumed_from: progress.resumed_from })
    };
    let start = Progress { attempt: 1, ..Progress::default() };
    let kept = |bytes| finished(Progress { bytes, total: Some(bytes), resumed_from: bytes, ..start });
    if let Some(bytes) = existing(location, &target, options)? {
        return kept(bytes);
    }
    let mut part = Part::open(&target.dir, &target.name, location, || throttle.report(|| start))?;
    // Another download that held the part file may have finished.
    if let Some(bytes) = existing(location, &target, options)? {
        part.discard();
        return kept(bytes);
    }
    let transfer = Transfer::new(location, options, &throttle);
    let status = transfer.run(&mut part)?;
    check(location, &part, status, options.verify).inspect_err(|_| part.discard())?;
    let bytes = part.done();
    finish(location, part, &target, options)?;
    finished(transfer.progress(bytes, Some(bytes)))
}

fn target(location: &Location, path: &Path) -> Result<Target> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("the target path", "is empty; name a directory or a .zip file"));
    }
    let zip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"));
    let ends_in_separator = path.to_string_lossy().ends_with(std::path::is_separator);
    if !zip || ends_in_separator || path.is_dir() {
        create_dir(path).map_err(|e| Error::io("creating the directory", path, e))?;
        let name = location.file_name.to_string();
        return Ok(Target { dir: path.to_owned(), path: path.join(&name), name });
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    create_dir(&dir).map_err(|e| Error::io("creating the directory", &dir, e))?;
    // The part file's name is made from it; the final name stays as it is.
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Target { dir, name, path: path.to_owned() })
}

/// Checks whether the target exists already. `Some(length)`: it is kept, and nothing is left to do.
fn existing(location: &Location, target: &Target, options: &DownloadOptions<'_>) -> Result<Option<u64>> {
    let found = match fs::symlink_metadata(&target.path) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("looking at", &target.path, e)),
    };
    if found.is_dir() {
        return Err(Error::io("writing", &target.path, io::ErrorKind::IsADirectory.into()));
    }
    if options.overwrite == Overwrite::Replace {
        return Ok(None);
    }
    let kept = options.overwrite == Overwrite::Keep && is_same(location, &target.path)?;
    tidy(&target.dir, &target.name, kept);
    if !kept {
        return Err(Error::Exists { path: target.path.clone() });
    }
    tidy_others(&target.dir, location, &Object::default());
    Ok(Some(found.len()))
}

/// Whether the file at `path` is the snapshot: the same length, and a name that stands for it alone or the same
/// bytes at the end. No request when a listing gave the length and the name stands for it alone.
fn is_same(location: &Location, path: &Path) -> Result<bool> {
    let failed = |e| Error::io("reading", path, e);
    // Before it is opened: opening a pipe would block.
    if !path.is_file() {
        return Ok(false);
    }
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed(e)),
    };
    let length = file.size().map_err(failed)?;
    if archive::check(&file).map_err(failed)?.is_err() {
        return Ok(false);
    }
    let named = location.is_unique && path.file_name().is_some_and(|name| *name == *location.file_name);
    if let Some(info) = location.info.as_ref().filter(|_| named) {
        return Ok(info.size == length);
    }
    let mut stream = Stream::new(location.clone(), Object::default(), Range::Last(END));
    let (mut theirs, mut ours) = (vec![0; END as usize], vec![0; END as usize]);
    loop {
        let at = stream.at;
        let count = match stream.step_or_sleep(&mut theirs)? {
            Step::Bytes(count) => count,
            Step::Opened if stream.object.total.is_some_and(|total| total != length) => return Ok(false),
            Step::Opened if stream.object.total.is_some() && named => return Ok(true),
            Step::End => return Ok(at == length),
            Step::StartOver if at > 0 => return Ok(false),
            Step::Opened | Step::Retry(_) | Step::StartOver => 0,
        };
        let (Some(theirs), Some(ours)) = (theirs.get(..count), ours.get_mut(..count)) else {
            return Ok(false);
        };
        if at + count as u64 > length {
            return Ok(false);
        }
        read_exact_at(&file, at, ours).map_err(failed)?;
        if theirs != ours {
            return Ok(false);
        }
    }
}

/// Checks that the part file is a whole archive, and with `verify` that every CRC matches.
#[cfg_attr(not(feature = "zip"), allow(unused))]
fn check(location: &Location, part: &Part, status: Option<u16>, verify: bool) -> Result<()> {
    let file = &part.file;
    if let Err(why) = archive::check(file).map_err(|e| Error::io("reading", &part.path, e))? {
        let mut first = vec![0; EXCERPT];
        let count = file.read_at(0, &mut first).unwrap_or(0);
        first.truncate(count);
        return Err(location.not_an_archive(&first, why, status));
    }
    #[cfg(feature = "zip")]
    if verify && let Some(bad) = archive::Archive::new(file)?.verify()?.bad.into_iter().next() {
        return Err(bad.into());
    }
    Ok(())
}

/// Syncs the data, gives the file its name, then syncs the directory. Once it has its name, nothing fails any more: an
/// error would have the caller try again, and be told that the file exists.
fn finish(location: &Location, part: Part, target: &Target, options: &DownloadOptions<'_>) -> Result<()> {
    let created_at = location.info.as_ref().map(|info| info.created_at - OffsetDateTime::UNIX_EPOCH);
    if let Some(created_at) = created_at.and_then(|since| Duration::try_from(since).ok()) {
        // Some file systems keep no times.
        let _ = part.file.set_modified(SystemTime::UNIX_EPOCH + created_at);
    }
    part.sync()?;
    if !part.is_in_place() {
        // Removed, or in another process's hands: what the path leads to now is not what was checked.
        return Err(Error::io("creating", &target.path, io::ErrorKind::NotFound.into()));
    }
    match publish(&part.path, &target.path, options.overwrite == Overwrite::Replace) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            part.discard();
            if options.overwrite == Overwrite::Keep && is_same(location, &target.path)? {
                return Ok(());
            }
            return Err(Error::Exists { path: target.path.clone() });
        }
        Err(e) => return Err(Error::io("creating", &target.path, e)),
    }
    let _ = sync_dir(&target.dir);
    let object = part.object().clone();
    drop(part);
    tidy_others(&target.dir, location, &object);
    Ok(())
}
