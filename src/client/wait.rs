//! Waiting for what the service is still doing: a snapshot being made, a restore going on.

use std::time::Duration;

use super::Client;
use crate::api::awaited::Awaited;
use crate::api::envelope::{Outcome, Reply};
use crate::api::json::Value;
use crate::api::redact::clean;
use crate::api::route::Route;
use crate::error::{Error, ErrorCode, Result, is_refusal};
use crate::secret::{SignedKey, SignedUrl};
use crate::snapshot::Snapshot;
use crate::types::{Kind, RestoreState, RestoreStatus, SnapshotInfo};

/// How the client waits.
pub(super) struct Waiting {
    /// How long for a snapshot.
    pub(super) snapshot: Duration,
    /// The pause between two looks, when it was set.
    pub(super) interval: Option<Duration>,
}

/// The contract's pauses (sections 4 and 6).
const BETWEEN_LISTINGS: Duration = Duration::from_secs(10);
const BETWEEN_STATUSES: Duration = Duration::from_secs(5);
/// How often a service that knows of no restore is asked again: it may not have begun.
const LOOKS_AT_NONE: u32 = 3;

impl Client {
    pub(crate) fn create_snapshot(&self, kind: Kind, id: &str) -> Result<Snapshot> {
        let sent = self.inner.time.now();
        let route = Route::CreateSnapshot(kind, id);
        let (outcome, date) = self
            .post_dated(&route, None, |reply| reply.or_pending(&ErrorCode::SNAPSHOT_PROCESSING, created))?;
        match outcome {
            Outcome::Done((url, key)) => Ok(Snapshot::new(self.inner.files.clone(), url, key, None)),
            Outcome::Pending => {
                let held = self.inner.time.now().saturating_sub(sent);
                let info = self.await_snapshot(kind, id, Awaited::new(date, held))?;
                self.open(&info)
            }
        }
    }

    /// Looks at the listing until the new snapshot is in it. A look that fails for a passing reason is
    /// followed by the next one: the snapshot is being made all the same.
    fn await_snapshot(&self, kind: Kind, id: &str, mut awaited: Awaited) -> Result<SnapshotInfo> {
        let started = self.inner.time.now();
        let at_most = self.inner.waiting.snapshot;
        let pause = self.inner.waiting.interval.unwrap_or(BETWEEN_LISTINGS);
        loop {
            let waited = self.inner.time.now().saturating_sub(started);
            if at_most.is_zero() || waited > at_most {
                return Err(Error::Pending {
                    what: format!("the snapshot of {kind} {id}"),
                    waited,
                    next: "it will appear in the listing, usually within 2 minutes; do not ask for another one",
                });
            }
            match self.read_listing(kind, &Route::Snapshots(kind, id)) {
                Ok((listing, date)) => {
                    if let Some(info) = awaited.find(&listing, date) {
                        return Ok(info.clone());
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
            self.pause(pause, started, at_most);
        }
    }

    /// Follows a restore until it ends.
    pub(crate) fn wait_for_restore(&self, kind: Kind, id: &str, at_most: Duration) -> Result<RestoreStatus> {
        let started = self.inner.time.now();
        let pause = self.inner.waiting.interval.unwrap_or(BETWEEN_STATUSES);
        let what = || format!("{kind} {id}");
        let mut looks_at_none = 0;
        loop {
            match self.restore_status(kind, id) {
                Ok(status) => match status.state {
                    RestoreState::Success => return Ok(status),
                    RestoreState::Error => {
                        let shown = |text: &str| clean(text, 80, self.inner.key.expose());
                        let code = status.code.map_or(ErrorCode::UNKNOWN, |code| shown(code.as_str()).into());
                        let step = status.step.as_deref().map(shown);
                        return Err(Error::RestoreFailed { what: what(), code, step });
                    }
                    RestoreState::None => {
                        looks_at_none += 1;
                        if looks_at_none >= LOOKS_AT_NONE {
                            let reason = "the service knows of no restore within the last hour";
                            return Err(Error::StatusUnavailable { what: what(), status: None, reason });
                        }
                    }
                    _ => {}
                },
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
            let waited = self.inner.time.now().saturating_sub(started);
            if waited >= at_most {
                return Err(Error::Pending {
                    what: format!("the restore of {}", what()),
                    waited,
                    next: "do not repeat it, go on following it with `wait_for_restore`",
                });
            }
            self.pause(pause, started, at_most);
        }
    }

    /// Sleeps `pause`, or to just past the end of the wait if that comes first: the last look is at its end.
    fn pause(&self, pause: Duration, started: Duration, at_most: Duration) {
        let left = at_most.saturating_sub(self.inner.time.now().saturating_sub(started));
        self.inner.time.sleep(pause.min(left.max(Duration::from_millis(1))));
    }
}

/// What a creation answers when it is done.
fn created(reply: &Reply<'_>) -> Result<(SignedUrl, SignedKey)> {
    let mistake = |what: &str| reply.unexpected(format!("a `response` {what}"));
    let response = reply.data()?;
    let text = |name: &str| response.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let url = text("url").ok_or_else(|| mistake("without the `url` of the snapshot"))?;
    let url = SignedUrl::parse(url).map_err(|_| mistake("whose `url` is no link that may be fetched"))?;
    let key = text("key").map_or_else(|| url.key(), SignedKey::new);
    Ok((url, key))
}

/// Whether looking again may help: the network, a busy or broken service, or too many looks.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Network { status, .. } | Error::Timeout { status, .. } => {
            !is_refusal(*status) || error.is_rate_limited()
        }
        Error::UnexpectedResponse { status, .. } => *status >= 500,
        Error::Api { status, .. } => *status >= 500 || error.is_rate_limited(),
        _ => false,
    }
}
