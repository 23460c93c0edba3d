//! The client and its handles: one short method per route.

mod awaited;
mod builder;
mod core;
mod handles;
mod mirror;
mod resource;
mod restore;
mod upload;
mod wait;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use builder::ClientBuilder;
pub use handles::{App, Database};

use self::core::Core;
use self::resource::{Resource, check_id};
use crate::api::envelope::RawResponse;
use crate::api::settings::Settings;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::percent::encode_form;
use crate::progress::{Callback, Progress};
use crate::secret::{ApiKey, SignedUrl};
use crate::snapshot::Snapshot;
use crate::snapshot::mirror::Mirror;
use crate::types::{Account, Kind, Listing, Response, ServiceStatus, SnapshotInfo, Statuses, UploadedApp};

/// A client of the Square Cloud API.
///
/// Creating it sends nothing. Clones share connections and may be used from many threads at once; `Debug` does not
/// show the key.
///
/// ```no_run
/// let client = squarecloud_blocking::Client::from_env()?;
/// client.snapshot("0123456789abcdef0123456789abcdef")?.download("backups")?;
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    core: Arc<Core>,
}

impl ClientBuilder {
    /// Returns the client. Sends nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] says which setting cannot be used, and why.
    pub fn build(self) -> Result<Client> {
        Ok(Client { core: Arc::new(Core::new(ApiKey::new(self.api_key)?, self.settings.checked()?)?) })
    }
}

impl Client {
    /// Returns a client with default settings for an API key. Sends nothing.
    ///
    /// ```
    /// assert!(squarecloud_blocking::Client::new("key\nwith a line break").is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is empty or cannot be sent in a header, or when the environment names a
    /// [proxy](ClientBuilder::proxy) that cannot be used.
    pub fn new(api_key: impl Into<String>) -> Result<Client> {
        Self::builder(api_key).build()
    }

    /// Returns a client with the API key in the environment variable `SQUARECLOUD_API_KEY`, and with the base URL in
    /// `SQUARECLOUD_BASE_URL` if that is set. Sends nothing.
    ///
    /// ```no_run
    /// println!("{}", squarecloud_blocking::Client::from_env()?.account()?.user.name);
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is not set or one of the values cannot be used.
    pub fn from_env() -> Result<Client> {
        ClientBuilder::from_env()?.build()
    }

    /// Returns a builder for a client with settings of your own.
    ///
    /// ```
    /// let client = squarecloud_blocking::Client::builder("api key").no_proxy().retries(0).build()?;
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    pub fn builder(api_key: impl Into<String>) -> ClientBuilder {
        ClientBuilder { api_key: api_key.into(), settings: Settings::default() }
    }

    /// Returns a handle to an app. `id` may be a composite `<appId>-<workspaceId>`. Sends nothing; a bad id is refused
    /// by the first call that would use it.
    ///
    /// ```
    /// let app = squarecloud_blocking::Client::new("api key")?.app("0123456789abcdef");
    /// assert_eq!(app.id(), "0123456789abcdef");
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    pub fn app(&self, id: impl Into<String>) -> App {
        App(self.resource(Kind::App, id.into()))
    }

    /// Returns a handle to a database. Sends nothing; a bad id is refused by the first call that would use it.
    ///
    /// ```
    /// let database = squarecloud_blocking::Client::new("api key")?.database("0123456789abcdef");
    /// assert_eq!(database.id(), "0123456789abcdef");
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    pub fn database(&self, id: impl Into<String>) -> Database {
        Database(self.resource(Kind::Database, id.into()))
    }

