//! I/O. From a snapshot to a whole, checked, durable file: nothing else ever gets the final name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lock::tidy;
use super::meter::Meter;
use super::name::link_version;
use super::options::DownloadOptions;
use super::overwrite::Overwrite;
use super::part::Part;
use super::publish::{create_dir, publish, sync_dir};
use super::record::Owner;
use super::stream::Stream;
use super::wire::Wire;
use super::{Snapshot, keep, parallel, single, verify, zipcheck};
use crate::error::{Error, Result};

/// A downloaded snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Download {
    /// Where the file is.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub bytes: u64,
    /// How many of them were there before this call: an earlier call's part file, or all of them when an
    /// existing file was kept.
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

pub(crate) fn download(snapshot: &Snapshot, path: &Path, options: &DownloadOptions<'_>) -> Result<Download> {
    options.check()?;
    let target = target(snapshot, path)?;
    let wire = snapshot.wire();
    let mut meter = Meter::new(options.callback.clone(), &target.path);
    if let Some(kept) = existing(snapshot, &wire, &target, options)? {
        meter.progress.resumed_from = kept;
        meter.progress.bytes = kept;
        meter.progress.total = Some(kept);
        meter.tell()?;
        return Ok(Download { path: target.path, bytes: kept, resumed_from: kept });
    }
    let url = snapshot.url();
    let owner = Owner { path: url.path().to_owned(), version: link_version(url.query()) };
    let mut part = Part::open(&target.dir, &target.name, owner)?;
    let (bytes, status) = match fetch(&wire, &mut part, &mut meter, options) {
        Ok(done) => done,
        Err(error) => {
            part.leave();
            return Err(error);
        }
    };
    if let Err(error) = check(&wire, &part, status, options) {
        part.discard();
        return Err(error);
    }
    let bytes = finish(snapshot, &wire, part, &target, bytes, options)?;
    meter.progress.bytes = bytes;
    meter.progress.total = Some(bytes);
    // The file is there: a last wish to cancel comes too late.
    let _ = meter.tell();
    Ok(Download { path: target.path, bytes, resumed_from: meter.progress.resumed_from })
}

fn target(snapshot: &Snapshot, path: &Path) -> Result<Target> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("the target path", "is empty; name a directory or a .zip file"));
    }
    let zip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"));
    let ends_in_separator = path.to_string_lossy().ends_with(std::path::is_separator);
    if !zip || ends_in_separator || path.is_dir() {
        create_dir(path).map_err(|e| Error::io("creating the directory", path, e))?;
        let name = snapshot.file_name().to_owned();
        return Ok(Target { dir: path.to_owned(), path: path.join(&name), name });
    }
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    // The part file's name is made from it; the final name stays as it is.
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Target { dir, name, path: path.to_owned() })
}

/// Looks at what is in the target's place. `Some(length)`: it is kept and all is done.
fn existing(
    snapshot: &Snapshot,
    wire: &Wire,
    target: &Target,
    options: &DownloadOptions<'_>,
) -> Result<Option<u64>> {
    let there = match fs::symlink_metadata(&target.path) {
        Ok(there) => there,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("looking at", &target.path, e)),
    };
    if there.is_dir() {
        return Err(Error::io("writing", &target.path, io::ErrorKind::IsADirectory.into()));
    }
    match options.overwrite {
        Overwrite::Replace => Ok(None),
        Overwrite::Keep if keep::is_same(snapshot, wire, &target.path)? => {
            tidy(&target.dir, &target.name, true);
            Ok(Some(there.len()))
        }
        _ => {
            tidy(&target.dir, &target.name, false);
            Err(Error::Exists { path: target.path.clone() })
        }
    }
}

/// Gets all bytes into the part file; gives their number and the last answer's status.
fn fetch(
    wire: &Wire,
    part: &mut Part,
    meter: &mut Meter<'_>,
    options: &DownloadOptions<'_>,
) -> Result<(u64, u16)> {
    if options.connections > 1 || part.is_cut() {
        return parallel::run(wire, part, meter, options);
    }
    let known = part.object().clone();
    let mut stream = Stream::new(wire.clone(), known, resume_at(part), None, options.attempts);
    let bytes = single::run(part, &mut stream, meter)?;
    Ok((bytes, stream.status))
}

/// Where a part file in one piece goes on. At least one byte is asked for, so that the answer can show that
/// the snapshot is still the same.
pub(crate) fn resume_at(part: &Part) -> u64 {
    let done = part.done();
    part.object().total.map_or(done, |total| done.min(total.saturating_sub(1)))
}

fn check(wire: &Wire, part: &Part, status: u16, options: &DownloadOptions<'_>) -> Result<()> {
    let verdict = zipcheck::check(&part.file).map_err(|e| Error::io("reading", part.path(), e))?;
    if let Err(why) = verdict {
        let mut first = vec![0; super::ends::READ];
        let count = super::source::Source::read_at(&part.file, 0, &mut first).unwrap_or(0);
        first.truncate(count);
        return Err(wire.unfit(&first, why, status));
    }
    if options.verify { verify::verify(&part.file) } else { Ok(()) }
}

/// Data to the disk, then the name, then the directory.
fn finish(
    snapshot: &Snapshot,
    wire: &Wire,
    part: Part,
    target: &Target,
    bytes: u64,
    options: &DownloadOptions<'_>,
) -> Result<u64> {
    if let Err(e) = part.file.sync_all() {
        let error = Error::io("syncing", part.path(), e);
        // What the disk did not take may be gone from memory, too.
        part.discard();
        return Err(error);
    }
    if !part.is_in_place() {
        // Removed, or in another process's hands: what the path leads to now is not what was checked.
        part.discard();
        return Err(Error::io("creating", &target.path, io::ErrorKind::NotFound.into()));
    }
    let replace = options.overwrite == Overwrite::Replace;
    match publish(part.path(), &target.path, replace) {
        Ok(()) => part.forget(),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            part.discard();
            if options.overwrite == Overwrite::Keep && keep::is_same(snapshot, wire, &target.path)? {
                return Ok(bytes);
            }
            return Err(Error::Exists { path: target.path.clone() });
        }
        Err(e) => {
            part.leave();
            return Err(Error::io("creating", &target.path, e));
        }
    }
    sync_dir(&target.dir).map_err(|e| Error::io("syncing the directory", &target.dir, e))?;
    Ok(bytes)
}
