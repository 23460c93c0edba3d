//! PURE. What an action returns, and the state of a restore.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

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
#[serde(from = "String", into = "String")]
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
    Other(String),
}

impl RestoreState {
    /// The service's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Error => "error",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for RestoreState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "none" => Self::None,
            "queued" => Self::Queued,
            "running" => Self::Running,
            "success" => Self::Success,
            "error" => Self::Error,
            _ => Self::Other(word),
        }
    }
}

impl From<RestoreState> for String {
    fn from(state: RestoreState) -> Self {
        state.to_string()
    }
}

impl FromStr for RestoreState {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(word.to_owned().into())
    }
}

impl fmt::Display for RestoreState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
        assert!(serde_json::from_str::<RestoreStatus>(r#"{"step":"unzip"}"#).is_err());
        for word in ["none", "queued", "running", "success", "error", "paused"] {
            assert_eq!(word.parse::<RestoreState>().unwrap().to_string(), word);
        }
    }
}
