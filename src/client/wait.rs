//! Work that may outlive its request: making a snapshot, and restoring one.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::awaited::Awaited;
use super::core::Core;
use crate::api::envelope::RawResponse;
use crate::api::route::Route;
use crate::error::{Error, ErrorCode, Result, is_refusal};
use crate::secret::{SignedKey, SignedUrl, clean};
use crate::snapshot::Snapshot;
use crate::types::{Kind, Listing, Response, RestoreState, RestoreStatus, SnapshotInfo, text};

const BETWEEN_LISTINGS: Duration = Duration::from_secs(10);
const BETWEEN_STATUSES: Duration = Duration::from_secs(5);
/// How often a service that knows of no restore is asked again: the restore may not have begun.
const CHECKS_FOR_NONE: u32 = 3;
/// How many characters of the service's code and step an error keeps.
const SHOWN: usize = 80;

impl Core {
    pub(super) fn create_snapshot(&self, kind: Kind, id: &str) -> Result<Snapshot> {
        let sent = Instant::now();
        let (created, date) = self.post(&Route::CreateSnapshot(kind, id), None, |response| {
            Ok((response.unless_pending(created)?, response.date))
        })?;
        match created {
            Some((url, key)) => Ok(Snapshot::new(self.files.clone(), url, key, None)),
            None => self.open(&self.await_snapshot(kind, id, Awaited::new(date, sent.elapsed()))?),
        }
    }

    /// Polls the listing until the new snapshot is in it.
    fn await_snapshot(&self, kind: Kind, id: &str, mut awaited: Awaited) -> Result<SnapshotInfo> {
        let pending = |waited| Error::Pending {
            what: format!("the snapshot of {kind} {id}"),
            waited,
            next: "it will appear in the listing, usually within 2 minutes; do not request another one",
        };
        let at_most = self.settings.limits.snapshot_wait;
        if at_most.is_zero() {
            return Err(pending(Duration::ZERO));
        }
        self.poll(at_most, BETWEEN_LISTINGS, pending, || {
            let (listing, date) = self.get(&Route::Snapshots(kind, id), |response| {
                Ok((response.data(|data| Listing::decode(kind, data))?, response.date))
            })?;
            Ok(awaited.find(&listing.snapshots, date).cloned())
        })
    }

    /// Restores a listed snapshot, after the checks that need no request.
    pub(super) fn restore_listed(&self, kind: Kind, id: &str, info: &SnapshotInfo) -> Result<Response> {
        if info.kind != kind {
            let reason = format!("is of kind {} and cannot be restored into the {kind} {id}", info.kind);
            return Err(Error::invalid("the snapshot", reason));
        }
        let reason = "has no version id, which a restore needs; list the snapshots again";
        let version = info.version_id.as_deref().ok_or_else(|| Error::invalid("the snapshot", reason))?;
        self.restore(kind, id, &info.id, version)
    }

    pub(super) fn restore(&self, kind: Kind, id: &str, snapshot: &str, version: &str) -> Result<Response> {
        if snapshot.is_empty() {
            return Err(Error::invalid("the snapshot id", "is empty; take `id` of a listed snapshot"));
        }
        if version.is_empty() {
            return Err(Error::invalid("the version id", "is empty; take `version_id` of a listed snapshot"));
        }
        let body = json!({ "snapshotId": snapshot, "versionId": version }).to_string();
        let sent = Instant::now();
        let done = self.post(&Route::Restore(kind, id), Some(&body), |response| {
            response.unless_pending(RawResponse::action)
        })?;
        done.ok_or_else(|| Error::Pending {
            what: format!("the restore of {kind} {id}"),
            waited: sent.elapsed(),
            next: "do not repeat it, follow it with `wait_for_restore`",
        })
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

    /// Follows a restore until it ends.
    pub(super) fn wait_for_restore(&self, kind: Kind, id: &str, at_most: Duration) -> Result<RestoreStatus> {
        let what = format!("{kind} {id}");
        let pending = |waited| Error::Pending {
            what: format!("the restore of {what}"),
            waited,
            next: "do not repeat it, keep following it with `wait_for_restore`",
        };
        let mut checks_for_none = 0;
        self.poll(at_most, BETWEEN_STATUSES, pending, || {
            let status = self.restore_status(kind, id)?;
            match status.state {
                RestoreState::Success => return Ok(Some(status)),
                RestoreState::Error => return Err(self.restore_failed(what.clone(), &status)),
                RestoreState::None => checks_for_none += 1,
                _ => {}
            }
            if checks_for_none == CHECKS_FOR_NONE {
                let reason = "the service knows of no restore within the last hour";
                return Err(Error::StatusUnavailable { what: what.clone(), status: None, reason });
            }
            Ok(None)
        })
    }

    /// Checks until there is a result, for at most `at_most`. A check that fails for a passing reason is followed by the
    /// next one, since the work goes on regardless.
    fn poll<T>(
        &self,
        at_most: Duration,
        usual: Duration,
        pending: impl Fn(Duration) -> Error,
        mut check: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        // The sleep of a test returns at once; it counts at its full length.
        let (started, mut slept) = (Instant::now(), Duration::ZERO);
        loop {
            match check() {
                Ok(Some(found)) => return Ok(found),
                Err(error) if !is_passing(&error) => return Err(error),
                _ => {}
            }
            let waited = started.elapsed().max(slept);
            if waited >= at_most {
                return Err(pending(waited));
            }
            let pause = self.settings.poll_interval.unwrap_or(usual).min(at_most - waited);
            (self.settings.sleep)(pause);
            slept += pause;
        }
    }

    fn restore_failed(&self, what: String, status: &RestoreStatus) -> Error {
        let shown = |text: &str| clean(text, SHOWN, self.key.expose());
        let code = status.code.as_ref().map_or(ErrorCode::UNKNOWN, |code| shown(code.as_str()).into());
        Error::RestoreFailed { what, code, step: status.step.as_deref().map(shown) }
    }
}

/// The link and key of a snapshot that was made.
fn created(response: &RawResponse<'_>) -> Result<(SignedUrl, SignedKey)> {
    #[derive(Deserialize)]
    struct Created {
        #[serde(default, deserialize_with = "text")]
        url: Option<String>,
        #[serde(default, deserialize_with = "text")]
        key: Option<String>,
    }
    let Created { url, key } = response.data(serde_json::from_str)?;
    let url = url.ok_or_else(|| response.unexpected("a `response` without a `url`"))?;
    let url = SignedUrl::parse(&url)
        .map_err(|_| response.unexpected("a `response` whose `url` is not a link that may be downloaded"))?;
    let key = key.map_or_else(|| url.key(), |key| SignedKey::new(&key));
    Ok((url, key))
}

/// Whether polling again may help: the network, a busy or broken service, or too many polls.
fn is_passing(error: &Error) -> bool {
    let broken_off = matches!(error, Error::Network { .. } | Error::Timeout { .. });
    let failed = error.status().is_some_and(|status| status >= 500);
    (broken_off && !is_refusal(error.status())) || failed || error.is_rate_limited()
}
