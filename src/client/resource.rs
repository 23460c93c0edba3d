//! One app or database, and the work on it that may outlive its request: making a snapshot, and restoring one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use time::OffsetDateTime;

use super::awaited::Awaited;
use super::core::Core;
use crate::api::envelope::RawResponse;
use crate::api::http::Payload;
use crate::error::{Error, ErrorCode, Result};
use crate::percent::encode;
use crate::secret::{SignedKey, SignedUrl, clean};
use crate::snapshot::Snapshot;
use crate::types::{Kind, Listing, Response, RestoreState, RestoreStatus, SnapshotInfo, text};

const SNAPSHOTS: &str = "/snapshots";
const RESTORE: &str = "/snapshots/restore";
const BETWEEN_LISTINGS: Duration = Duration::from_secs(10);
/// How long the look at the listing for a snapshot that can be downloaded already may take.
const LOOK: Duration = Duration::from_secs(5);
const BETWEEN_STATUSES: Duration = Duration::from_secs(5);
/// How many checks must find no restore before the wait ends: at the first ones it may not have begun yet.
const CHECKS_FOR_NONE: u32 = 3;
/// How many characters of the service's code and step an error keeps.
const SHOWN: usize = 80;

/// One app or database: what both handles are made of.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) core: Arc<Core>,
    pub(super) kind: Kind,
    pub(super) id: String,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

impl Resource {
    /// The path of one of its routes.
    pub(super) fn path(&self, rest: &str) -> Result<String> {
        resource_path(self.kind, &self.id, rest)
    }

    pub(super) fn read<T: DeserializeOwned>(&self, rest: &str) -> Result<T> {
        self.core.read(&self.path(rest)?)
    }

    pub(super) fn action(&self, rest: &str) -> Result<Response> {
        self.core.post(&self.path(rest)?, Payload::Nothing)?.action()
    }

    pub(super) fn listing(&self) -> Result<Listing> {
        self.core.listing(self.kind, &self.path(SNAPSHOTS)?)
    }

    pub(super) fn create_snapshot(&self) -> Result<Snapshot> {
        let (sent, local) = (Instant::now(), OffsetDateTime::now_utc());
        let response = self.core.post(&self.path(SNAPSHOTS)?, Payload::Nothing)?;
        let awaited = Awaited::new(response.date, sent.elapsed(), local);
        let Some((url, key)) = response.unless_pending(created)? else {
            return self.core.open(&self.await_snapshot(awaited)?);
        };
        // What the listing says is worth one request, but neither a long wait nor a failure.
        let listing = self.look(LOOK).map(|(listing, _)| listing.snapshots).unwrap_or_default();
        match awaited.behind(&url, &listing).cloned() {
            Some(info) if info.url().is_some() => self.core.open(&info),
            info => Ok(Snapshot::new(self.core.files.clone(), url, key, info)),
        }
    }

    /// Looks at the listing once, for at most `at_most`; says when it was sent, too.
    fn look(&self, at_most: Duration) -> Result<(Listing, Option<OffsetDateTime>)> {
        let timeout = self.core.settings.limits.total.min(at_most);
        let response = self.core.get_once(&self.path(SNAPSHOTS)?, timeout)?;
        Ok((response.data(|data| Listing::decode(self.kind, data))?, response.date))
    }

    /// Polls the listing until the new snapshot is in it.
    fn await_snapshot(&self, mut awaited: Awaited) -> Result<SnapshotInfo> {
        let pending = |waited| Error::Pending {
            what: format!("the snapshot of {self}"),
            waited,
            next: "it will appear in the listing, usually within 2 minutes; do not request another one",
        };
        let at_most = self.core.settings.limits.snapshot_wait;
        if at_most.is_zero() {
            return Err(pending(Duration::ZERO));
        }
        self.poll(at_most, BETWEEN_LISTINGS, pending, || {
            let (listing, now) = self.look(Duration::MAX)?;
            Ok(awaited.find(&listing.snapshots, now).cloned())
        })
    }

    /// Restores a listed snapshot, after the checks that need no request.
    pub(super) fn restore_listed(&self, info: &SnapshotInfo) -> Result<Response> {
        if info.kind != self.kind {
            let reason = format!("is of kind {} and cannot be restored into {self}", info.kind);
            return Err(Error::invalid("the snapshot", reason));
        }
        let reason = "has no version id, which a restore needs; list the snapshots again";
        let version = info.version_id.as_deref().ok_or_else(|| Error::invalid("the snapshot", reason))?;
        self.restore(&info.id, version)
    }

