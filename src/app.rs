//! A handle to an app.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::api::route::Route;
use crate::client::Client;
use crate::error::Result;
use crate::progress::Progress;
use crate::resource::Resource;
use crate::snapshot::Snapshot;
use crate::types::{AppInfo, Kind, Listing, Response, RestoreStatus, RuntimeStatus, SnapshotInfo};

/// An app: its id and a clone of the client. Cheap to clone, and can be stored and sent to a thread.
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
    resource: Resource,
}

impl App {
    pub(crate) fn new(client: Client, id: String) -> Self {
        Self { resource: Resource { client, kind: Kind::App, id } }
    }

    /// What the app is. One request; scope `apps:read`.
    ///
    /// # Errors
    /// [`Error::Api`](crate::Error::Api) with `APP_NOT_FOUND`, and as [`Client::account`].
    pub fn info(&self) -> Result<AppInfo> {
        self.resource.read(&Route::Info(Kind::App, self.id()), AppInfo::read)
    }

    /// Restarts the app. One POST, never repeated; held open for up to 95 s.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&self) -> Result<Response> {
        self.resource.client.act(&Route::Restart(self.id()))
    }

    /// Sends a file into the app: a `.zip` is unpacked into its root, any other file is placed there.
    ///
    /// **A commit is no restore**: files of the app that are not in the zip most probably stay. To go back to a
    /// snapshot use [`restore`](Self::restore). One POST that streams the file; scope `apps:deploy`, at most 100
    /// MiB, 1 in 5 s for an app.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when the file is too large,
    /// [`Error::Io`](crate::Error::Io) when it cannot be read, and as [`Client::account`].
    pub fn commit(&self, file: impl AsRef<Path>) -> Result<Response> {
        self.commit_with(file, None, |_| ControlFlow::Continue(()))
    }

    /// The same into a directory of the app, with a callback that sees the progress and can cancel.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn commit_with(
        &self,
        file: impl AsRef<Path>,
        directory: Option<&str>,
        progress: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
    ) -> Result<Response> {
        self.resource.client.commit(self.id(), file.as_ref(), directory, Arc::new(progress))
    }
}

crate::resource::shared_methods!(App, "app");
