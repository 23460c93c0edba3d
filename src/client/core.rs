//! I/O. What a client and its handles share: one call of the API from route to value, repeated where that is safe.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::api::envelope::RawResponse;
use crate::api::http::{ApiAgent, Payload, Request, SnapshotAgent};
use crate::api::retry::{jitter, pause};
use crate::api::settings::Settings;
use crate::error::{Error, Result};
use crate::percent::encode;
use crate::secret::{ApiKey, SignedUrl};
use crate::snapshot::Snapshot;
use crate::types::{Account, Kind, Listing, SnapshotInfo};

/// The inside of a client.
pub(super) struct Core {
    pub(super) api: ApiAgent,
    pub(super) files: SnapshotAgent,
    pub(super) settings: Settings,
    /// The account's id, once it is known.
    owner: OnceLock<String>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("base_url", &self.settings.base_url).finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(key: ApiKey, settings: Settings) -> Result<Self> {
        let (api, files) = (ApiAgent::new(key, &settings)?, SnapshotAgent::new(&settings)?);
        Ok(Self { api, files, settings, owner: OnceLock::new() })
    }

    /// Sends a GET, repeats it where that is safe, and returns what `read` makes of the response.
    pub(super) fn get<T>(&self, path: &str, read: impl Fn(&RawResponse) -> Result<T>) -> Result<T> {
        self.repeat(self.settings.limits.total, |timeout| read(&self.get_once(path, timeout)?))
    }

    /// Sends a GET once.
    pub(super) fn get_once(&self, path: &str, timeout: Duration) -> Result<RawResponse> {
        self.api.send(Request { method: "GET", path, payload: Payload::Nothing, timeout })
    }

    /// Sends a GET and decodes the `response` of its envelope.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.get(path, |response| response.data(serde_json::from_str))
    }

    /// Sends a POST once, whatever happens to it.
    pub(super) fn post(&self, path: &str, payload: Payload<'_>) -> Result<RawResponse> {
        let timeout = self.settings.limits.held_open;
        self.api.send(Request { method: "POST", path, payload, timeout })
    }

    /// Repeats `send`, which is given the time that is left, as long as the retry policy allows.
    pub(super) fn repeat<T>(&self, total: Duration, mut send: impl FnMut(Duration) -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let left = || total.saturating_sub(started.elapsed());
        let (mut attempt, mut before) = (0, None);
        loop {
            let error = match send(left()) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // A timeout says less than the error of the attempt before it.
            if let (Error::Timeout { status: None, .. }, Some(before)) = (&error, before.take()) {
                return Err(before);
            }
            match pause(&error, attempt, left(), jitter()) {
                Some(pause) if attempt < self.settings.retries => (self.settings.sleep)(pause),
                _ => return Err(error),
            }
            before = Some(error).filter(|error| error.status().is_some());
            attempt += 1;
        }
    }
}

/// The calls that both the client and its handles make.
impl Core {
    pub(super) fn account(&self) -> Result<Account> {
        let account = self.get("/users/me", |response| response.data(Account::decode))?;
        self.owner.get_or_init(|| account.user.id.clone());
        Ok(account)
    }

    /// The account's listing, or that of one app or database at `path`, and when the service sent it.
    pub(super) fn listing(&self, kind: Kind, path: Option<&str>) -> Result<(Listing, Option<OffsetDateTime>)> {
        let all = format!("/users/snapshots?scope={}", kind.scope());
        self.get(path.unwrap_or(&all), |response| {
            Ok((response.data(|data| Listing::decode(kind, data))?, response.date))
        })
    }

    pub(super) fn open(&self, info: &SnapshotInfo) -> Result<Snapshot> {
        let url = match info.url() {
            Some(url) => url.clone(),
            None => self.build_url(info)?,
        };
        Ok(Snapshot::new(self.files.clone(), url, info.key().clone(), Some(info.clone())))
    }

    /// The link of an item in the older form, which has only the signed query.
    fn build_url(&self, info: &SnapshotInfo) -> Result<SignedUrl> {
        if info.key().is_empty() {
            let reason = "has neither a link nor a key, so it cannot be downloaded; list the snapshots again";
            return Err(Error::invalid("the snapshot", reason));
        }
        let (host, folder, key) = (&self.settings.snapshot_host, info.kind.scope(), info.key().expose());
        let owner = encode(&self.owner()?);
        SignedUrl::parse(&format!("{host}/{folder}/{owner}/{}.zip?{key}", encode(&info.id)))
    }

    /// The account's id. One request, once for each client.
    pub(super) fn owner(&self) -> Result<String> {
        match self.owner.get() {
            Some(id) => Ok(id.clone()),
            None => Ok(self.account()?.user.id),
        }
    }
}
