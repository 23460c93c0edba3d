//! The client: one method a route, each a few lines.

mod builder;
mod call;
mod time;
mod upload;
mod wait;

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::json;

pub use builder::ClientBuilder;

use crate::api::decode::Problem;
use crate::api::envelope::{Outcome, Reply};
use crate::api::json::Value;
use crate::api::route::{Route, encode};
use crate::app::App;
use crate::database::Database;
use crate::error::{Error, ErrorCode, Result};
use crate::secret::SignedUrl;
use crate::snapshot::Snapshot;
use crate::types::{Account, Kind, Listing, Response, RestoreStatus, ServiceStatus, SnapshotInfo, Statuses};

/// A connection to Square Cloud: the one thing to make first.
///
/// Making it sends nothing. Clones share connections and may be used from many threads at once; `Debug` shows
/// no key.
///
/// ```no_run
/// let client = squarecloud_blocking::Client::from_env()?;
/// let snapshot = client.snapshot("0123456789abcdef0123456789abcdef")?;
/// let download = snapshot.download("backups")?;
/// println!("{} bytes in {}", download.bytes, download.path.display());
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<call::Inner>,
}

impl Client {
    /// A client with default settings for an API key.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is empty or could not stand in a header. Nothing is sent.
    ///
    /// ```
    /// assert!(squarecloud_blocking::Client::new("key\nwith a line break").is_err());
    /// ```
    pub fn new(api_key: impl Into<String>) -> Result<Client> {
        Self::builder(api_key).build()
    }

