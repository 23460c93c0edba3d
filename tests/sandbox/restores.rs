//! Restoring snapshots: the rules of the contract's section 6.

use serde_json::{Value, json};

use super::clock::MINUTE;
use super::files;
use super::http::Answer;
use super::limits;
use super::rules::Restoration;
use super::world::{Kind, Resource, Restore, Version, World};

impl World {
    /// Starts a restore, or says why not.
    pub fn restore(&mut self, id: &str, account: &str, body: &[u8], now: i64) -> Answer {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return Answer::error(400, "INVALID_JSON_BODY", "The body is no JSON.");
        };
        let (Some(name), Some(version)) = (body.get("snapshotId"), body.get("versionId")) else {
            return Answer::error(400, "MISSING_PARAMETERS", "snapshotId and versionId are needed.");
        };
        let Some(name) = name.as_str().filter(|n| !n.is_empty()) else {
            return Answer::error(400, "INVALID_SNAPSHOT_ID", "");
        };
        let Some(version) = version.as_str().filter(|v| !v.is_empty()) else {
            return Answer::error(400, "INVALID_VERSION_ID", "");
        };
        let Some(resource) = self.resources.get(id) else {
            return Answer::error(404, "APP_NOT_FOUND", "");
        };
        let named: Vec<&Version> =
            self.objects.values().flatten().filter(|v| v.listed.as_ref().is_some_and(|l| l.name == name)).collect();
        if resource.kind == Kind::Database && named.iter().any(|v| of(v) != Some(id)) {
            return Answer::error(400, "SNAPSHOT_DATABASE_MISMATCH", "The snapshot is of another database.");
        }
        let found = named.iter().find(|v| v.id == version && of(v) == Some(id));
        let Some(data) = found.map(|v| v.data.clone()) else {
            return Answer::error(404, "SNAPSHOT_NOT_FOUND", "There is no such snapshot.");
        };
        let (by_user, by_resource) = (format!("restore user {account}"), format!("restore of {id}"));
        if self.rules.cooldowns {
            for (name, limit) in [(&by_user, limits::RESTORE_USER), (&by_resource, limits::RESTORE_RESOURCE)] {
                if !self.ledger.allows(name, limit, now) {
                    let text = format!("You restored a snapshot recently. Keep calm! {}", limit.rate());
                    return Answer::error(429, "KEEP_CALM", &text);
                }
            }
        }
        self.ledger.note(&by_user, now);
        self.ledger.note(&by_resource, now);
        self.begin_restore(id, &data, now)
    }

    fn begin_restore(&mut self, id: &str, zip: &[u8], now: i64) -> Answer {
        let mut outcome = files::from_zip(zip).ok_or_else(|| "SNAPSHOT_CORRUPT".to_string());
        let (mut polls_left, mut ready_ms, mut status) = (0, now, 202);
        match self.rules.restoration {
            Restoration::Done => status = 200,
            Restoration::AfterPolls(n) => polls_left = n,
            Restoration::After(time) => ready_ms = now + time.as_millis() as i64,
            Restoration::Dispatched(n) => (polls_left, status) = (n, 200),
            Restoration::FailsLater(n, code) => (polls_left, outcome) = (n, Err(code.to_string())),
            Restoration::Fails => (outcome, status) = (Err("RESTORE_INTERRUPTED".into()), 200),
        }
        let failed = outcome.is_err() && status == 200 && polls_left == 0;
        if let Some(resource) = self.resources.get_mut(id) {
            resource.restore =
                Restore { started_ms: Some(now), polls_left, ready_ms, outcome: Some(outcome), ..Restore::default() };
        }
        if polls_left == 0 {
            self.settle_restore(id, now);
        }
        match status {
            _ if failed => Answer::error(404, "SNAPSHOT_RESTORE_FAILED", "The snapshot could not be restored."),
            200 => self.done(),
            _ => Answer::error(202, "SNAPSHOT_RESTORE_PROCESSING", "The restore goes on in the background."),
        }
    }

    /// The state of the last restore.
    pub fn restore_status(&mut self, id: &str, now: i64) -> Answer {
        let Some(Resource { restore, .. }) = self.settle_restore(id, now) else {
            return Answer::error(404, "APP_NOT_FOUND", "");
        };
        let mut response = json!({"state": "none"});
        if let Some(started) = restore.started_ms.filter(|t| now - t < 60 * MINUTE) {
            response = match (&restore.outcome, &restore.failed) {
                (Some(_), _) if restore.polls_seen == 0 => json!({"state": "queued"}),
                (Some(_), _) if restore.polls_seen == 1 => json!({"state": "running", "step": "download"}),
                (Some(_), _) => json!({"state": "running", "step": "unzip"}),
                (None, Some(code)) => json!({"state": "error", "step": "unzip", "code": code}),
                (None, None) => json!({"state": "success"}),
            };
            response["started_at"] = started.into();
            if let Some(finished) = restore.finished_ms {
                response["finished_at"] = finished.into();
            }
        }
        restore.polls_left = restore.polls_left.saturating_sub(1);
        restore.polls_seen += 1;
        Answer::json(200, &json!({"status": "success", "response": response}))
    }
}

fn of(version: &Version) -> Option<&str> {
    version.listed.as_ref().map(|l| l.resource.as_str())
}
