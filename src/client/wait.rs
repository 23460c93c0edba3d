//! Waiting for work that outlives its request: a snapshot being made, a restore going on.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::awaited::Awaited;
use super::core::{Core, Stopwatch};
use crate::api::envelope::{Outcome, RawResponse};
use crate::api::route::Route;
use crate::error::{Error, ErrorCode, Result, is_refusal};
use crate::secret::{SignedKey, SignedUrl, clean};
use crate::snapshot::Snapshot;
use crate::types::{Kind, Listing, RestoreState, RestoreStatus, SnapshotInfo};

const BETWEEN_LISTINGS: Duration = Duration::from_secs(10);
const BETWEEN_STATUSES: Duration = Duration::from_secs(5);
/// How often a service that knows of no restore is asked again: the restore may not have begun.
const CHECKS_FOR_NONE: u32 = 3;
/// How many characters of the service's code and step an error keeps.
const SHOWN: usize = 80;

impl Core {
    pub(super) fn create_snapshot(&self, kind: Kind, id: &str) -> Result<Snapshot> {
        let sent = Instant::now();
        let (outcome, date) = self.post(&Route::CreateSnapshot(kind, id), None, |response| {
            Ok((response.or_pending(&ErrorCode::SNAPSHOT_PROCESSING, created)?, response.date))
        })?;
        match outcome {
            Outcome::Done((url, key)) => Ok(Snapshot::new(self.files.clone(), url, key, None)),
            Outcome::Pending => {
                self.open(&self.await_snapshot(kind, id, Awaited::new(date, sent.elapsed()))?)
            }
        }
    }

    /// Polls the listing until the new snapshot is in it. A poll that fails for a passing reason is followed by the
    /// next one: the snapshot is being made all the same.
    fn await_snapshot(&self, kind: Kind, id: &str, mut awaited: Awaited) -> Result<SnapshotInfo> {
        let mut watch = Stopwatch::start();
        let at_most = self.snapshot_wait;
        loop {
            let waited = watch.elapsed();
            if at_most.is_zero() || waited > at_most {
                return Err(Error::Pending {
                    what: format!("the snapshot of {kind} {id}"),
                    waited,
                    next: "it will appear in the listing, usually within 2 minutes; do not request another one",
                });
            }
            let listed = self.get(&Route::Snapshots(kind, id), |response| {
                Ok((response.data(|data| Listing::decode(kind, data))?, response.date))
            });
            match listed {
                Ok((listing, date)) => {
                    if let Some(info) = awaited.find(&listing.snapshots, date) {
                        return Ok(info.clone());
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
            self.pause_within(&mut watch, BETWEEN_LISTINGS, at_most);
        }
    }

    /// Follows a restore until it ends.
    pub(super) fn wait_for_restore(&self, kind: Kind, id: &str, at_most: Duration) -> Result<RestoreStatus> {
        let mut watch = Stopwatch::start();
        let what = format!("{kind} {id}");
        let mut checks_for_none = 0;
        loop {
            match self.restore_status(kind, id) {
                Ok(status) => match status.state {
                    RestoreState::Success => return Ok(status),
                    RestoreState::Error => return Err(self.restore_failed(what, &status)),
                    RestoreState::None if checks_for_none + 1 == CHECKS_FOR_NONE => {
                        let reason = "the service knows of no restore within the last hour";
                        return Err(Error::StatusUnavailable { what, status: None, reason });
                    }
                    RestoreState::None => checks_for_none += 1,
                    _ => {}
                },
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
            let waited = watch.elapsed();
            if waited >= at_most {
                return Err(Error::Pending {
                    what: format!("the restore of {what}"),
                    waited,
                    next: "do not repeat it, keep following it with `wait_for_restore`",
                });
            }
            self.pause_within(&mut watch, BETWEEN_STATUSES, at_most);
        }
    }

    fn restore_failed(&self, what: String, status: &RestoreStatus) -> Error {
        let shown = |text: &str| clean(text, SHOWN, self.key.expose());
        let code = status.code.as_ref().map_or(ErrorCode::UNKNOWN, |code| shown(code.as_str()).into());
        Error::RestoreFailed { what, code, step: status.step.as_deref().map(shown) }
    }

    /// Pauses before the next poll, or to just past the end of the wait if that comes first.
    fn pause_within(&self, watch: &mut Stopwatch, usual: Duration, at_most: Duration) {
        let left = at_most.saturating_sub(watch.elapsed()).max(Duration::from_millis(1));
        self.pause(watch, self.poll_interval.unwrap_or(usual).min(left));
    }
}

/// The link and key of a creation that is done.
fn created(response: &RawResponse<'_>) -> Result<(SignedUrl, SignedKey)> {
    #[derive(Deserialize)]
    struct Created {
        url: Option<String>,
        key: Option<String>,
    }
    let Created { url, key } = response.data(serde_json::from_str)?;
    let url = url
        .filter(|url| !url.is_empty())
        .ok_or_else(|| response.unexpected("a `response` without a `url`"))?;
    let url = SignedUrl::parse(&url)
        .map_err(|_| response.unexpected("a `response` whose `url` is not a link that may be downloaded"))?;
    let key = key.filter(|key| !key.is_empty()).map_or_else(|| url.key(), |key| SignedKey::new(&key));
    Ok((url, key))
}

/// Whether polling again may help: the network, a busy or broken service, or too many polls.
fn is_passing(error: &Error) -> bool {
    let broken_off = matches!(error, Error::Network { .. } | Error::Timeout { .. });
    let failed = error.status().is_some_and(|status| status >= 500);
    (broken_off && !is_refusal(error.status())) || failed || error.is_rate_limited()
}
