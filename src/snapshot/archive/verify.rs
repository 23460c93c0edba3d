//! Every entry's data against what the directory says of it. Nothing is written.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use super::body::{Body, Broken, buffer, unpack};
use super::directory::Directory;
use super::fault::{Fault, shown};
use super::window::Window;
use super::work::{Batches, cores};
use super::{Archive, layout, plan};
use crate::error::{Error, Refusal, Result};
use crate::snapshot::source::Source;

/// What is wrong with an entry, or with the archive as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadEntry {
    /// The entry's name, escaped for print; `None` when it is about the archive as a whole.
    pub name: Option<String>,
    /// Why: to be matched.
    pub refusal: Refusal,
    /// What exactly, and what to do next.
    pub detail: String,
}

impl BadEntry {
    pub(super) fn new(name: Option<String>, fault: Fault) -> Self {
        Self { name, refusal: fault.refusal, detail: fault.sentence() }
    }
}

/// What [`Archive::verify`](crate::Archive::verify) found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Entries looked at: all of them.
    pub entries: usize,
    /// Bytes inflated and found right.
    pub bytes: u64,
    /// All that is wrong, in the order of the directory; empty when the archive is whole.
    pub bad: Vec<BadEntry>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.bad.is_empty()
    }
}

pub(super) fn verify<S: Source>(archive: &Archive<S>) -> Result<Verified> {
    let directory = &archive.directory;
    let mut bad: Vec<(Option<u32>, Fault)> = Vec::new();
    let layout =
        layout::check(&*archive.source, directory, |_| true, |index, fault| bad.push((index, fault)))
            .map_err(|e| reading(None, e))?;
    let mut bodies = Vec::new();
    for index in directory.indices() {
        let (Some(record), central) = (directory.record(index), directory.central(index)) else { continue };
        if let Err(fault) = plan::readable(&central, record.size, record.packed) {
            bad.push((Some(index), fault));
            continue;
        }
        if let Some(at) = layout.data_at(index, record) {
            bodies.push((index, Body::of(record, &central, at)));
        }
    }
    let sizes: Vec<u64> = bodies.iter().map(|(_, body)| body.size).collect();
    let found = Mutex::new((0u64, bad));
    Batches::of(&sizes).run(
        cores(),
        || (Window::new(&*archive.source, directory.start), buffer()),
        |(window, buf), batch| check(directory, &bodies, window, buf, batch, &found),
        &AtomicBool::new(false),
    )?;
    let (bytes, mut bad) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    bad.sort_by_key(|(index, _)| *index);
    // One entry may have several faults; the first says enough.
    bad.dedup_by_key(|(index, _)| index.map_or(u64::MAX, u64::from));
    let bad = bad
        .into_iter()
        .map(|(index, fault)| BadEntry::new(index.map(|i| shown(directory.name(i))), fault))
        .collect();
    Ok(Verified { entries: directory.len(), bytes, bad })
}

type Found = Mutex<(u64, Vec<(Option<u32>, Fault)>)>;

fn check<S: Source>(
    directory: &Directory,
    bodies: &[(u32, Body)],
    window: &mut Window<'_, S>,
    buf: &mut Vec<u8>,
    batch: &[u32],
    found: &Found,
) -> Result<()> {
    let jobs = || batch.iter().filter_map(|i| bodies.get(*i as usize));
    window.until(jobs().map(|(_, body)| body.at + body.packed).max().unwrap_or(0));
    let mut bytes = 0;
    let mut bad = Vec::new();
    for (index, body) in jobs() {
        match unpack(window, body, buf, |_| Ok::<(), Error>(())) {
            Ok(n) => bytes += n,
            Err(Broken::Bad(fault)) => bad.push((Some(*index), fault)),
            Err(Broken::Source(e)) => return Err(reading(Some(directory.name(*index)), e)),
            Err(Broken::Taker(e)) => return Err(e),
        }
    }
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    found.0 += bytes;
    found.1.append(&mut bad);
    Ok(())
}

pub(super) fn reading(name: Option<&str>, e: std::io::Error) -> Error {
    Error::Archive { entry: name.map(shown), source: Box::new(e) }
}
