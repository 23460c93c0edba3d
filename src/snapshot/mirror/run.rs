//! I/O. Bringing the directory up to date: what is damaged goes aside, what is new comes, what is named no more goes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::Serialize;

use super::plan::{Item, Listed, MirrorPlan, PlannedSnapshot, State};
use super::{Mirror, disk};
use crate::error::{Error, Refusal, Result};
use crate::progress::MirrorMeter;
use crate::snapshot::files::{publish, set_aside};
use crate::snapshot::leftovers::tidy_at;
use crate::snapshot::options::{DownloadOptions, Overwrite};
use crate::snapshot::{Snapshot, name};
use crate::types::{Kind, Skipped, SnapshotInfo};

/// How many downloads in a row must have waited for the host in vain before the run ends: each takes minutes.
const UNANSWERED: usize = 3;

/// The snapshots that something went wrong with, and what.
type Failed = Vec<(SnapshotInfo, Error)>;

/// Everything that is to be mirrored and that the mirror has, in the order of paths; and what of it cannot be read.
///
/// # Errors
/// [`Error::Io`] when a directory cannot be read, [`Error::Cancelled`].
pub(super) fn survey(mirror: &Mirror, listed: &Listed, meter: &MirrorMeter<'_>) -> Result<(Vec<Item>, Failed)> {
    let mut found = BTreeMap::new();
    for kind in mirror.kinds() {
        let files = disk::snapshots(&mirror.dir, *kind)?;
        found.extend(files.into_iter().map(|(path, info)| (path, (info, false))));
    }
    found.extend(listed.snapshots.iter().map(|info| (disk::path(&mirror.dir, info), (info.clone(), true))));
    let (mut items, mut failed) = (Vec::new(), Vec::new());
    for (path, (info, is_listed)) in found.into_iter().filter(|(_, (info, _))| mirror.chooses(info)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let listed = Some(&info).filter(|_| is_listed);
        let state = meter.naming(&name, || disk::look(&path, listed, mirror.verify, meter));
        meter.update(|_| {})?;
        match state {
            Ok(state) => items.push(Item { path, info, is_listed, state }),
            Err(error) => failed.push((info, error)),
        }
    }
    Ok((items, failed))
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
    /// The snapshots that could not be fetched, read or deleted, and why; also those of damaged files that are not
    /// listed. They are tried again at every run; leave out with [`Mirror::filter`](crate::Mirror::filter) what never
    /// succeeds.
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
    listed: &'a Listed,
    meter: &'a MirrorMeter<'a>,
    report: Mutex<MirrorReport>,
    /// What was listed again because links had expired, by kind, or by id if each app and database has its own listing.
    renewed: Mutex<BTreeMap<(Kind, String), Vec<SnapshotInfo>>>,
    /// How many downloads in a row have waited for the host in vain.
    unanswered: AtomicUsize,
    /// Whether nothing more is fetched.
    stop: AtomicBool,
}

impl<'a> Run<'a> {
    pub(super) fn new(mirror: &'a Mirror, listed: &'a Listed, meter: &'a MirrorMeter<'a>) -> Self {
        let (report, renewed) = Default::default();
        Self { mirror, listed, meter, report, renewed, unanswered: 0.into(), stop: false.into() }
    }