    /// A client from the environment: `SQUARECLOUD_API_KEY`, and `SQUARECLOUD_BASE_URL` when it is set.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is not set, or a value cannot be used. Nothing is sent.
    pub fn from_env() -> Result<Client> {
        let read = |name: &'static str| match std::env::var(name) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(Error::invalid(name, "is no valid Unicode")),
        };
        let key = read("SQUARECLOUD_API_KEY")?.ok_or_else(|| {
            Error::invalid("SQUARECLOUD_API_KEY", "is not set; export your API key under this name")
        })?;
        let builder = Self::builder(key);
        match read("SQUARECLOUD_BASE_URL")? {
            Some(url) => builder.base_url(url).build(),
            None => builder.build(),
        }
    }

    /// A client with settings of your own.
    pub fn builder(api_key: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(api_key.into())
    }

    /// A handle to an app, which may be a composite `<appId>-<workspaceId>`. Sends nothing; a bad id is refused
    /// by the first call that would use it.
    pub fn app(&self, id: impl Into<String>) -> App {
        App::new(self.clone(), id.into())
    }

    /// A handle to a database. Sends nothing; a bad id is refused by the first call that would use it.
    pub fn database(&self, id: impl Into<String>) -> Database {
        Database::new(self.clone(), id.into())
    }

    /// Whose key this is, with their apps and databases. One request; scope `account:read`.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::UnexpectedResponse`], [`Error::Network`], [`Error::Timeout`].
    pub fn account(&self) -> Result<Account> {
        let account = self.read(&Route::Account, Account::read)?;
        self.tell_unreadable(&account.unreadable);
        Ok(account)
    }

    /// How the service itself is doing. One request, which any key may make.
    ///
    /// # Errors
    /// [`Error::UnexpectedResponse`], [`Error::Network`], [`Error::Timeout`].
    pub fn service_status(&self) -> Result<ServiceStatus> {
        self.get(&Route::ServiceStatus, |reply| {
            ServiceStatus::read(&reply.bare()?)
                .map_err(|problem| reply.unexpected(format!("a body that {problem}")))
        })
    }

    /// Which apps run. One request; 15 of them in 60 s are allowed.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn all_app_status(&self, workspace_id: Option<&str>) -> Result<Statuses> {
        self.statuses(&Route::AllStatus { kind: Kind::App, workspace: workspace_id })
    }

    /// Which databases run. One request.
    ///
    /// # Errors
    /// As [`all_app_status`](Self::all_app_status).
    pub fn all_database_status(&self) -> Result<Statuses> {
        self.statuses(&Route::AllStatus { kind: Kind::Database, workspace: None })
    }

    /// Takes a snapshot of an app and gives it once it can be downloaded.
    ///
    /// One POST, never repeated. When the service answers that it is still at it (HTTP 202), the listing is
    /// asked every `poll_interval` until the new snapshot is there, for at most `snapshot_wait`. The limits of
    /// the service are 1 in 5 s, 1 in 180 s for each app, and a daily quota (contract, section 4).
    ///
    /// # Errors
    /// [`Error::Pending`] when the wait was not long enough: the snapshot will appear in the listing, so do not
    /// ask again. [`Error::Timeout`] and [`Error::Network`] after the request was sent leave open whether a
    /// snapshot was begun: look at the listing. [`Error::Api`] with `KEEP_CALM` or
    /// `DAILY_SNAPSHOTS_LIMIT_REACHED` when it is too soon.
    pub fn snapshot(&self, app_id: &str) -> Result<Snapshot> {
        self.create_snapshot(Kind::App, app_id)
    }

    /// The same for a database.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn database_snapshot(&self, database_id: &str) -> Result<Snapshot> {
        self.create_snapshot(Kind::Database, database_id)
    }

    /// The snapshots of an app, newest first. One request; the service may answer from a cache of up to 30
    /// minutes. An item that cannot be read is left out: [`App::listing`] and
    /// [`ClientBuilder::on_unreadable`] tell of it.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn all_app_snapshots(&self, app_id: &str) -> Result<Vec<SnapshotInfo>> {
        Ok(self.list(Kind::App, app_id)?.snapshots)
    }

    /// The same for a database.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn all_database_snapshots(&self, database_id: &str) -> Result<Vec<SnapshotInfo>> {
        Ok(self.list(Kind::Database, database_id)?.snapshots)
    }

    /// The snapshots of all apps, or of all databases, of the account, newest first. One request; needs a paid
    /// plan (else [`Error::Api`] with `UPGRADE_REQUIRED`) and may be asked 3 times in 60 s.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn all_snapshots(&self, kind: Kind) -> Result<Vec<SnapshotInfo>> {
        Ok(self.account_listing(kind)?.snapshots)
    }

    /// The same, with the items that could not be read beside the others.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn account_listing(&self, kind: Kind) -> Result<Listing> {
        self.listing(kind, &Route::AccountSnapshots(kind))
    }

    /// Restores an app or a database to a snapshot: **its present files are replaced**. One POST, never
    /// repeated; the service may hold it open for 90 s.
    ///
    /// # Errors
    /// [`Error::Pending`] when the restore goes on in the background: it is **not** done, and must not be asked
    /// for again; [`App::wait_for_restore`] follows it. [`Error::Api`] with `SNAPSHOT_NOT_FOUND`, `KEEP_CALM`, ...
    pub fn restore_snapshot(
        &self,
        kind: Kind,
        id: &str,
        snapshot_id: &str,
        version_id: &str,
    ) -> Result<Response> {
        if snapshot_id.is_empty() {
            return Err(Error::invalid("the snapshot id", "is empty; take `id` of a listed snapshot"));
        }
        if version_id.is_empty() {
            return Err(Error::invalid("the version id", "is empty; take `version_id` of a listed snapshot"));
        }
        let body = json!({ "snapshotId": snapshot_id, "versionId": version_id }).to_string();
        let sent = self.inner.time.now();
        let outcome = self.post(&Route::Restore(kind, id), Some(&body), |reply| {
            reply.or_pending(&ErrorCode::SNAPSHOT_RESTORE_PROCESSING, |reply| reply.action())
        })?;
        match outcome {
            Outcome::Done(response) => Ok(response),
            Outcome::Pending => Err(Error::Pending {
                what: format!("the restore of {kind} {id}"),
                waited: self.inner.time.now().saturating_sub(sent),
                next: "do not repeat it, follow it with `wait_for_restore`",
            }),
        }
    }

    /// A listed snapshot becomes its bytes. No request when the listing gave the signed link; otherwise one
    /// for the account's id, once a client.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the listing gave neither link nor key; else as [`account`](Self::account).
    pub fn open(&self, info: &SnapshotInfo) -> Result<Snapshot> {
        let url = match info.url() {
            Some(url) => url.clone(),
            None => self.build_url(info)?,
        };
        let key = if info.key().is_empty() { url.key() } else { info.key().clone() };
        Ok(Snapshot::new(self.inner.files.clone(), url, key, Some(info.clone())))
    }

    /// A signed link becomes its bytes, with this client's time limits and proxy. Sends nothing, and the key
    /// never goes there.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the link is none that may be fetched.
    pub fn open_url(&self, url: &str) -> Result<Snapshot> {
        let url = SignedUrl::parse(url)?;
        let key = url.key();
        Ok(Snapshot::new(self.inner.files.clone(), url, key, None))
    }

    /// The link of a listing's older form (contract, section 3).
    fn build_url(&self, info: &SnapshotInfo) -> Result<SignedUrl> {
        if info.key().is_empty() {
            let reason = "came without link and key, so it cannot be fetched; list the snapshots again";
            return Err(Error::invalid("the snapshot", reason));
        }
        let owner: &OnceLock<String> = &self.inner.owner;
        let owner = match owner.get() {
            Some(id) => id.clone(),
            None => {
                let id = self.account()?.user.id;
                owner.get_or_init(|| id).clone()
            }
        };
        SignedUrl::parse(&format!(
            "{}/{}/{}/{}.zip?{}",
            self.inner.snapshot_host,
            info.kind.scope(),
            encode(&owner),
            encode(&info.id),
            info.key().expose()
        ))
    }

    pub(crate) fn list(&self, kind: Kind, id: &str) -> Result<Listing> {
        self.listing(kind, &Route::Snapshots(kind, id))
    }

    fn listing(&self, kind: Kind, route: &Route<'_>) -> Result<Listing> {
        self.read_listing(kind, route).map(|(listing, _)| listing)
    }

    pub(crate) fn restore_status(&self, kind: Kind, id: &str) -> Result<RestoreStatus> {
        let answer = self.read(&Route::RestoreStatus(kind, id), RestoreStatus::read);
        match answer {
            Err(error) if error.code() == Some(&ErrorCode::ROUTE_NOT_FOUND) => {
                Err(Error::StatusUnavailable {
                    what: format!("{kind} {id}"),
                    status: error.status(),
                    reason: "the service does not know this route yet",
                })
            }
            other => other,
        }
    }

    pub(crate) fn act(&self, route: &Route<'_>) -> Result<Response> {
        self.post(route, None, |reply| reply.action())
    }

    /// A GET whose `response` is read by `read`.
    pub(crate) fn read<T>(
        &self,
        route: &Route<'_>,
        read: impl Fn(&Value) -> Result<T, Problem>,
    ) -> Result<T> {
        self.get(route, |reply| read(&reply.data()?).map_err(|problem| explained(&reply, &problem)))
    }

    fn statuses(&self, route: &Route<'_>) -> Result<Statuses> {
        let statuses = self.read(route, Statuses::read)?;
        self.tell_unreadable(&statuses.unreadable);
        Ok(statuses)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.inner.base_url).finish_non_exhaustive()
    }
}

/// Says what is wrong with a `response`.
fn explained(reply: &Reply<'_>, problem: &Problem) -> Error {
    reply.unexpected(format!("a `response` that {problem}"))
}
