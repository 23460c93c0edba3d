//! The handles to an app and to a database: one method for each route, most of them the same for both.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::resource::Resource;
use crate::error::Result;
use crate::progress::{Callback, Progress};
use crate::snapshot::Snapshot;
use crate::types::{AppInfo, DatabaseInfo, Listing, Response, RestoreStatus, RuntimeStatus, SnapshotInfo};

/// A handle to an app: its id and a clone of the client. Cheap to clone; it can be stored and sent to another thread.
///
/// ```no_run
/// let client = squarecloud_blocking::Client::from_env()?;
/// let app = client.app("0123456789abcdef0123456789abcdef");
/// if let Some(latest) = app.latest_snapshot()? {
///     println!("{latest}");
/// }
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct App(pub(super) Resource);

/// A handle to a database: its id and a clone of the client. Cheap to clone; it can be stored and sent to another
/// thread.
///
/// A database can only be restored from one of its snapshots: no documented route restores it from a local file.
///
/// ```no_run
/// let client = squarecloud_blocking::Client::from_env()?;
/// client.database("0123456789abcdef0123456789abcdef").snapshot()?.download("backups")?;
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Database(pub(super) Resource);

/// The methods of both handles.
macro_rules! methods_of_both {
    ($Handle:ident, $Info:ident) => {
        impl $Handle {
            /// Returns the id. Sends nothing.
            pub fn id(&self) -> &str {
                &self.0.id
            }

            /// Returns the name, memory, cluster and so on. One request.
            ///
            /// # Errors
            /// [`Error::Api`](crate::Error::Api) with `APP_NOT_FOUND` or `DATABASE_NOT_FOUND`, and as
            /// [`Client::account`](crate::Client::account).
            pub fn info(&self) -> Result<$Info> {
                self.0.read("")
            }

            /// Returns the state and the resource use as formatted text. One request.
            ///
            /// ```no_run
            /// # let handle = squarecloud_blocking::Client::from_env()?.app("0123456789abcdef0123456789abcdef");
            /// let status = handle.status()?;
            /// println!("running: {}, since {:?}", status.running, status.started_at);
            /// # Ok::<(), squarecloud_blocking::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`Client::account`](crate::Client::account).
            pub fn status(&self) -> Result<RuntimeStatus> {
                self.0.read("/status")
            }

            /// Returns the state and the resource use as plain numbers. One request.
            ///
            /// # Errors
            /// As [`Client::account`](crate::Client::account).
            pub fn raw_status(&self) -> Result<RuntimeStatus> {
                self.0.read("/status?rawData=true")
            }

            /// Creates a snapshot and returns it once it can be downloaded.
            ///
            /// One POST, never repeated, and one look at the listing for the new snapshot's size, version and time:
            /// [`Snapshot::info`](crate::Snapshot::info), which [`restore`](Self::restore) takes. When that look fails,
            /// takes longer than 5 s or does not show exactly one that can be it, there is no info. When the service
            /// responds that it is still making the snapshot (HTTP 202), the listing is polled every
            /// [`poll_interval`](crate::ClientBuilder::poll_interval) until it appears, for at most
            /// [`snapshot_wait`](crate::ClientBuilder::snapshot_wait), and less often while the service responds with HTTP
            /// 429. The service allows one snapshot every 5 s, one every 180 s for each app or database, and a daily
            /// [quota](crate::Account::daily_snapshot_quota).
            ///
            /// A snapshot that was made before the call is never returned, whoever made it. The service's clock says
            /// which one is new; where it leaves that open, the call returns [`Error::Pending`](crate::Error::Pending).
            ///
            /// ```no_run
            /// # let handle = squarecloud_blocking::Client::from_env()?.app("0123456789abcdef0123456789abcdef");
            /// let snapshot = handle.snapshot()?;
            /// snapshot.download("backups")?;
            /// # Ok::<(), squarecloud_blocking::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`Error::Pending`](crate::Error::Pending) when the wait was not long enough: the snapshot will appear
            /// in the listing, so do not request another one. [`Error::Timeout`](crate::Error::Timeout) and
            /// [`Error::Network`](crate::Error::Network) after the request was sent leave open whether a snapshot was
            /// begun: look at the listing. [`Error::Api`](crate::Error::Api) with `KEEP_CALM` or
            /// `DAILY_SNAPSHOTS_LIMIT_REACHED` when it is too soon, and with `RATE_LIMITED` when the account is blocked;
            /// if that happens during the wait, the message says that the snapshot goes on.
            pub fn snapshot(&self) -> Result<Snapshot> {
                self.0.create_snapshot(None)
            }

            /// Creates a snapshot as [`snapshot`](Self::snapshot) does, with a callback that can cancel the wait.
            ///
            /// The callback is called about every 100 ms until the call returns, also while the service holds a request
            /// open: requests are made by a thread of their own. [`Progress::attempt`] is the number of the poll (0
            /// before the first one), [`Progress::bytes`] is always 0. After cancelling, the call returns at once; a
            /// request that is under way ends by itself, and the service goes on with what it has accepted.
            ///
            /// ```no_run
            /// # let handle = squarecloud_blocking::Client::from_env()?.app("0123456789abcdef0123456789abcdef");
            /// use std::{ops::ControlFlow, time::Instant};
            /// let started = Instant::now();
            /// let snapshot = handle.snapshot_with(|_| {
            ///     if started.elapsed().as_secs() < 60 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            /// })?;
            /// # Ok::<(), squarecloud_blocking::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`snapshot`](Self::snapshot), and [`Error::WaitCancelled`](crate::Error::WaitCancelled).
            pub fn snapshot_with(
                &self,
                callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
            ) -> Result<Snapshot> {
                self.0.create_snapshot(Some(&callback))
            }

            /// Returns the snapshots, newest first. One request; the service may respond from a cache of up to 30
            /// minutes.
            ///
            /// An item that cannot be decoded is left out; [`listing`](Self::listing) returns it, too.
            ///
            /// # Errors
            /// [`Error::UnexpectedResponse`](crate::Error::UnexpectedResponse) when there are items and none of them
            /// can be decoded, and as [`Client::account`](crate::Client::account).
            pub fn all_snapshots(&self) -> Result<Vec<SnapshotInfo>> {
                Ok(self.listing()?.snapshots)
            }

            /// Returns the snapshots, newest first, and the items that could not be decoded. One request.
            ///
            /// # Errors
            /// As [`all_snapshots`](Self::all_snapshots).
            pub fn listing(&self) -> Result<Listing> {
                Ok(self.0.listing()?.0)
            }

            /// Returns the newest snapshot by `created_at`, or `None` when there is none. One request.
            ///
            /// ```no_run
            /// # let handle = squarecloud_blocking::Client::from_env()?.app("0123456789abcdef0123456789abcdef");
            /// if let Some(latest) = handle.latest_snapshot()? {
            ///     handle.open(&latest)?.download("backups")?;
            /// }
            /// # Ok::<(), squarecloud_blocking::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`all_snapshots`](Self::all_snapshots).
            pub fn latest_snapshot(&self) -> Result<Option<SnapshotInfo>> {
                Ok(self.all_snapshots()?.into_iter().next())
            }

            /// Opens a listed snapshot for downloading. The same as [`Client::open`](crate::Client::open).
            ///
            /// # Errors
            /// As [`Client::open`](crate::Client::open).
            pub fn open(&self, info: &SnapshotInfo) -> Result<Snapshot> {
                self.0.core.open(info)
            }

            /// Restores a listed snapshot: **the present files or data are replaced**. One POST, never repeated; the
            /// service may hold it open for 90 s.
            ///
            /// `Ok` means that the service accepted the restore. It is not documented whether it has also finished;
            /// [`restore_and_wait`](Self::restore_and_wait) makes sure.
            ///
            /// ```no_run
            /// # let handle = squarecloud_blocking::Client::from_env()?.app("0123456789abcdef0123456789abcdef");
            /// if let Some(latest) = handle.latest_snapshot()? {
            ///     handle.restore(&latest)?; // accepted
            /// }
            /// # Ok::<(), squarecloud_blocking::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`Error::Pending`](crate::Error::Pending) when the restore goes on in the background: it is **not**
            /// done; follow it with [`wait_for_restore`](Self::wait_for_restore).
            /// [`Error::Invalid`](crate::Error::Invalid) when the snapshot is of another kind or has no version id.
            /// Otherwise as [`Client::restore_snapshot`](crate::Client::restore_snapshot).
            pub fn restore(&self, info: &SnapshotInfo) -> Result<Response> {
                self.0.restore_listed(info)
            }

            /// Restores a listed snapshot, **which replaces the present files or data**, and waits until the restore has
            /// ended: for at most `at_most`, which includes the request itself, but that is never interrupted. One POST,
            /// never repeated, and one GET every [`poll_interval`](crate::ClientBuilder::poll_interval) (5 s).
            ///
            /// The state of an earlier restore is not taken for that of this one, if the service sends times.
            ///
            /// ```no_run
            /// # let handle = squarecloud_blocking::Client::from_env()?.app("0123456789abcdef0123456789abcdef");
            /// if let Some(latest) = handle.latest_snapshot()? {
            ///     let done = handle.restore_and_wait(&latest, std::time::Duration::from_secs(600))?;
            ///     println!("{done}");
            /// }
            /// # Ok::<(), squarecloud_blocking::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`Error::Pending`](crate::Error::Pending) when the restore is still running after `at_most`, and
            /// [`Error::StatusUnavailable`](crate::Error::StatusUnavailable) when it was accepted, but the service cannot
            /// report whether it has finished. Otherwise as [`restore`](Self::restore) and
            /// [`wait_for_restore`](Self::wait_for_restore).
            pub fn restore_and_wait(&self, info: &SnapshotInfo, at_most: Duration) -> Result<RestoreStatus> {
                self.0.restore_and_wait(info, at_most, None)
            }

            /// Restores a listed snapshot as [`restore_and_wait`](Self::restore_and_wait) does, with a callback that can
            /// cancel the wait, not the restore: see [`snapshot_with`](Self::snapshot_with).
            ///
            /// # Errors
            /// As [`restore_and_wait`](Self::restore_and_wait), and
            /// [`Error::WaitCancelled`](crate::Error::WaitCancelled).
            pub fn restore_and_wait_with(
                &self,
                info: &SnapshotInfo,
                at_most: Duration,
                callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
            ) -> Result<RestoreStatus> {
                self.0.restore_and_wait(info, at_most, Some(&callback))
            }

            /// Returns the state of the last restore. One request.
            ///
            /// # Errors
            /// [`Error::StatusUnavailable`](crate::Error::StatusUnavailable) when the service has no such route, and
            /// as [`Client::account`](crate::Client::account).
            pub fn restore_status(&self) -> Result<RestoreStatus> {
                self.0.restore_status()
            }

            /// Waits until the last restore has ended, for at most `at_most`. One request every
            /// [`poll_interval`](crate::ClientBuilder::poll_interval) (5 s), and less often while the service responds
            /// with HTTP 429.
            ///
            /// Soon after a request, the last restore may still be the previous one;
            /// [`restore_and_wait`](Self::restore_and_wait) tells them apart.
            ///
            /// # Errors
            /// [`Error::RestoreFailed`](crate::Error::RestoreFailed) with the service's code,
            /// [`Error::Pending`](crate::Error::Pending) when it is still running after `at_most`,
            /// [`Error::StatusUnavailable`](crate::Error::StatusUnavailable) when the service reports no restore
            /// within the last hour or does not have this route, and as
            /// [`Client::account`](crate::Client::account).
            pub fn wait_for_restore(&self, at_most: Duration) -> Result<RestoreStatus> {
                self.0.wait_for_restore(at_most, None)
            }

            /// Waits as [`wait_for_restore`](Self::wait_for_restore) does, with a callback that can cancel the wait, not
            /// the restore: see [`snapshot_with`](Self::snapshot_with).
            ///
            /// # Errors
            /// As [`wait_for_restore`](Self::wait_for_restore), and
            /// [`Error::WaitCancelled`](crate::Error::WaitCancelled).
            pub fn wait_for_restore_with(
                &self,
                at_most: Duration,
                callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
            ) -> Result<RestoreStatus> {
                self.0.wait_for_restore(at_most, Some(&callback))
            }

            /// Starts the app or database. One POST, never repeated; the service holds it open for up to 95 s.
            ///
            /// # Errors
            /// [`Error::Api`](crate::Error::Api) with `CONTAINER_ALREADY_STARTED`, `RESTORE_IN_PROGRESS`, ...; a
            /// timeout leaves open whether it was done.
            pub fn start(&self) -> Result<Response> {
                self.0.action("/start")
            }

            /// Stops the app or database. One POST, never repeated; the service holds it open for up to 95 s.
            ///
            /// # Errors
            /// As [`start`](Self::start), with `CONTAINER_ALREADY_STOPPED`.
            pub fn stop(&self) -> Result<Response> {
                self.0.action("/stop")
            }
        }
    };
}

