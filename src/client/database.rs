//! A handle to a database.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::api::route::Route;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::types::{DatabaseInfo, Kind, Listing, Response, RestoreStatus, RuntimeStatus, SnapshotInfo};

/// A database: its id and a share of the client. Cheap to clone; it can be stored and sent to a thread.
///
/// No documented route restores a database from a local file: only from one of its snapshots.
///
/// ```no_run
/// let client = squarecloud_blocking::Client::from_env()?;
/// client.database("0123456789abcdef0123456789abcdef").snapshot()?.download("backups")?;
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Database {
    core: Arc<Core>,
    id: String,
}

impl Database {
    pub(super) fn new(core: Arc<Core>, id: String) -> Self {
        Self { core, id }
    }

    /// The id of the database. No request.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the database's name, memory, engine and so on. One request.
    ///
    /// # Errors
    /// [`Error::Api`](crate::Error::Api) with `DATABASE_NOT_FOUND`, and as [`Client::account`](crate::Client::account).
    pub fn info(&self) -> Result<DatabaseInfo> {
        self.core.read(&Route::Info(Kind::Database, &self.id))
    }

    /// Returns the database's state and resource use as formatted text. One request.
    ///
    /// # Errors
    /// As [`Client::account`](crate::Client::account).
    pub fn status(&self) -> Result<RuntimeStatus> {
        self.core.read(&Route::Status { kind: Kind::Database, id: &self.id, raw: false })
    }

    /// Returns the database's state and resource use as plain numbers. One request.
    ///
    /// # Errors
    /// As [`Client::account`](crate::Client::account).
    pub fn raw_status(&self) -> Result<RuntimeStatus> {
        self.core.read(&Route::Status { kind: Kind::Database, id: &self.id, raw: true })
    }

    /// Creates a snapshot and returns it once it can be downloaded. The same as
    /// [`Client::database_snapshot`](crate::Client::database_snapshot).
    ///
    /// # Errors
    /// As [`Client::database_snapshot`](crate::Client::database_snapshot).
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.core.create_snapshot(Kind::Database, &self.id)
    }

    /// Returns the database's snapshots, newest first. One request; the service may respond from a cache of up to 30
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

    /// Returns the database's snapshots, and beside them the items that could not be decoded. One request.
    ///
    /// # Errors
    /// As [`all_snapshots`](Self::all_snapshots).
    pub fn listing(&self) -> Result<Listing> {
        self.core.listing(Kind::Database, &Route::Snapshots(Kind::Database, &self.id))
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

    /// Restores the database to a listed snapshot: **its present data is replaced**. One POST, never repeated; the
    /// service may hold it open for 90 s.
    ///
    /// # Errors
    /// [`Error::Pending`](crate::Error::Pending) when the restore goes on in the background: it is **not**
    /// done; follow it with [`wait_for_restore`](Self::wait_for_restore).
    /// [`Error::Invalid`](crate::Error::Invalid) when the snapshot is of another kind or has no version id.
    pub fn restore(&self, info: &SnapshotInfo) -> Result<Response> {
        self.core.restore_listed(Kind::Database, &self.id, info)
    }

    /// Returns the state of the last restore. One request.
    ///
    /// # Errors
    /// [`Error::StatusUnavailable`](crate::Error::StatusUnavailable) from a service that has no such route, and as
    /// [`Client::account`](crate::Client::account).
    pub fn restore_status(&self) -> Result<RestoreStatus> {
        self.core.restore_status(Kind::Database, &self.id)
    }

    /// Waits until a restore ends, for at most `at_most`. One request every `poll_interval` (5 s).
    ///
    /// # Errors
    /// [`Error::RestoreFailed`](crate::Error::RestoreFailed) with the service's code,
    /// [`Error::Pending`](crate::Error::Pending) when it is still running after `at_most`,
    /// [`Error::StatusUnavailable`](crate::Error::StatusUnavailable) when the service cannot tell.
    pub fn wait_for_restore(&self, at_most: Duration) -> Result<RestoreStatus> {
        self.core.wait_for_restore(Kind::Database, &self.id, at_most)
    }

    /// Starts the database. One POST, never repeated; the service holds it open for up to 95 s.
    ///
    /// # Errors
    /// [`Error::Api`](crate::Error::Api) with `CONTAINER_ALREADY_STARTED`, `RESTORE_IN_PROGRESS`, ...; a timeout
    /// leaves open whether it was done.
    pub fn start(&self) -> Result<Response> {
        self.core.action(&Route::Start(Kind::Database, &self.id))
    }

    /// Stops the database. One POST, never repeated; the service holds it open for up to 95 s.
    ///
    /// # Errors
    /// As [`start`](Self::start), with `CONTAINER_ALREADY_STOPPED`.
    pub fn stop(&self) -> Result<Response> {
        self.core.action(&Route::Stop(Kind::Database, &self.id))
    }
}
