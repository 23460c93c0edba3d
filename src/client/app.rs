//! A handle to an app.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::api::route::Route;
use crate::error::Result;
use crate::progress::Progress;
use crate::snapshot::Snapshot;
use crate::types::{AppInfo, Kind, Listing, Response, RestoreStatus, RuntimeStatus, SnapshotInfo};

/// An app: its id and a share of the client. Cheap to clone; it can be stored and sent to a thread.
///
/// ```no_run
/// let client = squarecloud_blocking::Client::from_env()?;
/// let app = client.app("0123456789abcdef0123456789abcdef");
/// if let Some(latest) = app.latest_snapshot()? {
///     println!("{} from {}", latest.id, latest.created_at);
/// }
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct App {
    core: Arc<Core>,
    id: String,
}

impl App {
    pub(super) fn new(core: Arc<Core>, id: String) -> Self {
        Self { core, id }
    }

    /// The id of the app. No request.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the app's name, memory, language and so on. One request; scope `apps:read`.
    ///
    /// # Errors
    /// [`Error::Api`](crate::Error::Api) with `APP_NOT_FOUND`, and as [`Client::account`](crate::Client::account).
    pub fn info(&self) -> Result<AppInfo> {
        self.core.read(&Route::Info(Kind::App, &self.id))
    }

    /// Returns the app's state and resource use as formatted text. One request.
    ///
    /// # Errors
    /// As [`Client::account`](crate::Client::account).
    pub fn status(&self) -> Result<RuntimeStatus> {
        self.core.read(&Route::Status { kind: Kind::App, id: &self.id, raw: false })
    }

    /// Returns the app's state and resource use as plain numbers. One request.
    ///
    /// # Errors
    /// As [`Client::account`](crate::Client::account).
    pub fn raw_status(&self) -> Result<RuntimeStatus> {
        self.core.read(&Route::Status { kind: Kind::App, id: &self.id, raw: true })
    }

    /// Creates a snapshot and returns it once it can be downloaded. The same as
    /// [`Client::snapshot`](crate::Client::snapshot).
    ///
    /// # Errors
    /// As [`Client::snapshot`](crate::Client::snapshot).
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.core.create_snapshot(Kind::App, &self.id)
    }

    /// Returns the app's snapshots, newest first. One request; the service may respond from a cache of up to 30
    /// minutes.
    ///
    /// An item that cannot be decoded is left out: [`listing`](Self::listing) returns it, too.
    ///
    /// # Errors
    /// [`Error::UnexpectedResponse`](crate::Error::UnexpectedResponse) when there are items and none can be decoded,
    /// and as [`Client::account`](crate::Client::account).
    pub fn all_snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        Ok(self.listing()?.snapshots)
    }

    /// Returns the app's snapshots, and beside them the items that could not be decoded. One request.
    ///
    /// # Errors
    /// As [`all_snapshots`](Self::all_snapshots).
    pub fn listing(&self) -> Result<Listing> {
        self.core.listing(Kind::App, &Route::Snapshots(Kind::App, &self.id))
    }

    /// Returns the newest snapshot by `created_at`, or `None` when there is none. One request.
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
        self.core.open(info)
    }

    /// Restores the app to a listed snapshot: **its present files are replaced**. One POST, never repeated; the
    /// service may hold it open for 90 s.
    ///
    /// # Errors
    /// [`Error::Pending`](crate::Error::Pending) when the restore goes on in the background: it is **not**
    /// done; follow it with [`wait_for_restore`](Self::wait_for_restore).
    /// [`Error::Invalid`](crate::Error::Invalid) when the snapshot is of another kind or has no version id.
    pub fn restore(&self, info: &SnapshotInfo) -> Result<Response> {
        self.core.restore_listed(Kind::App, &self.id, info)
    }

    /// Returns the state of the last restore. One request.
    ///
    /// # Errors
    /// [`Error::StatusUnavailable`](crate::Error::StatusUnavailable) from a service that has no such route, and as
    /// [`Client::account`](crate::Client::account).
    pub fn restore_status(&self) -> Result<RestoreStatus> {
        self.core.restore_status(Kind::App, &self.id)
    }

    /// Waits until a restore ends, for at most `at_most`. One request every `poll_interval` (5 s).
    ///
    /// # Errors
    /// [`Error::RestoreFailed`](crate::Error::RestoreFailed) with the service's code,
    /// [`Error::Pending`](crate::Error::Pending) when it is still running after `at_most`,
    /// [`Error::StatusUnavailable`](crate::Error::StatusUnavailable) when the service cannot tell.
    pub fn wait_for_restore(&self, at_most: Duration) -> Result<RestoreStatus> {
        self.core.wait_for_restore(Kind::App, &self.id, at_most)
    }

    /// Starts the app. One POST, never repeated; the service holds it open for up to 95 s.
    ///
    /// # Errors
    /// [`Error::Api`](crate::Error::Api) with `CONTAINER_ALREADY_STARTED`, `RESTORE_IN_PROGRESS`, ...; a timeout
    /// leaves open whether it was done.
    pub fn start(&self) -> Result<Response> {
        self.core.action(&Route::Start(Kind::App, &self.id))
    }

    /// Stops the app. One POST, never repeated; the service holds it open for up to 95 s.
    ///
    /// # Errors
    /// As [`start`](Self::start), with `CONTAINER_ALREADY_STOPPED`.
    pub fn stop(&self) -> Result<Response> {
        self.core.action(&Route::Stop(Kind::App, &self.id))
    }

    /// Restarts the app. One POST, never repeated; the service holds it open for up to 95 s.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&self) -> Result<Response> {
        self.core.action(&Route::Restart(&self.id))
    }

    /// Sends a file into the app: a `.zip` is unpacked into its root, any other file is placed there.
    ///
    /// **A commit is no restore**: files of the app that are not in the zip most probably stay. To go back to a
    /// snapshot use [`restore`](Self::restore). One POST that streams the file, after one GET for each client that
    /// checks the key; scope `apps:deploy`, at most 100 MiB, 1 in 5 s for an app.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when the file is too large,
    /// [`Error::Io`](crate::Error::Io) when it cannot be read,
    /// [`Error::Network`](crate::Error::Network) when the service closes the connection before the file was sent,
    /// which it does when it refuses the file, and as [`Client::account`](crate::Client::account).
    pub fn commit(&self, file: impl AsRef<Path>) -> Result<Response> {
        self.commit_with(file, None, |_| ControlFlow::Continue(()))
    }

    /// Sends a file into a directory of the app, with a callback that gets the progress and can cancel.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn commit_with(
        &self,
        file: impl AsRef<Path>,
        directory: Option<&str>,
        progress: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
    ) -> Result<Response> {
        self.core.commit(&self.id, file.as_ref(), directory, Arc::new(progress))
    }
}