    /// Returns the account the key belongs to, with its apps and databases. One request; scope `account:read`.
    ///
    /// ```no_run
    /// # let client = squarecloud_blocking::Client::from_env()?;
    /// let account = client.account()?;
    /// println!("{} apps, {} databases", account.applications.len(), account.databases.len());
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::UnexpectedResponse`], [`Error::Network`], [`Error::Timeout`].
    pub fn account(&self) -> Result<Account> {
        self.core.account()
    }

    /// Returns the state of the service itself. One request, which needs no scope.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn service_status(&self) -> Result<ServiceStatus> {
        self.core.get("/service/status", RawResponse::service_status)
    }

    /// Returns which of the account's apps are running, or which of a workspace's when there is a `workspace_id`. One
    /// request; the service allows 15 in 60 s.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the workspace id cannot be one, [`Error::UnexpectedResponse`] when there are items and
    /// none can be decoded, and as [`account`](Self::account).
    pub fn all_app_status(&self, workspace_id: Option<&str>) -> Result<Statuses> {
        let Some(id) = workspace_id else { return self.statuses("/apps/status") };
        check_id("the workspace id", id)?;
        self.statuses(&format!("/apps/status?workspaceId={}", encode_form(id)))
    }

    /// Returns which databases are running. One request.
    ///
    /// # Errors
    /// As [`all_app_status`](Self::all_app_status).
    pub fn all_database_status(&self) -> Result<Statuses> {
        self.statuses("/databases/status")
    }

    /// Creates a snapshot of an app and returns it once it can be downloaded: [`App::snapshot`].
    ///
    /// ```no_run
    /// # let client = squarecloud_blocking::Client::from_env()?;
    /// let download = client.snapshot("0123456789abcdef0123456789abcdef")?.download("backups")?;
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`App::snapshot`].
    pub fn snapshot(&self, app_id: &str) -> Result<Snapshot> {
        self.app(app_id).snapshot()
    }

    /// Creates a snapshot of a database and returns it once it can be downloaded: [`Database::snapshot`].
    ///
    /// # Errors
    /// As [`Database::snapshot`].
    pub fn database_snapshot(&self, database_id: &str) -> Result<Snapshot> {
        self.database(database_id).snapshot()
    }

    /// Creates a snapshot of an app, with a callback that can cancel the wait: [`App::snapshot_with`].
    ///
    /// # Errors
    /// As [`App::snapshot_with`].
    pub fn snapshot_with(
        &self,
        app_id: &str,
        callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
    ) -> Result<Snapshot> {
        self.app(app_id).snapshot_with(callback)
    }

    /// Creates a snapshot of a database, with a callback that can cancel the wait: [`Database::snapshot_with`].
    ///
    /// # Errors
    /// As [`Database::snapshot_with`].
    pub fn database_snapshot_with(
        &self,
        database_id: &str,
        callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
    ) -> Result<Snapshot> {
        self.database(database_id).snapshot_with(callback)
    }

    /// Returns the snapshots of an app, newest first: [`App::all_snapshots`].
    ///
    /// # Errors
    /// As [`App::all_snapshots`].
    pub fn all_app_snapshots(&self, app_id: &str) -> Result<Vec<SnapshotInfo>> {
        self.app(app_id).all_snapshots()
    }

    /// Returns the snapshots of a database, newest first: [`Database::all_snapshots`].
    ///
    /// # Errors
    /// As [`Database::all_snapshots`].
    pub fn all_database_snapshots(&self, database_id: &str) -> Result<Vec<SnapshotInfo>> {
        self.database(database_id).all_snapshots()
    }

    /// Returns the snapshots of all the account's apps, or of all its databases, newest first. One request; the service
    /// allows 3 in 60 s and only on a paid plan.
    ///
    /// ```no_run
    /// # let client = squarecloud_blocking::Client::from_env()?;
    /// for info in client.all_snapshots(squarecloud_blocking::Kind::App)? {
    ///     println!("{info}, until {}", info.expires_at().date());
    /// }
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`all_app_snapshots`](Self::all_app_snapshots), and [`Error::Api`] with `UPGRADE_REQUIRED`.
    pub fn all_snapshots(&self, kind: Kind) -> Result<Vec<SnapshotInfo>> {
        Ok(self.listing(kind)?.snapshots)
    }

    /// Returns the account's snapshots, newest first, and the items that could not be decoded. One request.
    ///
    /// # Errors
    /// As [`all_snapshots`](Self::all_snapshots).
    pub fn listing(&self, kind: Kind) -> Result<Listing> {
        Ok(self.core.listing(kind, None)?.0)
    }

    /// Restores a snapshot of an app or a database: **the present files or data are replaced**. One POST, never
    /// repeated; the service may hold it open for 90 s.
    ///
    /// `Ok` means that the service accepted the restore, and not necessarily that it is finished: see [`App::restore`].
    ///
    /// # Errors
    /// [`Error::Pending`] when the restore goes on in the background: it is **not** done, and must not be requested
    /// again; [`App::wait_for_restore`] follows it. [`Error::Api`] with `SNAPSHOT_NOT_FOUND`, `KEEP_CALM`, ...
    /// [`Error::Invalid`] when an id is empty.
    pub fn restore_snapshot(&self, kind: Kind, id: &str, snapshot_id: &str, version_id: &str) -> Result<Response> {
        self.resource(kind, id.into()).restore(snapshot_id, version_id)
    }

    /// Opens a listed snapshot for downloading. No request when the listing contains the signed link; otherwise one for
    /// the account's id, once for each client.
    ///
    /// ```no_run
    /// # let client = squarecloud_blocking::Client::from_env()?;
    /// if let Some(oldest) = client.all_app_snapshots("0123456789abcdef0123456789abcdef")?.last() {
    ///     client.open(oldest)?.download("backups")?;
    /// }
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when the listing contains neither a link nor a key; otherwise as [`account`](Self::account).
    pub fn open(&self, info: &SnapshotInfo) -> Result<Snapshot> {
        self.core.open(info)
    }

    /// Opens a signed link for downloading, with this client's time limits and proxy. Sends nothing; the API key is
    /// never sent there.
    ///
    /// ```
    /// # let client = squarecloud_blocking::Client::new("api key")?;
    /// let snapshot = client.open_url("https://snapshots.squarecloud.app/applications/1/app.zip?versionId=v1")?;
    /// assert_eq!(snapshot.file_name(), "app.v1.zip");
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not a signed link: see [`SignedUrl::parse`].
    pub fn open_url(&self, url: &str) -> Result<Snapshot> {
        let url = SignedUrl::parse(url)?;
        let key = url.key();
        Ok(Snapshot::new(self.core.files.clone(), url, key, None))
    }

    /// Creates a **new** app from a local zip: the way to rehearse a restore without touching the original app.
    ///
    /// One POST that streams the file in constant memory, after one GET for each client that checks the key; scope
    /// `apps:write`. The zip may have at most 100 MiB and needs a `squarecloud.app` or `squarecloud.config` file in
    /// its root, which is checked before anything is sent (with the `zip` feature); the plan needs 256 MB of free
    /// memory. A database cannot be made or restored from a file.
    ///
    /// ```no_run
    /// # let client = squarecloud_blocking::Client::from_env()?;
    /// println!("{}", client.upload("app.zip")?.id);
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file is too large or not such a zip, [`Error::Io`] when it cannot be read,
    /// [`Error::Api`] with `INSUFFICIENT_MEMORY`, `FILE_TOO_LARGE`, ..., and [`Error::Network`] when the service
    /// closes the connection before the file was sent, which it does when it refuses the file.
    pub fn upload(&self, zip: impl AsRef<Path>) -> Result<UploadedApp> {
        self.upload_with(zip, |_| ControlFlow::Continue(()))
    }

    /// Creates a new app from a local zip, with a callback that is given the progress and can cancel the call.
    ///
    /// # Errors
    /// As [`upload`](Self::upload), and [`Error::Cancelled`].
    pub fn upload_with(
        &self,
        zip: impl AsRef<Path>,
        progress: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
    ) -> Result<UploadedApp> {
        self.core.upload(zip.as_ref(), Callback::new(progress))
    }

    /// Returns a mirror of the account's snapshots in `dir`, which keeps them for longer than the service's 30 days. Sends and
    /// writes nothing; [`Mirror::run`] does.
    ///
    /// ```no_run
    /// # let client = squarecloud_blocking::Client::from_env()?;
    /// println!("{}", client.mirror("backups").run()?);
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    pub fn mirror(&self, dir: impl Into<PathBuf>) -> Mirror {
        Mirror::new(Arc::new(self.clone()), dir.into())
    }

    fn resource(&self, kind: Kind, id: String) -> Resource {
        Resource { core: self.core.clone(), kind, id }
    }

    fn statuses(&self, path: &str) -> Result<Statuses> {
        self.core.get(path, |response| response.data(Statuses::decode))
    }
}
