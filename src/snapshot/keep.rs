//! I/O. Whether a file is the snapshot already.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::range::{Ask, Verdict, Version};
use super::source::Source;
use super::wire::Wire;
use super::zipcheck;
use super::{Snapshot, name};
use crate::api::failure::Failure;
use crate::error::{Error, Result};

/// How much of the end is compared when only the bytes can tell. It holds the archive's end record and the
/// last entries of its directory, names and CRCs.
const TAIL: u64 = 64 * 1024;

/// Whether the file at `path` is `snapshot`: the same length, and a name that carries its version or the same
/// bytes at the end. No request when length and version are known.
pub(crate) fn is_same(snapshot: &Snapshot, wire: &Wire, path: &Path) -> Result<bool> {
    let failed = |e| Error::io("reading", path, e);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed(e)),
    };
    let length = file.size().map_err(failed)?;
    if !path.is_file() || zipcheck::check(&file).map_err(failed)?.is_err() {
        return Ok(false);
    }
    let url = snapshot.url();
    let named = path.file_name().is_some_and(|n| n == snapshot.file_name())
        && name::has_mark(url.query(), snapshot.facts().version.as_deref());
    if let Some(size) = snapshot.facts().size.filter(|_| named) {
        return Ok(size == length);
    }
    let limits = wire.agent.limits();
    let opened = wire
        .ask(Ask::Tail(TAIL), &Version::default(), limits.stall.max(limits.first_byte))
        .map_err(|lost| wire.failed(lost.failure, lost.status))?;
    let (start, total) = match opened.verdict {
        Verdict::Whole(version) => (0, version.total),
        Verdict::Part { start, version, .. } => (start, version.total),
        Verdict::Wrong(problem) => return Err(wire.wrong(opened.answer, problem)),
        _ => return Ok(false),
    };
    if total.is_some_and(|total| total != length) {
        return Ok(false);
    }
    if named && total.is_some() {
        return Ok(true);
    }
    let (status, mut body) = (Some(opened.answer.head.status), opened.answer.body);
    let (mut theirs, mut ours) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut at = start;
    loop {
        let count = body.read(&mut theirs).map_err(|e| wire.failed(Failure::from_io(e), status))?;
        let (Some(theirs), Some(ours)) = (theirs.get(..count), ours.get_mut(..count)) else {
            return Ok(false);
        };
        if count == 0 {
            return Ok(at == length);
        }
        if at + count as u64 > length {
            return Ok(false);
        }
        zipcheck::read_exact_at(&file, at, ours).map_err(failed)?;
        if theirs != ours {
            return Ok(false);
        }
        at += count as u64;
    }
}
