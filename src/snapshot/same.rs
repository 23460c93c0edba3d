//! I/O. Whether a file is the snapshot already.

use std::fs::File;
use std::path::Path;

use super::archive;
use super::location::Location;
use super::name::signing_time;
use super::range::{Object, Range};
use super::source::{Source, read_exact_at};
use super::stream::{ATTEMPTS, Step, Stream};
use crate::error::{Error, Result};

/// How much of the end is compared when only the bytes can tell. It holds the end of central directory record and
/// the last entries of the central directory, names and CRCs.
const END: u64 = 64 * 1024;

/// Whether the file at `path` is the snapshot: the same length, and a name that carries its version or the same
/// bytes at the end. No request when a listing gave the length and the name carries the version.
pub(crate) fn is_same(location: &Location, path: &Path) -> Result<bool> {
    let failed = |e| Error::io("reading", path, e);
    // Before it is opened: opening a pipe would block.
    if !path.is_file() {
        return Ok(false);
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed(e)),
    };
    let length = file.size().map_err(failed)?;
    if archive::check(&file).map_err(failed)?.is_err() {
        return Ok(false);
    }
    let unique = location.version.is_some() || signing_time(location.url.query()).is_some();
    let named = unique && path.file_name().is_some_and(|name| *name == *location.file_name);
    if let Some(size) = location.size.filter(|_| named) {
        return Ok(size == length);
    }
    let mut stream = Stream::new(location.clone(), Object::default(), Range::Last(END), ATTEMPTS);
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
