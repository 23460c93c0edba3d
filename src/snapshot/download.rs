//! I/O. From a snapshot to a whole, checked, durable file: nothing else ever gets the final name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::location::{EXCERPT, Location};
use super::name::link_version;
use super::options::{DownloadOptions, Overwrite};
use super::part::{Part, tidy};
use super::publish::{create_dir, publish, sync_dir};
use super::source::Source;
use super::transfer::Transfer;
use super::{archive, keep};
use crate::error::{Error, Result};
use crate::progress::{Progress, Throttle};

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

/// What a download needs to know about a snapshot beside its location.
pub(crate) struct Wanted<'a> {
    pub(crate) location: &'a Location,
    /// The snapshot's length, when a listing gave it.
    pub(crate) size: Option<u64>,
    /// Whether the location's file name tells two versions apart.
    pub(crate) named: bool,
}

pub(crate) fn download(wanted: &Wanted<'_>, path: &Path, options: &DownloadOptions<'_>) -> Result<Download> {
    options.check()?;
    let location = wanted.location;
    let target = target(location, path)?;
    let throttle = Throttle::new(options.callback.clone(), "downloading to", &target.path);
    let done = |progress: Progress| {
        // The file is there: it is too late to cancel.
        let _ = throttle.report_now(progress);
        let Progress { bytes, resumed_from, .. } = progress;
        Ok(Download { path: target.path.clone(), bytes, resumed_from })
    };
    let start = Progress { attempt: 1, ..Progress::default() };
    let kept = |bytes| done(Progress { bytes, total: Some(bytes), resumed_from: bytes, ..start });
    if let Some(bytes) = existing(wanted, &target, options)? {
        return kept(bytes);
    }
    let link = (location.url.path(), link_version(location.url.query()));
    let mut part = Part::open(&target.dir, &target.name, link, || throttle.report(|| start))?;
    // Another download that held the part file may have finished.
    match existing(wanted, &target, options) {
        Ok(None) => {}
        Ok(Some(bytes)) => {
            part.discard();
            return kept(bytes);
        }
        Err(error) => {
            part.leave();
            return Err(error);
        }
    }
    let transfer = Transfer::new(location, options, &throttle);
    let status = match transfer.run(&mut part) {
        Ok(status) => status,
        Err(error) => {
            part.leave();
            return Err(error);
        }
    };
    let bytes = part.done();
    let checked = check(location, &part, status);
    #[cfg(feature = "zip")]
    let checked = checked.and_then(|()| if options.verify { verify(part.file()) } else { Ok(()) });
    if let Err(error) = checked {
        part.discard();
        return Err(error);
    }
    finish(wanted, part, &target, options)?;
    done(transfer.progress(bytes, Some(bytes)))
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
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    // The part file's name is made from it; the final name stays as it is.
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Target { dir, name, path: path.to_owned() })
}

/// Looks at what is in the target's place. `Some(length)`: it is kept and there is nothing left to do.
fn existing(wanted: &Wanted<'_>, target: &Target, options: &DownloadOptions<'_>) -> Result<Option<u64>> {
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
    let kept = options.overwrite == Overwrite::Keep && is_same(wanted, target)?;
    tidy(&target.dir, &target.name, kept);
    if kept { Ok(Some(found.len())) } else { Err(Error::Exists { path: target.path.clone() }) }
}

fn is_same(wanted: &Wanted<'_>, target: &Target) -> Result<bool> {
    let named = wanted.named && target.name == *wanted.location.file_name;
    keep::is_same(wanted.location, &target.path, named, wanted.size)
}

/// Whether the part file is a whole archive.
fn check(location: &Location, part: &Part, status: Option<u16>) -> Result<()> {
    let file = part.file();
    let Err(why) = archive::check(file).map_err(|e| Error::io("reading", part.path(), e))? else {
        return Ok(());
    };
    let mut first = vec![0; EXCERPT];
    let count = file.read_at(0, &mut first).unwrap_or(0);
    first.truncate(count);
    Err(location.not_an_archive(&first, why, status))
}

/// Whether every entry's CRC is right.
#[cfg(feature = "zip")]
fn verify(file: &fs::File) -> Result<()> {
    let bad = archive::Archive::new(file)?.verify()?.bad.into_iter().next();
    bad.map_or(Ok(()), |bad| Err(bad.into()))
}

/// Data to the disk, then the name, then the directory.
fn finish(wanted: &Wanted<'_>, part: Part, target: &Target, options: &DownloadOptions<'_>) -> Result<()> {
    if let Err(e) = part.file().sync_all() {
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
            if options.overwrite == Overwrite::Keep && is_same(wanted, target)? {
                return Ok(());
            }
            return Err(Error::Exists { path: target.path.clone() });
        }
        Err(e) => {
            part.leave();
            return Err(Error::io("creating", &target.path, e));
        }
    }
    sync_dir(&target.dir).map_err(|e| Error::io("syncing the directory", &target.dir, e))
}
