//! I/O. Bringing the directory up to date: what is damaged goes aside, what is new comes, what is named no more goes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::Serialize;

use super::plan::{Item, Listed, MirrorPlan, Planned, State};
use super::{Mirror, disk};
use crate::error::{Error, Refusal, Result};
use crate::progress::MirrorMeter;
use crate::snapshot::files::set_aside;
use crate::snapshot::options::{DownloadOptions, Overwrite};
use crate::snapshot::{Snapshot, name};
use crate::types::{Kind, Skipped, SnapshotInfo};

/// How many downloads in a row must be waited for in vain before the run ends: each takes minutes.
const UNANSWERED: usize = 3;

/// Everything that is to be mirrored and that the mirror has.
///
/// # Errors
/// [`Error::Io`] when a directory cannot be read, [`Error::Cancelled`].
pub(super) fn survey(mirror: &Mirror, listed: &Listed, meter: &MirrorMeter<'_>) -> Result<Vec<Item>> {
    let mut found = BTreeMap::new();
    for kind in mirror.kinds() {
        let files = disk::snapshots(&mirror.dir, *kind)?;
        found.extend(files.into_iter().map(|(path, info)| (path, (info, false))));
    }
    found.extend(listed.snapshots.iter().map(|info| (disk::path(&mirror.dir, info), (info.clone(), true))));
    let item = |(path, (info, is_listed)): (PathBuf, (SnapshotInfo, bool))| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let listed = Some(&info).filter(|_| is_listed);
        let state = meter.naming(&name, || disk::look(&path, listed, mirror.verify, meter));
        meter.update(|_| {})?;
        Ok(Item { path, info, is_listed, state })
    };
    found.into_iter().filter(|(_, (info, _))| mirror.chooses(info)).map(item).collect()
}

/// What [`Mirror::run`](crate::Mirror::run) did.
///
/// `Display` says it in one line; `Serialize` writes errors as text.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct MirrorReport {
    /// The files that were fetched.
    pub fetched: Vec<PathBuf>,
    /// How many bytes were transferred for them.
    pub bytes: u64,
    /// How many files were there before and stay.
    pub kept: usize,
    /// The files that were deleted, since no rule names them any more.
    pub pruned: Vec<PathBuf>,
    /// Files that were found truncated or changed, where they are now: `*.damaged`. Those that could be fetched again are
    /// in `fetched`, too.
    pub damaged: Vec<PathBuf>,
    /// The snapshots that could not be fetched, read or deleted, and why; also those of damaged files that are not listed
    /// any more.
    pub failed: Vec<(SnapshotInfo, Error)>,
    /// What could not be listed, and why: the kind, or one app or database. Nothing of that kind was pruned.
    pub not_listed: Vec<(String, Error)>,
    /// Listed items that could not be decoded. Nothing of that kind was pruned.
    pub skipped: Vec<Skipped>,
    /// The apps and databases of which no new snapshot was created, and why
    /// ([`Mirror::take_new`](crate::Mirror::take_new)).
    pub not_taken: Vec<(String, Error)>,
    /// Why the run ended before everything was fetched: a full disk, or a snapshot host that does not respond.
    pub stopped: Option<Error>,
}

impl MirrorReport {
    /// Whether nothing went wrong: the mirror has everything that it should have.
    pub fn is_complete(&self) -> bool {
        self.skipped.is_empty() && self.errors().next().is_none()
    }

    /// Returns everything that went wrong, except for items that could not be decoded (`skipped`).
    pub fn errors(&self) -> impl Iterator<Item = &Error> {
        let named = self.not_listed.iter().chain(&self.not_taken).map(|(_, error)| error);
        self.stopped.iter().chain(named).chain(self.failed.iter().map(|(_, error)| error))
    }
}

impl fmt::Display for MirrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fetched, bytes, kept, pruned, damaged, .. } = self;
        let (fetched, pruned, damaged) = (fetched.len(), pruned.len(), damaged.len());
        let failed = self.errors().count() + self.skipped.len();
        write!(f, "{fetched} fetched ({bytes} bytes), {kept} kept, {pruned} pruned, {damaged} damaged, {failed} failed")
    }
}

