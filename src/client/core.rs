//! I/O. What a client and its handles share: one call of the API from route to value, repeated where that is safe.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::envelope::{Outcome, RawResponse};
use crate::api::failure::Failure;
use crate::api::http::{ApiAgent, ApiResponse, Payload, Request, SnapshotAgent};
use crate::api::retry::{RetryPolicy, http_date, retry_after};
use crate::api::route::Route;
use crate::api::settings::Limits;
use crate::error::{Error, ErrorCode, Result};
use crate::percent::encode;
use crate::secret::{ApiKey, SignedUrl};
use crate::snapshot::Snapshot;
use crate::types::{Account, Kind, Listing, Response, RestoreStatus, SnapshotInfo};

/// What pauses a thread.
pub(super) type Sleep = Arc<dyn Fn(Duration) + Send + Sync>;

/// The inside of a client.
pub(crate) struct Core {
    pub(super) api: ApiAgent,
    pub(super) files: SnapshotAgent,
    pub(super) key: ApiKey,
    pub(super) base_url: String,
    /// The base URL's own path: errors show whole paths.
    pub(super) base_path: String,
    pub(super) snapshot_host: String,
    pub(super) limits: Limits,
    pub(super) retry: RetryPolicy,
    pub(super) snapshot_wait: Duration,
    pub(super) poll_interval: Option<Duration>,
    pub(super) sleep: Sleep,
    /// The account's id, requested once.
    pub(super) owner: OnceLock<String>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Even an attempt that is squeezed in at the end gets a moment.
const SHORTEST: Duration = Duration::from_millis(1);

/// The time since a call began. A sleep of a test, which returns at once, counts at its full length.
pub(super) struct Stopwatch {
    started: Instant,
    slept: Duration,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), slept: Duration::ZERO }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed().max(self.slept)
    }
}

impl Core {
    pub(super) fn pause(&self, watch: &mut Stopwatch, pause: Duration) {
        (self.sleep)(pause);
        watch.slept = watch.slept.saturating_add(pause);
    }

    /// A GET, repeated where that is safe.
    pub(super) fn get<T>(
        &self,
        route: &Route<'_>,
        read: impl Fn(&RawResponse<'_>) -> Result<T>,
    ) -> Result<T> {
        let path = route.path()?;
        self.repeat(self.limits.total, |left| self.attempt(route, &path, Payload::Nothing, left, &read))
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
        self.attempt(route, &path, payload, self.limits.held_open, read).0
    }

    pub(super) fn action(&self, route: &Route<'_>) -> Result<Response> {
        self.post(route, None, |response| response.action())
    }

    /// Repeats `send` as long as the retry policy allows. It gets the time that is left, and returns
    /// also whether the response body broke off.
    pub(super) fn repeat<T>(
        &self,
        total: Duration,
        mut send: impl FnMut(Duration) -> (Result<T>, bool),
    ) -> Result<T> {
        let mut watch = Stopwatch::start();
        let (mut attempt, mut before) = (0, None);
        loop {
            let (result, broken) = send(total.saturating_sub(watch.elapsed()).max(SHORTEST));
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // That time ran out says less than what happened before.
            if let (Error::Timeout { status: None, .. }, Some(before)) = (&error, before.take()) {
                return Err(before);
            }
            let left = total.saturating_sub(watch.elapsed());
            match self.retry.pause(&error, broken, attempt, left, jitter()) {
                Some(pause) => self.pause(&mut watch, pause),
                None => return Err(error),
            }
            before = Some(error).filter(|error| error.status().is_some());
            attempt += 1;
        }
    }

    /// Sends one request, and says also whether the response body broke off.
    pub(super) fn attempt<T>(
        &self,
        route: &Route<'_>,
        path: &str,
        payload: Payload<'_>,
        timeout: Duration,
        read: impl Fn(&RawResponse<'_>) -> Result<T>,
    ) -> (Result<T>, bool) {
        let method = route.method();
        let url = format!("{}{path}", self.base_url);
        // The path alone: a query has no place in an error message.
        let shown = format!("{}{}", self.base_path, path.split('?').next().unwrap_or_default());
        let total = if method == "GET" { self.limits.total } else { self.limits.held_open };
        let request = Request { method, url: &url, payload, timeout, total };
        let ApiResponse { status, headers, body, broken } = match self.api.send(request, &self.key) {
            Ok(response) => response,
            Err(failure) => return (Err(failure.into_error(method, &shown, None)), false),
        };
        if let Some(failure @ Failure::Timeout { .. }) = broken {
            return (Err(failure.into_error(method, &shown, Some(status))), false);
        }
        let date = headers.get("date").and_then(http_date);
        let response = RawResponse {
            method,
            path: &shown,
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

    pub(super) fn restore(
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
        let sent = Instant::now();
        let outcome = self.post(&Route::Restore(kind, id), Some(&body), |response| {
            response.or_pending(&ErrorCode::SNAPSHOT_RESTORE_PROCESSING, RawResponse::action)
        })?;
        match outcome {
            Outcome::Done(response) => Ok(response),
            Outcome::Pending => Err(Error::Pending {
                what: format!("the restore of {kind} {id}"),
                waited: sent.elapsed(),
                next: "do not repeat it, follow it with `wait_for_restore`",
            }),
        }
    }

    /// Restores to a listed snapshot, after the checks that need no request.
    pub(super) fn restore_listed(&self, kind: Kind, id: &str, info: &SnapshotInfo) -> Result<Response> {
        if info.kind != kind {
            let reason = format!("is of kind {} and cannot be restored into the {kind} {id}", info.kind);
            return Err(Error::invalid("the snapshot", reason));
        }
        let reason = "has no version id, which a restore needs; list the snapshots again";
        let version = info.version_id.as_deref().ok_or_else(|| Error::invalid("the snapshot", reason))?;
        self.restore(kind, id, &info.id, version)
    }

    pub(super) fn restore_status(&self, kind: Kind, id: &str) -> Result<RestoreStatus> {
        self.read(&Route::RestoreStatus(kind, id)).map_err(|error| match error.code() {
            Some(code) if *code == ErrorCode::ROUTE_NOT_FOUND => Error::StatusUnavailable {
                what: format!("{kind} {id}"),
                status: error.status(),
                reason: "the service does not have this route yet",
            },
            _ => error,
        })
    }

    pub(super) fn open(&self, info: &SnapshotInfo) -> Result<Snapshot> {
        let url = match info.url() {
            Some(url) => url.clone(),
            None => self.build_url(info)?,
        };
        let key = if info.key().is_empty() { url.key() } else { info.key().clone() };
        Ok(Snapshot::new(self.files.clone(), url, key, Some(info.clone())))
    }

    /// The link of a listing's older form, which has only the signed query.
    fn build_url(&self, info: &SnapshotInfo) -> Result<SignedUrl> {
        if info.key().is_empty() {
            let reason = "has neither link nor key, so it cannot be downloaded; list the snapshots again";
            return Err(Error::invalid("the snapshot", reason));
        }
        let owner = match self.owner.get() {
            Some(id) => id.clone(),
            None => self.account()?.user.id,
        };
        let (host, folder, key) = (&self.snapshot_host, info.kind.scope(), info.key().expose());
        SignedUrl::parse(&format!("{host}/{folder}/{}/{}.zip?{key}", encode(&owner), encode(&info.id)))
    }
}

/// A random number in 0..=1: jitter needs no more than the standard library's seed.
#[allow(clippy::cast_precision_loss)]
fn jitter() -> f64 {
    random() as f64 / u64::MAX as f64
}

/// A random number from the seed every hash map gets.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
