//! A ZIP archive over any [`Source`]: looked into, verified, compared and extracted.
//!
//! The EOCD records and the central directory are parsed here and not by the `zip` crate, which decodes the data. Measured in
//! November 2026 on 257 hostile archives, that crate's reader gave two wrong verdicts where this one gives none; it opened
//! the inner archive of a backup that was cut off, took 4.4 times as long and 2.5 times the memory for 200,000 entries, and
//! changes what it accepts in patch releases. Downloads are checked by the same parser, with or without the feature `zip`.

#![cfg_attr(not(feature = "zip"), allow(dead_code, reason = "a download's check asks less of the parser"))]

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use self::directory::CentralDirectory;
use self::fault::{Failure, Fault};
use super::source::Source;

/// What needs the `zip` crate: the entries, their data, and extracting them.
#[cfg(feature = "zip")]
mod contents;
mod directory;
mod eocd;
mod fault;
mod format;
mod name;

#[cfg(feature = "zip")]
pub use self::{
    contents::{
        Archive, Diff, Difference, Entry, EntryKind, EntryReader, ExtractOptions, ExtractPlan, Extracted, Limits,
        Links, Tree, Verified,
    },
    fault::BadEntry,
};

/// How many of the last bytes [`check_end`] looks at, if there are as many.
pub(crate) const LAST: usize = eocd::TAIL;

/// `Ok(Err(why))` when `source` is not a whole ZIP archive: exactly when [`Archive::new`] refuses it.
pub(crate) fn check<S: Source + ?Sized>(source: &S) -> io::Result<Result<(), &'static str>> {
    match CentralDirectory::read(source) {
        Ok(_) => Ok(Ok(())),
        Err(Failure::Refused(fault)) => Ok(Err(what(fault))),
        Err(Failure::Source(e)) => Err(e),
        Err(Failure::Output(e)) => Err(e.into()),
    }
}

/// Whether the data of all entries in the archive at `path` is what the headers and CRCs say, as far as it can be read: other
/// tools can read more.
#[cfg(feature = "zip")]
pub(crate) fn is_intact(path: &Path, go_on: impl Fn() -> ControlFlow<()> + Send + Sync) -> crate::Result<bool> {
    let verified = Archive::open(path)?.verify_with(|_| go_on())?;
    Ok(verified.bad.iter().all(|bad| bad.refusal != crate::Refusal::Corrupt))
}

#[cfg(not(feature = "zip"))]
pub(crate) fn is_intact(_: &Path, _: impl Fn() -> ControlFlow<()> + Send + Sync) -> crate::Result<bool> {
    Ok(true)
}

/// [`check`] as far as the first and the last of `size` bytes tell.
pub(crate) fn check_end(first: &[u8], last: &[u8], size: u64) -> Result<(), &'static str> {
    check(&Ends { first, last, size }).unwrap_or(Ok(()))
}

/// The ends of a source. Reading between them fails.
struct Ends<'a> {
    first: &'a [u8],
    last: &'a [u8],
    size: u64,
}

impl Source for Ends<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (bytes, at) = match offset.checked_sub(self.size - self.last.len() as u64) {
            Some(at) => (self.last, at),
            None => (self.first, offset),
        };
        let bytes = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).filter(|bytes| !bytes.is_empty());
        io::Read::read(&mut bytes.ok_or(io::ErrorKind::Unsupported)?, buf)
    }
}

/// What is wrong, without the advice behind it.
fn what(fault: Fault) -> &'static str {
    match fault.detail {
        Cow::Borrowed(detail) => detail.split_once("; ").map_or(detail, |(what, _)| what),
        Cow::Owned(_) => {
            "its end of central directory record, its central directory or a header in it contradicts the others"
        }
    }
}
