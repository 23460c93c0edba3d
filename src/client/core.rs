//! I/O. What a client and its handles share: one call of the API from route to value, repeated where that is safe.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::api::envelope::RawResponse;
use crate::api::failure::Failure;
use crate::api::http::{ApiAgent, ApiResponse, Payload, Request, SnapshotAgent};
use crate::api::retry::{http_date, retry_after};
use crate::api::route::Route;
use crate::api::settings::Settings;
use crate::error::{Error, Result};
use crate::percent::encode;
use crate::secret::{ApiKey, SignedUrl, split_url};
use crate::snapshot::Snapshot;
use crate::types::{Account, Kind, Listing, Response, SnapshotInfo};

/// The inside of a client.
pub(super) struct Core {
    api: ApiAgent,
    pub(super) files: SnapshotAgent,
    pub(super) key: ApiKey,
    pub(super) settings: Settings,
    /// The account's id, requested once.
    owner: OnceLock<String>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("base_url", &self.settings.base_url).finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(key: ApiKey, settings: Settings) -> Result<Self> {
        let (api, files) = (ApiAgent::new(&settings)?, SnapshotAgent::new(&settings)?);
        Ok(Self { api, files, key, settings, owner: OnceLock::new() })
    }

    /// A GET, repeated where that is safe.
    pub(super) fn get<T>(
        &self,
        route: &Route<'_>,
        read: impl Fn(&RawResponse<'_>) -> Result<T>,
    ) -> Result<T> {
        let path = route.path()?;
        self.repeat(self.settings.limits.total, |left| {
            self.attempt(route, &path, Payload::Nothing, left, &read)
        })
    }

    /// A GET whose `response` is decoded.
    pub(super) fn read<T: DeserializeOwned>(&self, route: &Route<'_>) -> Result<T> {
        self.get(route, |response| response.data(serde_json::from_str))
    }

    /// A POST without a file. It is sent once, whatever happens to it.
    pub(super) fn post<T>(
        &self,
        route: &Route<'_>,
        body: Option<&str>,
        read: impl Fn(&RawResponse<'_>) -> Result<T>,
    ) -> Result<T> {
        let path = route.path()?;
        let payload = body.map_or(Payload::Nothing, |json| Payload::Json(json.as_bytes()));
        self.attempt(route, &path, payload, self.settings.limits.held_open, read).0
    }

    pub(super) fn action(&self, route: &Route<'_>) -> Result<Response> {
        self.post(route, None, |response| response.action())
    }

    /// Repeats `send` as long as the retry policy allows. It is given the time that is left, and also returns whether
    /// the response body broke off.
    pub(super) fn repeat<T>(
        &self,
        total: Duration,
        mut send: impl FnMut(Duration) -> (Result<T>, bool),
    ) -> Result<T> {
        let started = Instant::now();
        let left = || total.saturating_sub(started.elapsed());
        let (mut attempt, mut before) = (0, None);
        loop {
            let (result, broken) = send(left());
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // A timeout says less than the error of the attempt before it.
            if let (Error::Timeout { status: None, .. }, Some(before)) = (&error, before.take()) {
                return Err(before);
            }
            match self.settings.retry.pause(&error, broken, attempt, left(), jitter()) {
                Some(pause) => (self.settings.sleep)(pause),
                None => return Err(error),
            }
            before = Some(error).filter(|error| error.status().is_some());
            attempt += 1;
        }
    }

    /// Sends one request, and also returns whether the response body broke off.
    pub(super) fn attempt<T>(
        &self,
        route: &Route<'_>,
        path: &str,
        payload: Payload<'_>,
        timeout: Duration,
        read: impl Fn(&RawResponse<'_>) -> Result<T>,
    ) -> (Result<T>, bool) {
        let method = route.method();
        let url = format!("{}{path}", self.settings.base_url);
        // Errors show the path alone: a query has no place in their messages.
        let shown = split_url(&url).map_or("", |parts| &url[parts.path..]);
        let shown = shown.split('?').next().unwrap_or_default();
        let total = if method == "GET" { self.settings.limits.total } else { self.settings.limits.held_open };
        let request = Request { method, url: &url, payload, timeout, total };
        let ApiResponse { status, headers, body, broken } = match self.api.send(request, &self.key) {
            Ok(response) => response,
            Err(failure) => return (Err(failure.into_error(method, shown, None)), false),
        };
        if let Some(failure @ Failure::Timeout { .. }) = broken {
            return (Err(failure.into_error(method, shown, Some(status))), false);
        }
        let date = headers.get("date").and_then(http_date);
        let response = RawResponse {
            method,
            path: shown,
            status,
            body: &body,
            date,
            retry_after: headers.get("retry-after").and_then(|value| retry_after(value, date)),
            broken: broken.as_ref().map(ToString::to_string),
            secret: self.key.expose(),
        };
        (read(&response), matches!(broken, Some(Failure::Broken(_))))
    }
}

/// The calls that both the client and its handles make.
impl Core {
    pub(super) fn account(&self) -> Result<Account> {
        let account = self.get(&Route::Account, |response| response.data(Account::decode))?;
        self.owner.get_or_init(|| account.user.id.clone());
        Ok(account)
    }

    pub(super) fn listing(&self, kind: Kind, route: &Route<'_>) -> Result<Listing> {
        self.get(route, |response| response.data(|data| Listing::decode(kind, data)))
    }

    pub(super) fn open(&self, info: &SnapshotInfo) -> Result<Snapshot> {
        let url = match info.url() {
            Some(url) => url.clone(),
            None => self.build_url(info)?,
        };
        let key = if info.key().is_empty() { url.key() } else { info.key().clone() };
        Ok(Snapshot::new(self.files.clone(), url, key, Some(info.clone())))
    }

    /// The link of an item in the older form, which has only the signed query.
    fn build_url(&self, info: &SnapshotInfo) -> Result<SignedUrl> {
        if info.key().is_empty() {
            let reason = "has neither link nor key, so it cannot be downloaded; list the snapshots again";
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

/// A random number in 0..=1.
#[allow(clippy::cast_precision_loss)]
fn jitter() -> f64 {
    random() as f64 / u64::MAX as f64
}

/// A random number from the seed of a hash map, which is good enough for jitter and for a boundary.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
