//! I/O. Whether a file is the snapshot already.

use std::fs::File;
use std::path::Path;

use super::range::{Ask, Verdict, Version};
use super::source::Source;
use super::stream::{Step, Stream};
use super::tries::ATTEMPTS;
use super::wire::{Opened, Wire};
use super::zipcheck;
use super::{Snapshot, name};
use crate::error::{Error, Result};

/// How much of the end is compared when only the bytes can tell. It holds the archive's end record and the
/// last entries of its directory, names and CRCs.
const TAIL: u64 = 64 * 1024;

/// Whether the file at `path` is `snapshot`: the same length, and a name that carries its version or the same
/// bytes at the end. No request when length and version are known.
pub(crate) fn is_same(snapshot: &Snapshot, wire: &Wire, path: &Path) -> Result<bool> {
    let failed = |e| Error::io("reading", path, e);
    // Before it is opened: a pipe would be waited for.
    if !path.is_file() {
        return Ok(false);
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed(e)),
    };
    let length = file.size().map_err(failed)?;
    if zipcheck::check(&file).map_err(failed)?.is_err() {
        return Ok(false);
    }
    let url = snapshot.url();
    let named = path.file_name().is_some_and(|n| n == snapshot.file_name())
        && name::has_mark(url.query(), snapshot.listed_version());
    if let Some(size) = snapshot.info().map(|info| info.size).filter(|_| named) {
        return Ok(size == length);
    }
    let mut stream = Stream::new(wire.clone(), Version::default(), 0, None, ATTEMPTS);
    let Opened { verdict, answer } = stream.ask_first(Ask::Tail(TAIL))?;
    let (start, version) = match verdict {
        Verdict::Whole(version) => (0, version),
        Verdict::Part { start, version, .. } => (start, version),
        Verdict::Wrong(problem) => return Err(wire.wrong(answer, problem)),
        _ => return Ok(false),
    };
    let total = version.total;
    stream.begin_span(start, length);
    stream.adopt(answer, version, total.map(|total| total.saturating_sub(start)));
    if total.is_some_and(|total| total != length) {
        return Ok(false);
    }
    if named && total.is_some() {
        return Ok(true);
    }
    let (mut theirs, mut ours) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let at = stream.at;
        let count = match stream.step(&mut theirs)? {
            Step::Bytes(count) => count,
            Step::End => return Ok(at == length),
            Step::StartOver => return Ok(false),
            Step::Opened | Step::Broke => 0,
        };
        let (Some(theirs), Some(ours)) = (theirs.get(..count), ours.get_mut(..count)) else {
            return Ok(false);
        };
        if at + count as u64 > length {
            return Ok(false);
        }
        zipcheck::read_exact_at(&file, at, ours).map_err(failed)?;
        if theirs != ours {
            return Ok(false);
        }
    }
}