methods_of_both!(App, AppInfo);
methods_of_both!(Database, DatabaseInfo);

impl App {
    /// Restarts the app. One POST, never repeated; the service holds it open for up to 95 s.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&self) -> Result<Response> {
        self.0.action("/restart")
    }

    /// Sends a file into the app: a `.zip` is unpacked into its root, any other file is placed there.
    ///
    /// **A commit is not a restore**: files of the app that are not in the zip most probably stay. To go back to a
    /// snapshot, use [`restore`](Self::restore). One POST that streams the file, after one GET for each client that
    /// checks the key; scope `apps:deploy`, at most 100 MiB, 1 in 5 s for an app.
    ///
    /// ```no_run
    /// # let app = squarecloud_blocking::Client::from_env()?.app("0123456789abcdef0123456789abcdef");
    /// app.commit("new-files.zip")?;
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when the file is too large,
    /// [`Error::Io`](crate::Error::Io) when it cannot be read,
    /// [`Error::Network`](crate::Error::Network) when the service closes the connection before the file was sent,
    /// which it does when it refuses the file, and as [`Client::account`](crate::Client::account).
    pub fn commit(&self, file: impl AsRef<Path>) -> Result<Response> {
        self.commit_with(file, None, |_| ControlFlow::Continue(()))
    }

    /// Sends a file into `directory` of the app, or into its root without one, with a callback that receives the
    /// progress and can cancel the call.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn commit_with(
        &self,
        file: impl AsRef<Path>,
        directory: Option<&str>,
        progress: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
    ) -> Result<Response> {
        self.0.commit(file.as_ref(), directory, Callback::new(progress))
    }
}
