//! PURE. What an action returns, and the state of an app, a database, a restore and the service itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::decode::{self, Skipped, id, lenient, text, when, word};
use crate::error::ErrorCode;
use crate::secret::clean;

/// How many characters `Display` shows at most.
const SHOWN: usize = 500;

/// A measurement: formatted text (`118.6MB`), or a plain number when raw data was requested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Value")]
#[non_exhaustive]
pub enum Reading {
    /// Text with a unit, as the service formatted it.
    Text(String),
    /// A plain number, without a unit.
    Number(f64),
}

impl TryFrom<Value> for Reading {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(text) => Ok(Self::Text(text)),
            other => other.as_f64().map(Self::Number).ok_or("a reading that is neither text nor a number"),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Network traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Traffic {
    /// In total, since the start.
    #[serde(default, deserialize_with = "lenient")]
    pub total: Option<Reading>,
    /// The current traffic.
    #[serde(default, deserialize_with = "lenient")]
    pub now: Option<Reading>,
}

/// The state of an app or a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RuntimeStatus {
    /// Whether it is running.
    pub running: bool,
    /// The exact state: `running`, `exited`, ...
    #[serde(default, deserialize_with = "text")]
    pub status: Option<String>,
    /// Processor use.
    #[serde(default, deserialize_with = "lenient")]
    pub cpu: Option<Reading>,
    /// Memory in use.
    #[serde(default, deserialize_with = "lenient")]
    pub ram: Option<Reading>,
    /// Disk space in use.
    #[serde(default, deserialize_with = "lenient")]
    pub storage: Option<Reading>,
    /// Network traffic.
    #[serde(default, deserialize_with = "lenient")]
    pub network: Traffic,
    /// When it was started (the service calls this instant `uptime`); `None` when it is not running.
    #[serde(default, rename = "uptime", with = "when")]
    pub started_at: Option<OffsetDateTime>,
}

/// The state of one app or database in a list of all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningStatus {
    /// The app's or database's id.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// Whether it is running.
    pub running: bool,
    /// Processor use, while it is running.
    #[serde(default, deserialize_with = "lenient")]
    pub cpu: Option<Reading>,
    /// Memory in use, while it is running.
    #[serde(default, deserialize_with = "lenient")]
    pub ram: Option<Reading>,
}

/// Which apps or databases are running, and the items of the response that could not be decoded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Statuses {
    /// One for each app or database, in the service's order.
    pub statuses: Vec<RunningStatus>,
    /// The items that could not be decoded, and why.
    pub skipped: Vec<Skipped>,
}

impl Statuses {
    pub(crate) fn decode(response: &str) -> serde_json::Result<Self> {
        let (statuses, skipped) = decode::listing(response, |item| serde_json::from_str(item))?;
        Ok(Self { statuses, skipped })
    }
}

/// The state of the service itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// `online`, `degraded` or `unknown`.
    #[serde(deserialize_with = "id")]
    pub status: String,
    /// An explanation, if there is one.
    #[serde(default, deserialize_with = "text")]
    pub message: Option<String>,
}

impl ServiceStatus {
    /// Whether the service calls itself `online`.
    pub fn is_online(&self) -> bool {
        self.status == "online"
    }
}

/// The service's response to an action that it accepted.
///
/// A refusal, or work that the service says is still in progress, is an [`Error`](crate::Error). The response to a restore
/// may only mean that it was accepted: [`App::restore_and_wait`](crate::App::restore_and_wait) waits until it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Response {
    /// The envelope's status: `success`.
    pub status: String,
    /// The service's code, if it sent one.
    pub code: Option<ErrorCode>,
    /// The service's message, if it sent one.
    pub message: Option<String>,
}

/// The state of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RestoreState {
    /// No restore within the last hour.
    None,
    /// Waiting for its turn.
    Queued,
    /// Running.
    Running,
    /// Finished.
    Success,
    /// Failed.
    Error,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

word!(RestoreState);