    pub(super) fn restore(&self, snapshot: &str, version: &str) -> Result<Response> {
        for (what, id) in [("the snapshot id", snapshot), ("the version id", version)] {
            if id.is_empty() {
                return Err(Error::invalid(what, "is empty; take it from a listed snapshot"));
            }
        }
        let body = json!({ "snapshotId": snapshot, "versionId": version }).to_string();
        let sent = Instant::now();
        let response = self.core.post(&self.path(RESTORE)?, Payload::Json(&body))?;
        response.unless_pending(RawResponse::action)?.ok_or_else(|| self.restore_pending(sent.elapsed()))
    }

    pub(super) fn restore_status(&self) -> Result<RestoreStatus> {
        self.read(RESTORE).map_err(|error| match error.code() {
            Some(code) if *code == ErrorCode::ROUTE_NOT_FOUND => Error::StatusUnavailable {
                what: self.to_string(),
                status: error.status(),
                reason: "the service does not have this route yet",
            },
            _ => error,
        })
    }

    /// Follows a restore until it ends.
    pub(super) fn wait_for_restore(&self, at_most: Duration) -> Result<RestoreStatus> {
        let pending = |waited| self.restore_pending(waited);
        let mut checks_for_none = 0;
        self.poll(at_most, BETWEEN_STATUSES, pending, || {
            let status = self.restore_status()?;
            match status.state {
                RestoreState::Success => return Ok(Some(status)),
                RestoreState::Error => return Err(self.restore_failed(&status)),
                RestoreState::None => checks_for_none += 1,
                _ => {}
            }
            if checks_for_none == CHECKS_FOR_NONE {
                let reason = "the service reports no restore within the last hour";
                return Err(Error::StatusUnavailable { what: self.to_string(), status: None, reason });
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
        // In tests `sleep` returns at once; its full length counts as waited.
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
            let pause = self.core.settings.poll_interval.unwrap_or(usual).min(at_most - waited);
            (self.core.settings.sleep)(pause);
            slept += pause;
        }
    }

    fn restore_pending(&self, waited: Duration) -> Error {
        let what = format!("the restore of {self}");
        Error::Pending { what, waited, next: "do not request it again; follow it with `wait_for_restore`" }
    }

    fn restore_failed(&self, status: &RestoreStatus) -> Error {
        let shown = |text: &str| clean(text, SHOWN, self.core.api.secret());
        let code = status.code.as_ref().map_or(ErrorCode::UNKNOWN, |code| shown(code.as_str()).into());
        Error::RestoreFailed { what: self.to_string(), code, step: status.step.as_deref().map(shown) }
    }
}

/// The link and key of a snapshot that was made.
fn created(response: &RawResponse) -> Result<(SignedUrl, SignedKey)> {
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
        .map_err(|_| response.unexpected("a `response` whose `url` is not a valid download link"))?;
    let key = key.map_or_else(|| url.key(), |key| SignedKey::new(&key));
    Ok((url, key))
}

/// Whether polling again may help: the network, a busy or broken service, or too many polls.
fn is_passing(error: &Error) -> bool {
    error.is_retryable() || error.is_rate_limited() || error.status().is_some_and(|status| status >= 500)
}

/// The path of a route of one app or database: `/apps/{id}` and `rest`.
///
/// # Errors
/// [`Error::Invalid`] when the id would lead to another route.
fn resource_path(kind: Kind, id: &str, rest: &str) -> Result<String> {
    check_id(&format!("the {kind} id"), id)?;
    Ok(format!("/{}/{}{rest}", kind.segment(), encode(id)))
}

/// Refuses what would lead to another route; any other form of an id is the service's business.
pub(super) fn check_id(what: &str, id: &str) -> Result<()> {
    let reason = match id {
        "" => "is empty",
        "." | ".." => "is a path segment with a meaning of its own, not an id",
        _ if id.chars().any(char::is_control) => "contains a line break or another control character",
        _ => return Ok(()),
    };
    let reason = format!("{reason}; take it from `Client::account` or the dashboard");
    Err(Error::invalid(what.to_owned(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment() {
        let path = |id| resource_path(Kind::App, id, "/snapshots").unwrap();
        assert_eq!(path("c0ffee-ws 1/ü"), "/apps/c0ffee-ws%201%2F%C3%BC/snapshots");
        assert_eq!(path("../x"), "/apps/..%2Fx/snapshots");
        assert_eq!(resource_path(Kind::Database, "d", "").unwrap(), "/databases/d");
    }

    #[test]
    fn ids_that_lead_elsewhere_are_refused() {
        for id in ["", ".", "..", "a\nb", "a\0"] {
            assert!(resource_path(Kind::App, id, "").is_err(), "{id:?}");
        }
    }
}
