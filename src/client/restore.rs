//! Restoring a snapshot, and following a restore to its end.

use std::time::{Duration, Instant};

use serde_json::json;
use time::OffsetDateTime;

use super::awaited::Requested;
use super::resource::Resource;
use super::wait::{Wait, Watch};
use crate::api::envelope::RawResponse;
use crate::api::http::Payload;
use crate::error::{Error, ErrorCode, Result};
use crate::secret::clean;
use crate::types::{Response, RestoreState, RestoreStatus, SnapshotInfo};

const RESTORE: &str = "/snapshots/restore";
const BETWEEN_POLLS: Duration = Duration::from_secs(5);
/// How many polls must find no restore before the wait ends: at the first ones it may not have begun yet.
const POLLS_FOR_NONE: u32 = 3;
/// How far the clocks of the service may differ: less than the 120 s that it keeps between two restores.
const CLOCKS: time::Duration = time::Duration::seconds(60);
/// How many characters of the service's code and step an error keeps.
const SHOWN: usize = 80;

impl Resource {
    fn restore_wait<'a>(&'a self, watch: Watch<'a>) -> Wait<'a> {
        Wait::new(self, "restore", "do not request it again; follow it with `wait_for_restore`", watch)
    }

    /// Restores a listed snapshot.
    pub(super) fn restore_listed(&self, info: &SnapshotInfo) -> Result<Response> {
        self.restore(&info.id, self.version(info)?)
    }

    pub(super) fn restore(&self, snapshot: &str, version: &str) -> Result<Response> {
        let (wait, sent) = (self.restore_wait(None), Instant::now());
        let (response, _) = self.request_restore(&wait, snapshot, version)?;
        response.ok_or_else(|| wait.pending(sent.elapsed()))
    }

    /// Restores a listed snapshot and follows the restore to its end, all in all for at most `at_most`.
    pub(super) fn restore_and_wait(
        &self,
        info: &SnapshotInfo,
        at_most: Duration,
        watch: Watch<'_>,
    ) -> Result<RestoreStatus> {
        let (mut wait, sent) = (self.restore_wait(watch), Instant::now());
        // Whether the service says that it is done or that it goes on: only the status tells.
        let (_, requested) = self.request_restore(&wait, &info.id, self.version(info)?)?;
        wait.accepted();
        self.follow_restore(&mut wait, at_most.saturating_sub(sent.elapsed()), Some(requested))
    }

    pub(super) fn wait_for_restore(&self, at_most: Duration, watch: Watch<'_>) -> Result<RestoreStatus> {
        self.follow_restore(&mut self.restore_wait(watch), at_most, None)
    }

    pub(super) fn restore_status(&self) -> Result<RestoreStatus> {
        self.read(RESTORE).map_err(|error| self.status_error(error))
    }

    /// The version to restore, after the checks that need no request.
    fn version<'i>(&self, info: &'i SnapshotInfo) -> Result<&'i str> {
        if info.kind != self.kind {
            let reason = format!("is of kind {} and cannot be restored into {self}", info.kind);
            return Err(Error::invalid("the snapshot", reason));
        }
        let reason = "has no version id, which a restore needs; list the snapshots again";
        info.version_id.as_deref().ok_or_else(|| Error::invalid("the snapshot", reason))
    }

    /// The response is `None` when the restore goes on in the background.
    fn request_restore(&self, wait: &Wait<'_>, snapshot: &str, version: &str) -> Result<(Option<Response>, Requested)> {
        for (what, id) in [("the snapshot id", snapshot), ("the version id", version)] {
            if id.is_empty() {
                return Err(Error::invalid(what, "is empty; take it from a listed snapshot"));
            }
        }
        let body = json!({ "snapshotId": snapshot, "versionId": version }).to_string();
        let local = OffsetDateTime::now_utc();
        let (response, held) = wait.send(move |resource| {
            let (path, sent) = (resource.path(RESTORE)?, Instant::now());
            Ok((resource.core.post(&path, Payload::Json(&body))?, sent.elapsed()))
        })?;
        let requested = Requested::new(response.date, held, local);
        Ok((response.unless_pending(RawResponse::action)?, requested))
    }

    /// Polls until the restore ends. What began before `requested` is another one.
    fn follow_restore(
        &self,
        wait: &mut Wait<'_>,
        at_most: Duration,
        requested: Option<Requested>,
    ) -> Result<RestoreStatus> {
        let mut polls_for_none = 0;
        let is_earlier = |status: &RestoreStatus| {
            let began = status.started_at.or(status.finished_at);
            requested.zip(began).is_some_and(|(requested, began)| !requested.is_before(began.saturating_add(CLOCKS)))
        };
        wait.poll(at_most, BETWEEN_POLLS, |wait, timeout| {
            let status = wait.send(move |resource| resource.look_at_restore(timeout))?;
            match status.state {
                RestoreState::None => polls_for_none += 1,
                _ if is_earlier(&status) => {}
                RestoreState::Success => return Ok(Some(status)),
                RestoreState::Error => return Err(self.restore_failed(&status)),
                _ => {}
            }
            if polls_for_none == POLLS_FOR_NONE {
                let reason = "the service reports no restore within the last hour";
                return Err(Error::StatusUnavailable { what: self.to_string(), status: None, reason });
            }
            Ok(None)
        })
    }

    fn look_at_restore(&self, timeout: Duration) -> Result<RestoreStatus> {
        let timeout = self.core.settings.limits.total.min(timeout);
        let status = self.core.get_once(&self.path(RESTORE)?, timeout)?.data(serde_json::from_str);
        status.map_err(|error| self.status_error(error))
    }

    fn status_error(&self, error: Error) -> Error {
        match error.code() {
            // Without `/v2` no route exists.
            Some(code) if *code == ErrorCode::ROUTE_NOT_FOUND && self.core.settings.base_url.ends_with("/v2") => {
                Error::StatusUnavailable {
                    what: self.to_string(),
                    status: error.status(),
                    reason: "the service does not have this route yet",
                }
            }
            _ => error,
        }
    }

    fn restore_failed(&self, status: &RestoreStatus) -> Error {
        let shown = |text: &str| clean(text, SHOWN, self.core.api.secret());
        let code = status.code.as_ref().map_or(ErrorCode::UNKNOWN, |code| shown(code.as_str()).into());
        Error::RestoreFailed { what: self.to_string(), code, step: status.step.as_deref().map(shown) }
    }
}
