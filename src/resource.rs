//! What apps and databases have in common.

use crate::api::decode::Problem;
use crate::api::json::Value;
use crate::api::route::Route;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::types::{Kind, Response, RuntimeStatus, SnapshotInfo};

/// An id, its kind, and the client to ask with.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) client: Client,
    pub(crate) kind: Kind,
    pub(crate) id: String,
}

impl Resource {
    pub(crate) fn read<T>(
        &self,
        route: &Route<'_>,
        read: impl Fn(&Value) -> Result<T, Problem>,
    ) -> Result<T> {
        self.client.read(route, read)
    }

    pub(crate) fn status(&self, raw: bool) -> Result<RuntimeStatus> {
        self.read(&Route::Status { kind: self.kind, id: &self.id, raw }, RuntimeStatus::read)
    }

    /// Restores to a listed snapshot, after the checks that need no request.
    pub(crate) fn restore(&self, info: &SnapshotInfo) -> Result<Response> {
        if info.kind != self.kind {
            let reason =
                format!("is of kind {} and cannot be restored into the {} {}", info.kind, self.kind, self.id);
            return Err(Error::invalid("the snapshot", reason));
        }
        let version = info.version_id.as_deref().ok_or_else(|| {
            Error::invalid(
                "the snapshot",
                "has no version id, which a restore needs; list the snapshots again",
            )
        })?;
        self.client.restore_snapshot(self.kind, &self.id, &info.id, version)
    }
}

/// The methods of both handles, so that one text serves both.
macro_rules! shared_methods {
    ($handle:ident, $word:literal) => {
        impl $handle {
            #[doc = concat!("The id of the ", $word, ". No request.")]
            pub fn id(&self) -> &str {
                &self.resource.id
            }

            #[doc = concat!("How the ", $word, " is doing, as formatted text. One request.")]
            ///
            /// # Errors
            /// As [`Client::account`].
            pub fn status(&self) -> Result<RuntimeStatus> {
                self.resource.status(false)
            }

            #[doc = concat!("How the ", $word, " is doing, in bare numbers. One request.")]
            ///
            /// # Errors
            /// As [`Client::account`].
            pub fn raw_status(&self) -> Result<RuntimeStatus> {
                self.resource.status(true)
            }

            /// Takes a snapshot and gives it once it can be downloaded.
            ///
            /// # Errors
            /// As [`Client::snapshot`].
            pub fn snapshot(&self) -> Result<Snapshot> {
                self.resource.client.create_snapshot(self.resource.kind, self.id())
            }

            /// The snapshots, newest first. One request; the service may answer from a cache of up to 30 minutes.
            /// An item that cannot be read is left out: [`listing`](Self::listing) tells of it.
            ///
            /// # Errors
            /// As [`Client::account`].
            pub fn all_snapshots(&self) -> Result<Vec<SnapshotInfo>> {
                Ok(self.listing()?.snapshots)
            }

            /// The same, with the items that could not be read beside the others.
            ///
            /// # Errors
            /// As [`Client::account`].
            pub fn listing(&self) -> Result<Listing> {
                self.resource.client.list(self.resource.kind, self.id())
            }

            /// The newest snapshot by `created_at`, or `None` when there is none. One request.
            ///
            /// # Errors
            /// As [`Client::account`].
            pub fn latest_snapshot(&self) -> Result<Option<SnapshotInfo>> {
                Ok(self.listing()?.into_iter().next())
            }

            #[doc = concat!("Restores the ", $word, " to a listed snapshot: **its present files are replaced**.")]
            /// One POST, never repeated; the service may hold it open for 90 s.
            ///
            /// # Errors
            /// [`Error::Pending`](crate::Error::Pending) when the restore goes on in the background: it is **not**
            /// done; follow it with [`wait_for_restore`](Self::wait_for_restore).
            /// [`Error::Invalid`](crate::Error::Invalid) when the snapshot is of another kind or has no version id.
            pub fn restore(&self, info: &SnapshotInfo) -> Result<Response> {
                self.resource.restore(info)
            }

            /// How the last restore stands. One request.
            ///
            /// # Errors
            /// [`Error::StatusUnavailable`](crate::Error::StatusUnavailable) from a service that has no such
            /// route, and as [`Client::account`].
            pub fn restore_status(&self) -> Result<RestoreStatus> {
                self.resource.client.restore_status(self.resource.kind, self.id())
            }

            /// Follows a restore until it ends, for at most `at_most`. One request every `poll_interval` (5 s).
            ///
            /// # Errors
            /// [`Error::RestoreFailed`](crate::Error::RestoreFailed) with the service's code,
            /// [`Error::Pending`](crate::Error::Pending) when it is still running after `at_most`,
            /// [`Error::StatusUnavailable`](crate::Error::StatusUnavailable) when the service cannot tell.
            pub fn wait_for_restore(&self, at_most: Duration) -> Result<RestoreStatus> {
                self.resource.client.wait_for_restore(self.resource.kind, self.id(), at_most)
            }

            #[doc = concat!("Starts the ", $word, ". One POST, never repeated; held open for up to 95 s.")]
            ///
            /// # Errors
            /// [`Error::Api`](crate::Error::Api) with `CONTAINER_ALREADY_STARTED`, `CONTAINER_ALREADY_STOPPED`,
            /// `RESTORE_IN_PROGRESS`, ...; a timeout leaves open whether it was done.
            pub fn start(&self) -> Result<Response> {
                self.resource.client.act(&Route::Start(self.resource.kind, self.id()))
            }

            #[doc = concat!("Stops the ", $word, ". One POST, never repeated; held open for up to 95 s.")]
            ///
            /// # Errors
            /// As [`start`](Self::start).
            pub fn stop(&self) -> Result<Response> {
                self.resource.client.act(&Route::Stop(self.resource.kind, self.id()))
            }
        }
    };
}

pub(crate) use shared_methods;