pub(super) struct Run<'a> {
    mirror: &'a Mirror,
    meter: &'a MirrorMeter<'a>,
    report: Mutex<MirrorReport>,
    /// What was listed again, for links that had expired.
    renewed: Mutex<BTreeMap<Kind, Vec<SnapshotInfo>>>,
    /// How many downloads in a row were not responded to.
    unanswered: AtomicUsize,
    /// Whether nothing more is fetched.
    stop: AtomicBool,
}

impl<'a> Run<'a> {
    pub(super) fn new(mirror: &'a Mirror, meter: &'a MirrorMeter<'a>) -> Self {
        let (report, renewed, unanswered) = Default::default();
        Self { mirror, meter, report, renewed, unanswered, stop: false.into() }
    }

    /// # Errors
    /// [`Error::Io`] when a directory cannot be read, [`Error::Cancelled`].
    pub(super) fn run(self, listed: &Listed) -> Result<MirrorReport> {
        let mut items = survey(self.mirror, listed, self.meter)?;
        let plan = |items: &mut [Item]| MirrorPlan::new(listed, items, &self.mirror.keep, self.mirror.offset);
        items.iter_mut().for_each(|item| self.set_aside(item));
        loop {
            let MirrorPlan { fetch, failed, .. } = plan(&mut items);
            self.report().failed.extend(failed);
            if fetch.is_empty() || self.stop.load(Relaxed) {
                break;
            }
            let fetched = self.fetch_all(&fetch)?;
            // What failed counts no more, so that another one takes its place where there is one.
            let tried: BTreeSet<&PathBuf> = fetch.iter().map(|planned| &planned.path).collect();
            for item in items.iter_mut().filter(|item| tried.contains(&item.path)) {
                item.state = if fetched.contains(&item.path) { State::Whole } else { State::Unusable(None) };
            }
        }
        // For pruning, only what is there counts.
        for item in items.iter_mut().filter(|item| !matches!(item.state, State::Whole)) {
            item.state = State::Unusable(None);
        }
        let MirrorPlan { keep, prune, .. } = plan(&mut items);
        let kept = keep.len().saturating_sub(self.report().fetched.len());
        self.report().kept = kept;
        prune.into_iter().for_each(|planned| self.prune(planned));
        Ok(self.report.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives a damaged file another name. What cannot be fetched again is a failure.
    fn set_aside(&self, item: &mut Item) {
        let State::Damaged = item.state else { return };
        item.state = match set_aside(&item.path, "damaged") {
            Err(e) => State::Unusable(Some(Error::io("renaming", &item.path, e))),
            Ok(aside) => {
                let archive = Some(aside.display().to_string());
                self.report().damaged.push(aside);
                let detail = "it was truncated or changed, and its snapshot is not listed any more".into();
                let lost = || Error::Refused { archive, entry: None, refusal: Refusal::Corrupt, detail };
                if item.is_listed { State::Missing } else { State::Unusable(Some(lost())) }
            }
        };
    }

    /// Fetches with several threads, of which the calling one is one, the newest first; returns what was fetched.
    fn fetch_all(&self, planned: &[Planned]) -> Result<BTreeSet<PathBuf>> {
        let mut jobs: Vec<&Planned> = planned.iter().collect();
        jobs.sort_by_key(|planned| Reverse(planned.snapshot.created_at));
        self.meter.update(|progress| {
            progress.total_snapshots += jobs.len() as u64;
            progress.total = jobs.iter().fold(progress.total, |sum, job| job.snapshot.size.saturating_add(sum));
        })?;
        let jobs = Mutex::new(jobs.into_iter());
        thread::scope(|scope| {
            // Where the system has no more threads, there are fewer.
            let spawn = |_: &usize| thread::Builder::new().spawn_scoped(scope, || self.work(&jobs)).is_ok();
            let _ = (1..self.mirror.threads.min(planned.len())).take_while(spawn).count();
            self.work(&jobs);
        });
        self.meter.update(|_| {})?;
        Ok(self.report().fetched.iter().cloned().collect())
    }

    fn work<'b>(&self, jobs: &Mutex<impl Iterator<Item = &'b Planned>>) {
        let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some(planned) = next().filter(|_| !self.stop.load(Relaxed)) {
            let name = planned.path.file_name().unwrap_or_default().to_string_lossy();
            let fetched = self.meter.naming(&name, || self.fetch(planned));
            let _ = self.meter.update(|progress| progress.snapshots += 1);
            let mut report = self.report();
            match fetched {
                Ok(bytes) => {
                    report.fetched.push(planned.path.clone());
                    report.bytes += bytes;
                    self.unanswered.store(0, Relaxed);
                }
                Err(error) if error.is_cancelled() => self.stop.store(true, Relaxed),
                Err(error) if self.ends(&error) => {
                    self.stop.store(true, Relaxed);
                    report.stopped.get_or_insert(error);
                }
                Err(error) => report.failed.push((planned.snapshot.clone(), error)),
            }
        }
    }

    /// Whether the others would fail, too: the disk is full, or the host was waited for in vain several times.
    fn ends(&self, error: &Error) -> bool {
        if let Error::Network { status: None, .. } | Error::Timeout { status: None, .. } = error {
            return self.unanswered.fetch_add(1, Relaxed) + 1 >= UNANSWERED;
        }
        self.unanswered.store(0, Relaxed);
        let kind = if let Error::Io { source, .. } = error { Some(source.kind()) } else { None };
        matches!(kind, Some(StorageFull | QuotaExceeded | ReadOnlyFilesystem))
    }

    /// Fetches a snapshot; how many bytes were transferred. A link that has expired is renewed once.
    fn fetch(&self, planned: &Planned) -> Result<u64> {
        let fetch = |info: &SnapshotInfo| self.download(planned, &self.mirror.service.open(info)?);
        match fetch(&planned.snapshot) {
            Err(error @ Error::UnexpectedResponse { status: 400 | 401 | 403 | 404 | 410, .. }) => {
                self.renew(planned).map_or(Err(error), |fresh| fetch(&fresh))
            }
            fetched => fetched,
        }
    }

    fn download(&self, planned: &Planned, snapshot: &Snapshot) -> Result<u64> {
        let seen = AtomicU64::new(0);
        let options = DownloadOptions::new().overwrite(Overwrite::Keep).verify(self.mirror.verify);
        let options = options.progress(|now| {
            let before = seen.swap(now.bytes, Relaxed);
            let go_on = self.meter.update(|progress| {
                progress.bytes = (progress.bytes + now.bytes).saturating_sub(before);
                progress.waiting = now.waiting;
            });
            if go_on.is_err() || self.stop.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let download = snapshot.download_with(&planned.path, &options)?;
        if download.bytes != planned.snapshot.size && name::of_listed(&planned.snapshot).version.is_none() {
            disk::delete(&planned.path)?;
            let problem = "the link names no version and leads to a snapshot of another size than the listed one";
            return Err(Error::Download { what: snapshot.file_name().into(), status: None, problem: problem.into() });
        }
        Ok(download.bytes - download.resumed_from)
    }

    /// The snapshot with another link, if a new listing has one. Each kind is listed again once.
    fn renew(&self, planned: &Planned) -> Option<SnapshotInfo> {
        let info = &planned.snapshot;
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let listing = renewed.entry(info.kind).or_insert_with(|| {
            let listed = self.mirror.clone().kind(info.kind).list(self.meter);
            listed.map(|listed| listed.snapshots).unwrap_or_default()
        });
        let is_same = |fresh: &&SnapshotInfo| planned.path.ends_with(name::of_listed(fresh).file_name);
        listing.iter().find(is_same).filter(|fresh| (fresh.url(), fresh.key()) != (info.url(), info.key())).cloned()
    }

    fn prune(&self, planned: Planned) {
        match disk::delete(&planned.path) {
            Ok(true) => self.report().pruned.push(planned.path),
            Ok(false) => self.report().kept += 1,
            Err(error) => self.report().failed.push((planned.snapshot, error)),
        }
    }

    fn report(&self) -> MutexGuard<'_, MirrorReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