/// The state of the last restore of an app or a database.
///
/// `Display` shows all that is known in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RestoreStatus {
    /// The state.
    pub state: RestoreState,
    /// The step it is in or failed in: `download`, `unzip`, ...
    #[serde(default, deserialize_with = "text")]
    pub step: Option<String>,
    /// Why it failed.
    #[serde(default, deserialize_with = "lenient")]
    pub code: Option<ErrorCode>,
    /// When it began.
    #[serde(default, with = "when")]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(default, with = "when")]
    pub finished_at: Option<OffsetDateTime>,
}

impl fmt::Display for RestoreStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |word: &str, value: Option<String>| value.map(|value| format!("{word}{value}")).unwrap_or_default();
        let line = [
            self.state.to_string(),
            part(" in step ", self.step.clone()),
            part(": ", self.code.as_ref().map(ErrorCode::to_string)),
            part(", started ", self.started_at.map(decode::shown)),
            part(", finished ", self.finished_at.map(decode::shown)),
        ];
        f.write_str(&clean(&line.concat(), SHOWN, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_numbers_are_both_readings() {
        let read = |json: &str| serde_json::from_str::<RuntimeStatus>(json);
        let text = read(
            r#"{"cpu":"0.42%","ram":"118.6MB","status":"running","running":true,
            "storage":"1MB","network":{"total":"2KB","now":"0B"},"uptime":1795196400000}"#,
        )
        .unwrap();
        assert_eq!(text.cpu.as_ref().unwrap().to_string(), "0.42%");
        assert!(text.started_at.is_some());
        let raw = read(r#"{"cpu":0.42,"ram":118,"running":false,"network":null,"uptime":null}"#).unwrap();
        assert_eq!((&raw.cpu, raw.started_at), (&Some(Reading::Number(0.42)), None));
        assert!(read(r#"{"running":"yes"}"#).is_err());
        for status in [text, raw] {
            assert_eq!(read(&serde_json::to_string(&status).unwrap()).unwrap(), status);
        }
    }

    #[test]
    fn statuses_say_what_was_skipped() {
        let all = Statuses::decode(r#"[{"id":"a","running":true,"cpu":[]},{"id":"b"}]"#).unwrap();
        assert_eq!((all.statuses.len(), all.statuses[0].cpu.is_none(), all.skipped.len()), (1, true, 1));
        assert!(Statuses::decode(r#"[{"id":"b"}]"#).is_err());
        let service: ServiceStatus = serde_json::from_str(r#"{"status":"tomorrow","new":1}"#).unwrap();
        assert_eq!((service.status.as_str(), service.is_online()), ("tomorrow", false));
    }

    #[test]
    fn states_known_and_unknown_decode() {
        let read = |json: &str| serde_json::from_str::<RestoreStatus>(json).unwrap();
        assert_eq!(read(r#"{"state":"none"}"#).state, RestoreState::None);
        assert_eq!(read(r#"{"state":"paused"}"#).state, RestoreState::Other("paused".into()));
        let failed = read(
            r#"{"state":"error","step":"unzip","code":"SNAPSHOT_CORRUPT","started_at":1795196400000,"finished_at":null}"#,
        );
        assert_eq!(failed.code, Some(ErrorCode::SNAPSHOT_CORRUPT));
        assert_eq!(failed.started_at.map(OffsetDateTime::unix_timestamp), Some(1_795_196_400));
        assert_eq!(read(&serde_json::to_string(&failed).unwrap()), failed);
        assert_eq!(failed.to_string(), "error in step unzip: SNAPSHOT_CORRUPT, started 2026-11-20T17:40:00Z");
        assert_eq!(read(r#"{"state":"odd\n"}"#).to_string(), r"odd");
        assert_eq!(read(r#"{"state":"error","code":7,"step":""}"#).code, None);
        for bad in [r#"{"step":"unzip"}"#, r#"{"state":7}"#, r#"{"state":null}"#, r#"{"state":{"error":1}}"#] {
            assert!(serde_json::from_str::<RestoreStatus>(bad).is_err(), "{bad}");
        }
        for word in ["none", "queued", "running", "success", "error", "paused"] {
            let state: RestoreState = word.parse().unwrap();
            assert_eq!(state.to_string(), word);
            assert_eq!(read(&format!(r#"{{"state":"{word}"}}"#)).state, state);
        }
    }
}
