//! PURE. What an action returns, and the state of a restore.

use std::fmt;
use std::str::FromStr;

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::decode::{lenient, text, when};
use crate::error::ErrorCode;

/// The service's response to an action: it is done.
///
/// A refusal, and work that is still running, come as [`Error`](crate::Error), so having a `Response` means
/// that the service said `success`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Response {
    /// The service's word: `success`.
    pub status: String,
    /// A code that came with it, if any.
    pub code: Option<ErrorCode>,
    /// A message that came with it, if any.
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
    /// A word of the service this version does not know.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for RestoreState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for RestoreState {
    type Err = serde::de::value::Error;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::deserialize(word.into_deserializer())
    }
}

/// The state of the last restore of an app or a database.
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(read(r#"{"state":"error","code":7,"step":""}"#).code, None);
        for bad in [r#"{"step":"unzip"}"#, r#"{"state":7}"#, r#"{"state":null}"#, r#"{"state":{"error":1}}"#]
        {
            assert!(serde_json::from_str::<RestoreStatus>(bad).is_err(), "{bad}");
        }
        for word in ["none", "queued", "running", "success", "error", "paused"] {
            let state: RestoreState = word.parse().unwrap();
            assert_eq!(state.to_string(), word);
            assert_eq!(read(&format!(r#"{{"state":"{word}"}}"#)).state, state);
        }
    }
}
