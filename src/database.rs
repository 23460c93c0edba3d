//! A handle to a database.

use std::time::Duration;

use crate::api::route::Route;
use crate::client::Client;
use crate::error::Result;
use crate::resource::Resource;
use crate::snapshot::Snapshot;
use crate::types::{DatabaseInfo, Kind, Listing, Response, RestoreStatus, RuntimeStatus, SnapshotInfo};

/// A database: its id and a clone of the client. Cheap to clone, and can be stored and sent to a thread.
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
    resource: Resource,
}

impl Database {
    pub(crate) fn new(client: Client, id: String) -> Self {
        Self { resource: Resource { client, kind: Kind::Database, id } }
    }

    /// What the database is. One request.
    ///
    /// # Errors
    /// [`Error::Api`](crate::Error::Api) with `DATABASE_NOT_FOUND`, and as [`Client::account`].
    pub fn info(&self) -> Result<DatabaseInfo> {
        self.resource.read(&Route::Info(Kind::Database, self.id()), DatabaseInfo::read)
    }
}

crate::resource::shared_methods!(Database, "database");
