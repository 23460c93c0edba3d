//! Keeping every snapshot: an account's snapshots as files in a directory, for as long as the user says. The directory is
//! the only state; what is where is told by the names of the files.

use std::cmp::Reverse;
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use time::{OffsetDateTime, UtcOffset};

pub(crate) use self::plan::Listed;
use self::plan::State;
use self::run::Run;
use super::Snapshot;
use super::files::release;
use super::options::DownloadOptions;
use crate::error::{Error, Result};
use crate::progress::{MirrorMeter, MirrorProgress};
use crate::types::{Account, Kind, SnapshotInfo, is_id_of, is_wanted};

mod disk;
mod keep;
mod plan;
mod run;
mod take;

pub use self::keep::{Keep, KeepReason};
pub use self::plan::{MirrorPlan, PlannedSnapshot};
pub use self::run::MirrorReport;

/// More downloads from one host at a time gain nothing.
const MAX_THREADS: usize = 32;

/// What a mirror asks of the service: a client.
pub(crate) trait Service: Send + Sync {
    fn account(&self) -> Result<Account>;
    /// Everything of these kinds, or what is named of it.
    ///
    /// # Errors
    /// Why nothing at all could be listed, or [`Error::Cancelled`].
    fn list(&self, kinds: &[Kind], only: Option<&[String]>, meter: &MirrorMeter<'_>) -> Result<Listed>;
    /// The listing that has this snapshot, once more.
    fn list_again(&self, listed: &Listed, info: &SnapshotInfo) -> Result<Vec<SnapshotInfo>>;
    /// Creates a snapshot and returns it, or everything that is listed with it if it cannot be told apart. `last`: when the
    /// one before it was created.
    ///
    /// # Errors
    /// [`Error::Pending`] when it is not listed yet.
    fn create(
        &self,
        of: (Kind, &str),
        last: Option<OffsetDateTime>,
        meter: &MirrorMeter<'_>,
    ) -> Result<Vec<SnapshotInfo>>;
    fn open(&self, info: &SnapshotInfo) -> Result<Snapshot>;
    fn pause(&self, pause: Duration, meter: &MirrorMeter<'_>) -> Result<()>;
}

type Filter = Arc<dyn Fn(&SnapshotInfo) -> bool + Send + Sync>;

/// A directory that keeps an account's snapshots: [`Client::mirror`](crate::Client::mirror).
///
/// A [`run`](Self::run) fetches what is new, checks what is there, and deletes what the [policy](Self::keep) no longer
/// names. It is made for cron: run it as often as you like.
///
/// Files are called `<dir>/<apps|databases>/<id>/<name>`, with the names of
/// [`Snapshot::file_name`](crate::Snapshot::file_name) and the snapshots' creation as their times. There is no index: a
/// mirror may be copied, and files may be deleted by hand (those that are still listed come back). Files with other names are
/// never touched; to keep one for ever, move it elsewhere, or let its name not end in `.zip`. What is left of an app or database that
/// was deleted stays, thinned by the policy.
///
/// One directory has one policy: two mirrors with different policies undo each other's work, unless they are for different
/// apps or databases ([`kind`](Self::kind), [`only`](Self::only)) or snapshots ([`filter`](Self::filter)).
///
/// ```no_run
/// use squarecloud_blocking::{Client, Keep};
/// let client = Client::from_env()?;
/// let keep = Keep::daily(7).and(Keep::weekly(5)).and(Keep::monthly(12));
/// let report = client.mirror("backups").keep(keep).run()?;
/// println!("{report}");
/// if !report.is_complete() {
///     report.errors().for_each(|error| eprintln!("{error:#}"));
///     std::process::exit(1);
/// }
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Mirror {
    service: Arc<dyn Service>,
    dir: PathBuf,
    kind: Option<Kind>,
    only: Option<Vec<String>>,
    filter: Option<Filter>,
    keep: Keep,
    offset: UtcOffset,
    threads: usize,
    verify: bool,
    take_new: bool,
}

impl Mirror {
    pub(crate) fn new(service: Arc<dyn Service>, dir: PathBuf) -> Self {
        let (kind, only, filter, verify, take_new) = Default::default();
        let (keep, offset, threads) = (Keep::everything(), UtcOffset::UTC, 2);
        Self { service, dir, kind, only, filter, keep, offset, threads, verify, take_new }
    }

    crate::setters! {
        /// Mirrors apps only, or databases only; both by default.
        kind(s, kind: Kind) { s.kind = Some(kind) }

        /// Mirrors only the apps and databases with these ids; all by default. One that the account's listing does not show,
        /// such as an app that is shared through a workspace (`<appId>-<workspaceId>`), is listed by itself, which costs one
        /// request, or two for a database; when it does not exist, that is in [`MirrorReport::not_listed`].
        only(s, ids: impl IntoIterator<Item = impl Into<String>>) { s.only = Some(ids.into_iter().map(Into::into).collect()) }

        /// Mirrors only the snapshots for which `filter` returns true. The others are neither fetched nor pruned, and do not
        /// count for the policy.
        ///
        /// It is asked about listed snapshots, about files whose snapshots are not listed any more (which have no version,
        /// and runtime and origin only if the name tells), and with [`take_new`](Self::take_new) about those that would be
        /// created (of the size of the last one).
        filter(s, filter: impl Fn(&SnapshotInfo) -> bool + Send + Sync + 'static) { s.filter = Some(Arc::new(filter)) }

        /// Sets which snapshots of each app and database are kept; [`Keep::everything`] by default. What it does not name is
        /// not fetched, either. Try a stricter policy with [`plan`](Self::plan) first.
        ///
        /// Nothing is deleted of a kind whose listing failed, was incomplete or was empty, and only files that were found
        /// whole in the same run count or are deleted. New snapshots are fetched before old ones are deleted, so there must
        /// be room for both. `*.damaged` files are never deleted; delete them when you no longer need them.
        keep(s, policy: Keep) { s.keep = policy }

        /// Sets the UTC offset in which the policy counts hours, days, weeks, months and years; UTC by default. It does not
        /// follow daylight saving time.
        offset(s, offset: UtcOffset) { s.offset = offset }

        /// Sets how many snapshots are downloaded at the same time, 1 to 32; 2 by default. Each takes about 1 MiB of memory.
        threads(s, n: usize) { s.threads = n }

        /// Sets whether the CRC-32 of every entry of every file is checked, of new ones before they get their names; `false`
        /// by default. Reads and inflates the whole mirror at every run. Needs the feature `zip`.
        ///
        /// Otherwise only the length and the central directory are checked, and damage to an entry's data goes unnoticed: use
        /// it now and then, say every week.
        verify(s, verify: bool) { s.verify = verify }

        /// Sets whether a run first creates a snapshot of each app and database; `false` by default.
        ///
        /// Costs one request for the account and two for each snapshot, one after the other, which is waited for as by
        /// [`Client::snapshot`](crate::Client::snapshot): up to some minutes each. There are 6 s between two creations, since
        /// the service demands 5. Those whose last snapshot is less than 180 s old and those beyond the daily quota are not
        /// waited for but reported in [`MirrorReport::not_taken`]; those with the oldest snapshots come first. The run is then
        /// not complete: test `not_taken` by itself if the quota is too small for all of them.
        take_new(s, take_new: bool) { s.take_new = take_new }
    }

    /// Returns what a [`run`](Self::run) would do now, and why each file would be kept. Nothing is written, and no new
    /// snapshots are [taken](Self::take_new).
    ///
    /// Costs one request a kind: one for the apps and one for the databases. Where the account's plan does not include that
    /// (HTTP 402), two, and one for each app and database, at about 20 a minute. On the disk, it reads the central directory of
    /// each file.
    ///
    /// ```no_run
    /// # let client = squarecloud_blocking::Client::from_env()?;
    /// let plan = client.mirror("backups").keep(squarecloud_blocking::Keep::daily(7)).plan()?;
    /// for planned in plan.keep.iter().chain(&plan.fetch) {
    ///     println!("{}: {:?}", planned.path.display(), planned.reasons);
    /// }
    /// println!("{} files would be deleted", plan.prune.len());
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that cannot be met, [`Error::Io`] when a directory cannot be read, and
    /// as [`Client::listing`](crate::Client::listing) when nothing could be listed. If only some listings failed, that is
    /// in the plan.
    pub fn plan(&self) -> Result<MirrorPlan> {
        self.check()?;
        let meter = MirrorMeter::new(&self.dir, &|_| ControlFlow::Continue(()));
        let listed = self.service.list(self.kinds(), self.only.as_deref(), &meter)?;
        let (items, failed) = run::survey(self, &listed, &meter)?;
        let plan = MirrorPlan::new(&listed, &items, &self.keep, self.offset);
        Ok(MirrorPlan { failed, not_listed: listed.not_listed, skipped: listed.skipped, ..plan })
    }

    /// Brings the directory up to date: fetches what is new, sets damaged files aside, fetches them again, and deletes what
    /// the policy does not name.
    ///
    /// Costs the requests of [`plan`](Self::plan), and one on the snapshot host for each new snapshot; one more listing when
    /// a link has expired. Downloads continue, are checked and appear complete or not at all, as those of
    /// [`Snapshot::download`](crate::Snapshot::download). A damaged file gets the name `<name>.damaged`, and
    /// its name back if it could not be fetched again and is an archive, only not of the listed size. Files are deleted last.
    ///
    /// `Ok` means that the run came to its end. [`MirrorReport::is_complete`] tells whether everything was fetched: a
    /// snapshot that fails does not end the run: the next best one that the policy would keep in its place is fetched
    /// instead. A full disk, and a snapshot host that was waited for in vain three times in a row, end it with what was done
    /// by then.
    ///
    /// A run that finds nothing new is complete, too: to notice that no snapshots are made any more, look at the age of
    /// [`find`](Self::find)`(id, now)`. A missing directory is created: if it is on a disk that may not be mounted, look for
    /// `.mirror.lock` in it first.
    ///
    /// Only one run at a time works in a directory: it locks the file `.mirror.lock` there, which the system frees when the
    /// process dies. On file systems without locks, nothing keeps two runs apart but you.
    ///
    /// # Errors
    /// [`Error::Busy`] when another run is at work there, [`Error::Invalid`] for settings that cannot be met,
    /// [`Error::Io`] when a directory cannot be created or read, and as [`Client::listing`](crate::Client::listing) when
    /// nothing could be listed.
    pub fn run(&self) -> Result<MirrorReport> {
        self.run_with(|_| ControlFlow::Continue(()))
    }

    /// Runs as [`run`](Self::run) does, with a callback that receives the progress of the whole and can cancel the run. It is
    /// called at most about 200 times a second, never from two threads at once.
    ///
    /// ```no_run
    /// # let client = squarecloud_blocking::Client::from_env()?;
    /// let report = client.mirror("backups").run_with(|now| {
    ///     eprint!("\r{} of {} snapshots, {} of {} bytes", now.snapshots, now.total_snapshots, now.bytes, now.total);
    ///     std::ops::ControlFlow::Continue(())
    /// })?;
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`Error::Cancelled`]; what was fetched by then is there, and the next run goes on.
    pub fn run_with(&self, callback: impl Fn(MirrorProgress) -> ControlFlow<()> + Send + Sync) -> Result<MirrorReport> {
        self.check()?;
        let lock = disk::lock(&self.dir)?;
        let meter = &MirrorMeter::new(&self.dir, &callback);
        let report = self.service.list(self.kinds(), self.only.as_deref(), meter).and_then(|mut listed| {
            let not_taken = if self.take_new { self.create_all(&mut listed, meter)? } else { Vec::new() };
            let report = Run::new(self, &listed, meter).run()?;
            Ok(MirrorReport { not_taken, not_listed: listed.not_listed, skipped: listed.skipped, ..report })
        });
        meter.finish();
        release(&lock);
        report
    }

    /// Returns the file of the newest good copy of an app or database that was created at the given time or before; `None`
    /// when there is none. Sends nothing, and looks only at what is on the disk, whatever [`only`](Self::only) and
    /// [`filter`](Self::filter) choose; damaged and unreadable copies are passed over. With [`verify`](Self::verify), every CRC
    /// is checked, too.
    ///
    /// ```no_run
    /// # let client = squarecloud_blocking::Client::from_env()?;
    /// use squarecloud_blocking::time::{Duration, OffsetDateTime};
    /// let week_ago = OffsetDateTime::now_utc() - Duration::days(7);
    /// let file = client.mirror("backups").find("0123456789abcdef0123456789abcdef", week_ago)?;
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] when a directory cannot be read, [`Error::Invalid`] for settings that cannot be met.
    pub fn find(&self, resource: &str, at_or_before: OffsetDateTime) -> Result<Option<PathBuf>> {
        self.check()?;
        let found = self.kinds().iter().map(|kind| disk::snapshots(&self.dir, *kind)).collect::<Result<Vec<_>>>()?;
        let mut found = found.concat();
        let is_plain = found.iter().any(|(_, info)| info.resource_id() == resource);
        let is_wanted = |id: &str| if is_plain { id == resource } else { is_id_of(resource, id) };
        found.retain(|(_, info)| is_wanted(info.resource_id()) && info.created_at <= at_or_before);
        found.sort_by_cached_key(|(path, info)| Reverse((info.created_at, path.clone())));
        let meter = MirrorMeter::new(&self.dir, &|_| ControlFlow::Continue(()));
        let is_whole = |path: &PathBuf| matches!(disk::look(path, None, self.verify, &meter), Ok(State::Whole));
        Ok(found.into_iter().map(|(path, _)| path).find(is_whole))
    }

    fn check(&self) -> Result<()> {
        if self.threads == 0 || self.threads > MAX_THREADS {
            return Err(Error::invalid("the number of threads", format!("must be from 1 to {MAX_THREADS}")));
        }
        if self.only.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::invalid("the ids to mirror", "are none; leave `only` out to mirror all"));
        }
        DownloadOptions::new().verify(self.verify).check()
    }

    fn kinds(&self) -> &[Kind] {
        self.kind.as_ref().map_or(&[Kind::App, Kind::Database], std::slice::from_ref)
    }

    fn chooses(&self, info: &SnapshotInfo) -> bool {
        is_wanted(self.only.as_deref(), info.resource_id()) && self.filter.as_ref().is_none_or(|filter| filter(info))
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror").field("dir", &self.dir).field("keep", &self.keep).finish_non_exhaustive()
    }
}