    /// # Errors
    /// [`Error::Io`] when a directory cannot be read, [`Error::Cancelled`].
    pub(super) fn run(self) -> Result<MirrorReport> {
        let (mut items, failed) = survey(self.mirror, self.listed, self.meter)?;
        self.report().failed = failed;
        items.retain_mut(|item| item.state != State::Damaged || self.set_aside(item));
        let plan = |items: &[Item]| MirrorPlan::new(self.listed, items, &self.mirror.keep, self.mirror.offset);
        let MirrorPlan { mut fetch, unneeded, .. } = plan(&items);
        // What was begun of these would take up the disk.
        unneeded.iter().for_each(|planned| tidy_at(&planned.path));
        let mut fetched = BTreeSet::new();
        while !fetch.is_empty() && !self.stop.load(Relaxed) {
            self.fetch_all(&fetch).inspect_err(|_| self.put_back())?;
            fetched.extend(self.report().fetched.iter().cloned());
            let tried: BTreeSet<PathBuf> = fetch.into_iter().map(|planned| planned.path).collect();
            for item in items.iter_mut().filter(|item| fetched.contains(&item.path)) {
                item.state = State::Whole;
            }
            // Another one takes the place of what failed, if there is one.
            items.retain(|item| item.state == State::Whole || !tried.contains(&item.path));
            fetch = plan(&items).fetch;
        }
        self.put_back();
        // Only what is there has a say in what is pruned.
        items.retain(|item| item.state == State::Whole);
        // A killed run may have left the part file under which it published one of them: a second name of its bytes.
        items.iter().for_each(|item| tidy_at(&item.path));
        let MirrorPlan { keep, prune, .. } = plan(&items);
        self.report().kept = keep.iter().filter(|planned| !fetched.contains(&planned.path)).count();
        prune.into_iter().for_each(|planned| self.prune(planned));
        Ok(self.report.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives a damaged file another name; whether the snapshot can be fetched again.
    fn set_aside(&self, item: &mut Item) -> bool {
        item.state = State::Missing;
        let error = match set_aside(&item.path, "damaged") {
            Ok(aside) => {
                let archive = Some(aside.display().to_string());
                self.report().damaged.push(aside);
                if item.is_listed {
                    return true;
                }
                let listed = ["could not be listed", "is not listed any more"];
                let listed = listed[usize::from(self.listed.is_complete(item.info.kind))];
                let detail = format!("it was truncated or changed, and its snapshot {listed}");
                Error::Refused { archive, entry: None, refusal: Refusal::Corrupt, detail }
            }
            Err(e) => Error::io("renaming", &item.path, e),
        };
        self.report().failed.push((item.info.clone(), error));
        false
    }

    /// Gives those set aside their names back that were not fetched again and are archives: it may be the size in the
    /// listing that is wrong. They count for nothing in this run.
    fn put_back(&self) {
        let look = |aside: &Path| disk::look(aside, None, self.mirror.verify, self.meter);
        self.report().damaged.retain(|aside| {
            let mut path = aside.with_extension("");
            let _ = path.extension() != Some("zip".as_ref()) && path.set_extension("");
            path.exists() || !matches!(look(aside), Ok(State::Whole)) || publish(aside, &path, false).is_err()
        });
    }

    /// Fetches with several threads, of which the calling one is one.
    fn fetch_all(&self, planned: &[PlannedSnapshot]) -> Result<()> {
        let mut jobs: Vec<&PlannedSnapshot> = planned.iter().collect();
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
        self.meter.update(|_| {})
    }

    fn work<'b>(&self, jobs: &Mutex<impl DoubleEndedIterator<Item = &'b PlannedSnapshot>>) {
        let next = || {
            let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
            // The newest first, and after a failure the oldest: a few that fail every time must not keep all others away.
            if self.unanswered.load(Relaxed) == 0 { jobs.next() } else { jobs.next_back() }
        };
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
        let is_away = match error {
            Error::Network { status, .. } | Error::Timeout { status, .. } => status.is_none(),
            Error::UnexpectedResponse { .. } => error.is_retryable() || error.is_rate_limited(),
            error => matches!(error, Error::Proxy { .. }),
        };
        let before = if is_away { self.unanswered.fetch_add(1, Relaxed) } else { self.unanswered.swap(0, Relaxed) };
        let kind = if let Error::Io { source, .. } = error { Some(source.kind()) } else { None };
        is_away && before + 1 >= UNANSWERED || matches!(kind, Some(StorageFull | QuotaExceeded | ReadOnlyFilesystem))
    }

    /// Fetches a snapshot; how many bytes were transferred. A link that has expired is renewed once.
    fn fetch(&self, planned: &PlannedSnapshot) -> Result<u64> {
        let seen = AtomicU64::new(0);
        let fetch = |info: &SnapshotInfo| {
            // A link may have to be built from the account's id, and without that, no other can be.
            let stops = |error: &Error| self.stop.fetch_or(!matches!(error, Error::Invalid { .. }), Relaxed);
            let snapshot = self.mirror.service.open(info).inspect_err(|error| _ = stops(error))?;
            self.download(planned, &snapshot, &seen)
        };
        match fetch(&planned.snapshot) {
            Err(error @ Error::UnexpectedResponse { status: 400 | 401 | 403 | 404 | 410, .. })
                if !self.stop.load(Relaxed) =>
            {
                self.renew(planned).map_or(Err(error), |fresh| fetch(&fresh))
            }
            fetched => fetched,
        }
    }

    /// `seen`: how many bytes are part of the progress.
    fn download(&self, planned: &PlannedSnapshot, snapshot: &Snapshot, seen: &AtomicU64) -> Result<u64> {
        let options = DownloadOptions::new().overwrite(Overwrite::Keep).verify(self.mirror.verify);
        let options = options.progress(|now| {
            let before = seen.swap(now.bytes, Relaxed);
            let go_on = self.meter.update(|progress| {
                progress.bytes = (progress.bytes + now.bytes).saturating_sub(before);
                progress.waiting = now.waiting;
            });
            go_on.map_or(ControlFlow::Break(()), ControlFlow::Continue)
        });
        let download = snapshot.download_with(&planned.path, &options)?;
        if download.bytes != planned.snapshot.size && !name::is_pinned(&planned.snapshot) {
            disk::delete(&planned.path)?;
            let problem = "the link names no version and leads to a snapshot of another size than the listed one";
            return Err(Error::Download { what: snapshot.file_name().into(), status: None, problem: problem.into() });
        }
        Ok(download.bytes - download.resumed_from)
    }

    /// The snapshot with another link, if a new listing has one. Each listing is asked for once.
    fn renew(&self, planned: &PlannedSnapshot) -> Option<SnapshotInfo> {
        let info = &planned.snapshot;
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.listed.account.as_ref().map_or("", |_| info.resource_id()).to_owned();
        let listing = renewed
            .entry((info.kind, id))
            .or_insert_with(|| self.mirror.service.list_again(self.listed, info).unwrap_or_default());
        let is_same = |fresh: &&SnapshotInfo| planned.path.ends_with(name::of_listed(fresh).file_name);
        listing.iter().find(is_same).filter(|fresh| (fresh.url(), fresh.key()) != (info.url(), info.key())).cloned()
    }

    fn prune(&self, planned: PlannedSnapshot) {
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
